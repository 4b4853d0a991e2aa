"""A user's own `torch.optim.Optimizer` as an update rule of the toy layer: `rule=torch:PACKAGE.MODULE.CLASS(name=value, …)`.

The class must be element-wise and need no closure. The path imports the user's code by design: that is how a rule that
this package does not know is run. Nothing here imports torch before a run asks for it; this module is the one place
outside `full_scale` that does so at all.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import importlib
import inspect
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from mechanisms.law.abstract_rules import AbstractUpdateRule, Coefficients, Parts, State
from mechanisms.law.arrays import Array
from mechanisms.validation import InvalidValue, UserError, require

ELSEWHERE = {"lr": "learning_rate", "weight_decay": "regularizer.strength and regularizer.coupling", "params": "the toy itself"}
"""Arguments of a torch optimizer that a spec states in its own fields."""


@dataclass(frozen=True)
class TorchRule(AbstractUpdateRule):
    """An optimizer class by its path, and its keyword arguments without rate and decay, as canonical JSON.

    It is driven whole: torch makes the step, and the split into forces is known only as far as it can be seen from outside
    (see `toy.engines.torch_backend`). The identity of a spec holds path and arguments, not the code behind them: after editing
    the class, record elsewhere (`--runs`).

    Raises:
        InvalidValue: the path is no dotted name, or the arguments are no JSON object or hold rate or decay.
    """

    name: ClassVar[str] = "torch"
    written_as: ClassVar[str] = "torch:PACKAGE.CLASS(name=value, …)"
    slots: ClassVar[tuple[str, ...]] = ()
    path: str
    arguments: str = "{}"

    def __post_init__(self) -> None:
        dotted = isinstance(self.path, str) and all(map(str.isidentifier, self.path.split("."))) and "." in self.path
        require(dotted, "rule.path", self.path, "a dotted name PACKAGE.CLASS")
        try:
            options = json.loads(self.arguments)
            canonical = _canonical(options)
        except (TypeError, ValueError, RecursionError):
            options, canonical = None, ""
        require(isinstance(options, dict), "rule.arguments", self.arguments, 'a JSON object, such as {"betas": [0.9, 0.99]}')
        object.__setattr__(self, "arguments", canonical)
        for name, home in ELSEWHERE.items():
            require(name not in options, f"rule torch:{self.path}", name, f"arguments without it, it comes from {home}")

    @classmethod
    def parse(cls, text: str) -> TorchRule:
        """The rule of a text "torch:PACKAGE.CLASS(name=value, …)" with literal values.

        >>> TorchRule.parse("torch:torch.optim.RAdam(betas=(0.9, 0.99))")
        TorchRule(path='torch.optim.RAdam', arguments='{"betas":[0.9,0.99]}')
        """
        try:
            tree = ast.parse(text.partition(":")[2].strip(), mode="eval").body
        except (SyntaxError, ValueError, RecursionError, MemoryError):
            raise _refusal(text) from None
        call = tree if isinstance(tree, ast.Call) else ast.Call(func=tree, args=[], keywords=[])
        if call.args or any(keyword.arg is None for keyword in call.keywords):
            raise _refusal(text, "positional arguments have no name to be recorded by")
        options: dict[str, Any] = {}
        for keyword in call.keywords:
            if keyword.arg in options:
                raise _refusal(text, f"{keyword.arg} is given twice")
            options[str(keyword.arg)] = _literal(text, keyword)
        return cls(path=_dotted(text, call.func), arguments=_canonical(options))

    def coefficients(self, step: Array) -> Coefficients:
        """None: torch keeps its own."""
        return ()

    @staticmethod
    def direction(loss: Array, penalty: Array, state: State, coefficients: Coefficients) -> Parts:
        """Raises `UserError`: a step that torch makes has no two parts."""
        raise UserError("rule torch runs in the toy layer only, because torch makes its step whole: use a rule of this package")


def _canonical(options: Any) -> str:
    return json.dumps(options, sort_keys=True, separators=(",", ":"), allow_nan=False)


def _refusal(text: str, why: str = "it cannot be read") -> InvalidValue:
    return InvalidValue(f"rule = {text!r} is not valid ({why}): use {TorchRule.written_as} with literal values")


def _literal(text: str, keyword: ast.keyword) -> Any:
    """The value of a keyword argument, as plain JSON values."""
    try:
        return json.loads(_canonical(ast.literal_eval(keyword.value)))
    except (TypeError, ValueError, RecursionError, MemoryError):
        raise _refusal(text, f"{keyword.arg} is no number, text, True, False, None, or list or dict of them") from None


def _dotted(text: str, node: ast.expr) -> str:
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names, node = [node.attr, *names], node.value
    if not isinstance(node, ast.Name) or not names:
        raise _refusal(text, "it does not name a class in a module")
    return ".".join([node.id, *names])


class TorchStepper:
    """The optimizer of a rule on one vector of any length; what the optimizer remembers is kept here."""

    def __init__(self, rule: TorchRule, w: np.ndarray, learning_rate: float) -> None:
        self._rule = rule
        self._torch = importlib.import_module("torch")
        self._parameter = self._torch.nn.Parameter(self._torch.tensor(w))
        make = _optimizer_class(rule)
        # Some classes decay by default (AdamW: 0.01).
        undecayed = {"weight_decay": 0.0} if "weight_decay" in inspect.signature(make).parameters else {}
        with _blaming(rule, "it cannot be made with these arguments, lr and a one-dimensional parameter"):
            self._optimizer = make([self._parameter], lr=learning_rate, **json.loads(rule.arguments), **undecayed)

    def step(self, w: np.ndarray, gradient: np.ndarray, learning_rate: float) -> np.ndarray:
        """The vector after one step from `w`; all have the shape and dtype of the vector that this was made with."""
        with self._torch.no_grad():
            self._parameter.copy_(self._torch.from_numpy(w))
        self._parameter.grad = self._torch.from_numpy(gradient)
        for group in self._optimizer.param_groups:
            group["lr"] = learning_rate
        with _blaming(self._rule, "its step fails on a one-dimensional parameter without a closure"):
            self._optimizer.step()
        return np.array(self._parameter.detach().numpy())


@contextlib.contextmanager
def _blaming(rule: TorchRule, task: str) -> Iterator[None]:
    """Turns what foreign code raises into one line that names the rule and what was asked of it."""
    try:
        yield
    except (Exception, SystemExit) as error:
        first = (str(error).strip().splitlines() or [""])[0]
        raise UserError(f"rule torch:{rule.path}: {task} ({type(error).__name__}: {first})") from None


def _optimizer_class(rule: TorchRule) -> Any:
    """The class at the path of a rule; raises `UserError` with one line where there is none that could be driven."""
    module_name, _, class_name = rule.path.rpartition(".")
    base = importlib.import_module("torch").optim.Optimizer
    with _blaming(rule, f"module {module_name} cannot be imported"):
        module = importlib.import_module(module_name)
        found: Any = getattr(module, class_name, None)
    if not _is_optimizer(found, base):
        known = ", ".join(name for name, value in vars(module).items() if _is_optimizer(value, base)) or "it has none"
        raise InvalidValue(f"rule.path = {rule.path!r} is not valid: use an optimizer class of {module_name}: {known}")
    closure = inspect.signature(found.step).parameters.get("closure")
    if closure is not None and closure.default is inspect.Parameter.empty:
        raise UserError(f"rule torch:{rule.path}: its step needs a closure, and the toy has gradients only")
    return found


def _is_optimizer(value: Any, base: type) -> bool:
    return inspect.isclass(value) and issubclass(value, base) and value is not base


@functools.cache
def require_drivable(rule: TorchRule) -> None:
    """Raises `UserError` with one line unless the rule can be driven and is element-wise, by experiment.

    A few steps with gradients of very different sizes move a vector exactly as they move each of its elements alone, and without
    gradient nothing moves (else the class has a decay of its own).
    """
    start = np.array([1.0, -0.5, 0.3, 2.0])
    noise = np.random.default_rng(0).normal(size=(12, 4)) * [1e-5, 1e-2, 1.0, 30.0]
    together = _walk(rule, start, noise)
    alone = np.concatenate([_walk(rule, start[i : i + 1], noise[:, i : i + 1]) for i in range(len(start))])
    if not np.allclose(together, alone, rtol=1e-9, atol=1e-11, equal_nan=True):
        raise UserError(
            f"rule torch:{rule.path}: it is not element-wise, its step on several features differs from that on each alone"
        )
    still = _walk(rule, start, 0 * noise)
    if ((still != start) & np.isfinite(still)).any():
        raise UserError(
            f"rule torch:{rule.path}: it moves features without gradient, so it has a decay of its own: switch that off"
        )


def _walk(rule: TorchRule, start: np.ndarray, gradients: np.ndarray) -> np.ndarray:
    stepper, w = TorchStepper(rule, start, 1e-2), start
    for gradient in gradients:
        w = stepper.step(w.copy(), gradient.copy(), 1e-2)
    return w
