"""The only place where an update rule meets a model.

Where `torch.optim` has the same law (tests: every rule × coupling × regularizer, equal to `mechanisms.law.dynamics`), it makes
the step; a rule that it lacks is driven by `mechanisms.law.dynamics` on the parameters themselves, so a new rule works at once.
"""

from __future__ import annotations

import abc
import dataclasses
import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Self

import torch
from torch import Tensor

from full_scale.removal.during_training.optimizer_state import cut_states
from full_scale.removal.plan import Plan
from full_scale.removal.surgery import kept
from full_scale.training.parameters import ParameterGroups
from mechanisms.law.dynamics import DynamicsState, init
from mechanisms.law.dynamics import step as dynamics_step
from mechanisms.law.regularizers import L2, AbstractRegularizer
from mechanisms.law.update_rules import (
    SGD,
    AbstractUpdateRule,
    Adadelta,
    Adagrad,
    Adam,
    Adamax,
    AMSGrad,
    NAdam,
    RMSProp,
)


@dataclass(frozen=True)
class Native:
    """The torch class of a rule, its options, where it has a fused kernel, and whether it can decouple L2 by itself."""

    optimizer: Callable[..., torch.optim.Optimizer]
    options: Callable[[Any], dict[str, Any]]
    fused_on: tuple[str, ...] = ()
    decouples: bool = False
    replays: bool = True
    """Whether it can be a part of a CUDA graph: all that changes from step to step is on the device."""


def _adam_options(rule: Any) -> dict[str, Any]:
    return {"betas": (rule.beta1, rule.beta2), "eps": rule.epsilon}


EVERYWHERE = ("cpu", "cuda")
NATIVE: dict[type[AbstractUpdateRule], Native] = {
    SGD: Native(torch.optim.SGD, lambda r: {"momentum": r.momentum, "nesterov": r.nesterov}, EVERYWHERE),
    Adam: Native(torch.optim.Adam, _adam_options, EVERYWHERE, decouples=True),
    AMSGrad: Native(torch.optim.Adam, lambda r: {**_adam_options(r), "amsgrad": True}, EVERYWHERE, decouples=True),
    Adamax: Native(torch.optim.Adamax, _adam_options),
    NAdam: Native(torch.optim.NAdam, lambda r: {**_adam_options(r), "momentum_decay": r.momentum_decay}, decouples=True),
    RMSProp: Native(torch.optim.RMSprop, lambda r: {"alpha": r.beta2, "eps": r.epsilon, "momentum": r.momentum}),
    Adagrad: Native(
        torch.optim.Adagrad,
        lambda r: {"eps": r.epsilon, "initial_accumulator_value": r.initial_accumulator},
        ("cpu",),
        replays=False,
    ),
    Adadelta: Native(torch.optim.Adadelta, lambda r: {"rho": r.beta2, "eps": r.epsilon}),
}
"""Rule → `torch.optim`. A rule that is not here is driven by `mechanisms.law.dynamics`."""

SECOND_MOMENTS = ("exp_avg_sq", "max_exp_avg_sq", "square_avg", "sum")
"""What torch calls the states that hold squares of gradients."""


class AbstractOptimizer(abc.ABC):
    """Moves parameters by their `.grad`."""

    @abc.abstractmethod
    def step(self, schedule_scale: float) -> None:
        """One update at the rate learning_rate · schedule_scale; it may add the regularizer to `.grad` on its way."""

    @abc.abstractmethod
    def zero_grad(self) -> None:
        """Forgets the gradients."""

    @abc.abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """All that the next steps depend on besides the parameters, as tensors and plain values."""

    @abc.abstractmethod
    def adopt(self, other: Self) -> None:
        """Goes on from the moments of an optimizer of the same rule and parameters, under another regularizer or rate.

        Parameters that the other one did not have begin without moments.
        """

    @abc.abstractmethod
    def second_moments(self, parameter: Tensor) -> Iterator[Tensor]:
        """The tensors of the shape of a parameter that hold squares of its gradients; none before the first step."""

    @abc.abstractmethod
    def cut(self, plan: Plan, parameters: Mapping[str, Tensor]) -> None:
        """Cuts moments as a plan is about to cut the parameters, by their names in it."""

    @abc.abstractmethod
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Goes on from what `state_dict` gave."""


def can_replay(rule: AbstractUpdateRule) -> bool:
    """Whether the steps of a rule can be a part of a CUDA graph."""
    return type(rule) in NATIVE and NATIVE[type(rule)].replays


def make_optimizer(
    groups: ParameterGroups, rule: AbstractUpdateRule, regularizer: AbstractRegularizer, learning_rate: float
) -> AbstractOptimizer:
    """The optimizer of a rule under a regularizer that acts on `groups.decayed` only; `learning_rate` is η_0."""
    kind = TorchOptimizer if type(rule) in NATIVE else LawOptimizer
    return kind(groups, rule, regularizer, learning_rate)


class TorchOptimizer(AbstractOptimizer):
    """Drives `torch.optim`; what torch does not regularize by itself is done beside it, before its step.

    With `replayed`, the rate is a tensor on the device of the parameters, and `replay` makes the steps.
    """

    def __init__(
        self,
        groups: ParameterGroups,
        rule: AbstractUpdateRule,
        regularizer: AbstractRegularizer,
        learning_rate: float,
        replayed: bool = False,
    ) -> None:
        native, decayed = NATIVE[type(rule)], list[Tensor](groups.decayed.values())
        self._regularizer = regularizer
        self._learning_rate = learning_rate
        weight_decay = _weight_decay(native, regularizer, learning_rate)
        self._by_hand = decayed if weight_decay is None and regularizer.strength else []
        options = native.options(rule) | _kernel(native, [*decayed, *groups.free.values()])
        if native.decouples and regularizer.coupling != "coupled":
            options["decoupled_weight_decay"] = True
        pairs = ((decayed, weight_decay or 0.0), (list(groups.free.values()), 0.0))
        torch_groups = [{"params": parameters, "weight_decay": decay} for parameters, decay in pairs if parameters]
        device = next(p.device for parameters, _ in pairs for p in parameters)
        if replayed and device.type == "cuda" and "capturable" in inspect.signature(native.optimizer).parameters:
            options["capturable"] = True
        self._replayed = replayed
        self._rate = torch.tensor(learning_rate, device=device)
        self.inner = native.optimizer(torch_groups, lr=self._rate if replayed else learning_rate, **options)

    def step(self, schedule_scale: float) -> None:
        """See `AbstractOptimizer`."""
        if self._by_hand:
            self._regularize(*self._regularizer.rates(self._learning_rate, schedule_scale))
        for group in self.inner.param_groups:
            group["lr"] = self._learning_rate * schedule_scale
        self.inner.step()

    def replay(self, learning_rate: Tensor, beside: Tensor) -> None:
        """One update at a rate, with a weight of the regularizer beside it, that are numbers on the device."""
        if self._by_hand:
            self._regularize(float(self._regularizer.coupling == "coupled"), beside)
        self._rate.copy_(learning_rate)
        self.inner.step()

    @torch.no_grad()
    def _regularize(self, inside: float, beside: Any) -> None:
        """Both terms see the same parameters: the gradients were taken before this shift."""
        moving = [(p, p.grad) for p in self._by_hand if p.grad is not None]
        if not inside and isinstance(self._regularizer, L2):
            torch._foreach_mul_([p for p, _ in moving], 1 - beside * self._regularizer.strength)
            return
        for parameter, gradient in moving:
            target, weight = (gradient, inside) if inside else (parameter, -beside)
            target.add_(self._regularizer.gradient(parameter) * weight)

    def zero_grad(self) -> None:
        """See `AbstractOptimizer`."""
        self.inner.zero_grad(set_to_none=True)

    def state_dict(self) -> dict[str, Any]:
        """See `AbstractOptimizer`."""
        return self.inner.state_dict()

    def adopt(self, other: Self) -> None:
        """See `AbstractOptimizer`."""
        self.inner.state = other.inner.state

    def second_moments(self, parameter: Tensor) -> Iterator[Tensor]:
        """See `AbstractOptimizer`."""
        state = self.inner.state.get(parameter, {})
        yield from (state[name] for name in SECOND_MOMENTS if name in state)

    def cut(self, plan: Plan, parameters: Mapping[str, Tensor]) -> None:
        """See `AbstractOptimizer`."""
        cut_states(self.inner.state, plan, parameters, {name: parameter.shape for name, parameter in parameters.items()})

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See `AbstractOptimizer`."""
        self.inner.load_state_dict(state)
        if self._replayed:
            for group in self.inner.param_groups:
                group["lr"] = self._rate


def _weight_decay(native: Native, regularizer: AbstractRegularizer, learning_rate: float) -> float | None:
    """The `weight_decay` by which torch itself applies a regularizer; None where it cannot.

    Torch multiplies a decoupled decay by η_t: λ/η_0 makes that (η_t/η_0) λ, the independent coupling.
    """
    if not isinstance(regularizer, L2) or (regularizer.coupling != "coupled" and not native.decouples):
        return None
    return regularizer.strength / learning_rate if regularizer.coupling == "independent" else regularizer.strength


def _kernel(native: Native, parameters: list[Any]) -> dict[str, bool]:
    """The quickest implementation that torch has for these parameters."""
    fused = all(p.device.type in native.fused_on and p.is_floating_point() for p in parameters)
    return {"fused": True} if fused else {"foreach": True}


class LawOptimizer(AbstractOptimizer):
    """Drives `mechanisms.law.dynamics` on each parameter."""

    def __init__(
        self, groups: ParameterGroups, rule: AbstractUpdateRule, regularizer: AbstractRegularizer, learning_rate: float
    ) -> None:
        self._rule = rule
        self._learning_rate = learning_rate
        free = dataclasses.replace(regularizer, strength=0.0)
        pairs = [(p, regularizer) for p in groups.decayed.values()] + [(p, free) for p in groups.free.values()]
        self._parts = [(p, r, init(p.detach(), rule=rule, regularizer=r)) for p, r in pairs]

    @torch.no_grad()
    def step(self, schedule_scale: float) -> None:
        """See `AbstractOptimizer`."""
        for i, (parameter, regularizer, state) in enumerate(self._parts):
            if parameter.grad is None:
                continue
            after = dynamics_step(
                parameter,
                parameter.grad,
                state,
                rule=self._rule,
                regularizer=regularizer,
                learning_rate=self._learning_rate,
                schedule_scale=schedule_scale,
            )
            parameter.copy_(after.w)
            self._parts[i] = (parameter, regularizer, after.state)

    def zero_grad(self) -> None:
        """See `AbstractOptimizer`."""
        for parameter, _, _ in self._parts:
            parameter.grad = None

    def state_dict(self) -> dict[str, Any]:
        """See `AbstractOptimizer`."""
        return {"states": [(state.step, list(state.filters)) for _, _, state in self._parts]}

    def adopt(self, other: Self) -> None:
        """See `AbstractOptimizer`."""
        states = {id(parameter): state for parameter, _, state in other._parts}
        self._parts = [(p, regularizer, states.get(id(p), own)) for p, regularizer, own in self._parts]

    def second_moments(self, parameter: Tensor) -> Iterator[Tensor]:
        """See `AbstractOptimizer`."""
        for one, _, state in self._parts:
            if one is parameter:
                yield from (state.filters[place] for place in self._rule.second_moments())

    def cut(self, plan: Plan, parameters: Mapping[str, Tensor]) -> None:
        """See `AbstractOptimizer`."""
        names = {id(parameter): name for name, parameter in parameters.items()}
        for i, (parameter, regularizer, state) in enumerate(self._parts):
            filters = tuple(kept(plan, names[id(parameter)], one) for one in state.filters)
            self._parts[i] = (parameter, regularizer, DynamicsState(state.step, filters))

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """See `AbstractOptimizer`."""
        held = [DynamicsState(number, tuple(filters)) for number, filters in state["states"]]
        self._parts = [(p, r, own) for (p, r, _), own in zip(self._parts, held, strict=True)]
