"""The forces on a few parameters under a person's own `torch.optim` optimizer, by its options and its state."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from full_scale.measure.probes import FORCES
from mechanisms.law.dynamics import DynamicsState, Step, init
from mechanisms.law.dynamics import step as dynamics_step
from mechanisms.law.regularizers import L2
from mechanisms.law.update_rules import SGD, AbstractUpdateRule, Adadelta, Adagrad, Adam, Adamax, AMSGrad, NAdam, RMSProp
from mechanisms.theory.feature import decay_rate
from mechanisms.validation import UserError

Group = dict[str, Any]
FORGOTTEN = 1e-6
"""Share of a filter's content of unknown origin under which the split into forces counts as exact: that of float32."""


def _adam_family(group: Group) -> dict[str, float]:
    beta1, beta2 = map(float, group["betas"])
    return {"beta1": beta1, "beta2": beta2, "epsilon": group["eps"]}


def _rmsprop(group: Group) -> AbstractUpdateRule | None:
    return None if group["centered"] else RMSProp(beta2=group["alpha"], epsilon=group["eps"], momentum=group["momentum"])


RULES: dict[type, Callable[[Group], AbstractUpdateRule | None]] = {
    torch.optim.SGD: lambda g: None if g["dampening"] else SGD(momentum=g["momentum"], nesterov=g["nesterov"]),
    torch.optim.Adam: lambda g: (AMSGrad if g["amsgrad"] else Adam)(**_adam_family(g)),
    torch.optim.Adamax: lambda g: Adamax(**_adam_family(g)),
    torch.optim.NAdam: lambda g: NAdam(**_adam_family(g), momentum_decay=g["momentum_decay"]),
    torch.optim.RMSprop: _rmsprop,
    torch.optim.Adagrad: lambda g: None if g["lr_decay"] else Adagrad(epsilon=g["eps"]),
    torch.optim.Adadelta: lambda g: Adadelta(beta2=g["rho"], epsilon=g["eps"]),
}
"""Class of `torch.optim` → the rule that a parameter group follows; None where this package has no such rule."""

FED_BY_BOTH = ("mean_loss", "momentum_loss")
"""Slots whose counterpart in torch holds the penalty's share too."""

STATE = {
    "mean_loss": ("exp_avg",),
    "momentum_loss": ("momentum_buffer",),
    "mean_square": ("exp_avg_sq", "square_avg"),
    "largest_mean_square": ("max_exp_avg_sq",),
    "largest_gradient": ("exp_inf",),
    "sum_of_squares": ("sum",),
    "mean_square_direction": ("acc_delta",),
}
"""Slot of a rule → where torch keeps it."""


@dataclass(frozen=True)
class Law:
    """What a parameter group does at a step: the rule, the weight decay in its coupling, and the learning rate."""

    rule: AbstractUpdateRule
    regularizer: L2
    learning_rate: float

    @property
    def is_coupled(self) -> bool:
        """Whether the weight decay passes through the rule's filter."""
        return self.regularizer.strength > 0 and self.regularizer.coupling == "coupled"

    @property
    def memory(self) -> float:
        """By which factor one step shrinks what the rule's filter holds."""
        return float(getattr(self.rule, "beta1", getattr(self.rule, "momentum", 0.0)))

    def decay(self, denominator: Tensor) -> Tensor:
        """By how many e-folds the weight decay alone would shrink each scale in one step: `predictions.decay_rate`."""
        rate = float(decay_rate(self.rule, self.regularizer, learning_rate=self.learning_rate))
        return rate / denominator if self.is_coupled and self.rule.normalizing else torch.full_like(denominator, rate)


def law_of(optimizer: torch.optim.Optimizer, group: Group) -> Law | None:
    """What one of an optimizer's parameter groups does now; None where this package does not know the rule."""
    known = next((cls for cls in type(optimizer).__mro__ if cls in RULES), None)
    rule = RULES[known](group) if known else None
    if rule is None:
        return None
    coupling = "decoupled" if group.get("decoupled_weight_decay") else "coupled"
    return Law(rule, L2(strength=float(group["weight_decay"]), coupling=coupling), float(group["lr"]))


@dataclass
class _Track:
    """What is carried from step to step for one parameter; `unknown`: the share of its filter that cannot be split."""

    state: DynamicsState
    unknown: float
    last: Step | None = None


class OptimizerProbe:
    """The forces on given parameters at an optimizer's last step, and the decay they have met, followed from step to step.

    Before each step of the optimizer the same w and g go through `mechanisms.law.dynamics`, from the state that the optimizer had
    when the parameter was first seen; so the split into forces, which no optimizer keeps, is exact. What cannot be known is NaN:
    all of it where this package has no such rule or where w did not move as the rule says (a subclass with a law of its own,
    scales clamped after the step), and the forces alone as long as a momentum from before the first seen step matters under
    coupled decay.

    Raises:
        UserError: it is not an optimizer of torch, or it moves none of the parameters.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, parameters: Iterable[nn.Parameter]) -> None:
        if not isinstance(optimizer, torch.optim.Optimizer):
            raise UserError(f"optimizer is a {type(optimizer).__name__}, not a torch.optim.Optimizer: give the one that steps")
        self._optimizer, self._wanted = optimizer, {id(parameter): parameter for parameter in parameters}
        moved = [(p, group) for group in optimizer.param_groups for p in group["params"] if id(p) in self._wanted]
        if self._wanted and not moved:
            raise UserError("the optimizer moves none of the model's scales: give the optimizer that was made for this model")
        self.is_known = all(law_of(optimizer, group) is not None for _, group in moved)
        """Whether this package knows the rule by which the parameters are moved."""
        self.steps = int(max((float(optimizer.state[p].get("step", 0)) for p, _ in moved if p in optimizer.state), default=0))
        """Steps of the optimizer so far, as far as its state or this probe has counted them."""
        self._tracks: dict[int, _Track] = {}
        self._decays: dict[int, dict[str, Tensor]] = {}
        self._hooks = (
            optimizer.register_step_pre_hook(self._observe),
            optimizer.register_load_state_dict_post_hook(lambda _: self._tracks.clear()),
        )

    def close(self) -> None:
        """Leaves the optimizer as it was."""
        for hook in self._hooks:
            hook.remove()

    @torch.no_grad()
    def forces(self, parameter: nn.Parameter) -> dict[str, Tensor]:
        """`loss_force`, `reg_force` and `denominator` of the last step, each of the parameter's shape; NaN where unknown."""
        track, missing = self._tracks.get(id(parameter)), torch.full_like(parameter, torch.nan)
        if track is None or track.last is None:
            return dict.fromkeys(FORCES, missing)
        change = (track.last.loss_force + track.last.reg_force).abs()
        rounding = 8 * torch.finfo(parameter.dtype).eps * parameter.abs()
        followed = (parameter - track.last.w).abs() <= 1e-3 * change + rounding
        if not followed.all():
            del self._tracks[id(parameter)]
        split = followed & (track.unknown <= FORGOTTEN)
        known = {"loss_force": split, "reg_force": split, "denominator": followed}
        return {name: torch.where(known[name], getattr(track.last, name), missing) for name in FORCES}

    def decay(self, parameter: nn.Parameter) -> dict[str, Tensor]:
        """By how many e-folds the decay alone shrinks each scale: `decay_budget` over all steps seen, `decay_a_step` in the last.

        At the learning rate, the strength and the denominator of each step: the sum of `mechanisms.theory.feature.decay_rate`.
        NaN where the rule is unknown, 0 before the first step.
        """
        nothing = torch.full_like(parameter, 0.0 if self.is_known else torch.nan, requires_grad=False)
        return self._decays.get(id(parameter), {"decay_budget": nothing, "decay_a_step": nothing})

    @torch.no_grad()
    def _observe(self, optimizer: torch.optim.Optimizer, *_: Any) -> None:
        """Follows the step that the optimizer is about to make."""
        if float(getattr(optimizer, "found_inf", None) or 0):
            return
        self.steps += 1
        for group in optimizer.param_groups:
            law = law_of(optimizer, group)
            if law is None:
                continue
            alike: dict[tuple[int, Any, Any], list[nn.Parameter]] = defaultdict(list)
            for parameter in group["params"]:
                if id(parameter) in self._wanted and parameter.grad is not None:
                    steps = self._track(parameter, law).state.step
                    alike[steps, parameter.device, parameter.dtype].append(parameter)
            for (steps, _, _), parameters in alike.items():
                self._follow(steps, parameters, law, self._sign(group))

    def _track(self, parameter: nn.Parameter, law: Law) -> _Track:
        """The track of a parameter, begun from the optimizer's state where there is none."""
        if id(parameter) not in self._tracks:
            state = self._optimizer.state.get(parameter, {})
            fresh = init(parameter.detach(), rule=law.rule, regularizer=law.regularizer)
            start = dict(zip(law.rule.slots, fresh.filters, strict=True))
            kept = {slot: state[key] for slot in start for key in STATE.get(slot, ()) if state.get(key) is not None}
            filters = tuple({**start, **{slot: values.clone() for slot, values in kept.items()}}.values())
            unknown = law.is_coupled and any(slot in kept for slot in FED_BY_BOTH)
            self._tracks[id(parameter)] = _Track(DynamicsState(int(state.get("step", 0)), filters), float(unknown))
        return self._tracks[id(parameter)]

    def _sign(self, group: Group) -> float:
        """What turns `.grad` into the gradient that the rule descends; an ascent has another one, and so has a scaled loss."""
        scale = getattr(self._optimizer, "grad_scale", None)
        return (-1.0 if group.get("maximize") else 1.0) / (1.0 if scale is None else float(scale))

    def _follow(self, steps: int, parameters: list[nn.Parameter], law: Law, sign: float) -> None:
        """One step of parameters that share law and number of steps, as one flat vector."""
        tracks = [self._tracks[id(parameter)] for parameter in parameters]
        filters = tuple(torch.cat(parts) for parts in zip(*(track.state.filters for track in tracks), strict=True))
        w, g = (
            torch.cat(list[Tensor](parameters)),
            torch.cat([parameter.grad for parameter in parameters if parameter.grad is not None]),
        )
        state, how = DynamicsState(steps, filters), {"rule": law.rule, "regularizer": law.regularizer}
        made = dynamics_step(w, sign * g, state, learning_rate=law.learning_rate, **how)  # type: ignore[arg-type]
        flat = (made.w, made.loss_force, made.reg_force, made.denominator, law.decay(made.denominator), *made.state.filters)
        parts = zip(*(values.split([parameter.numel() for parameter in parameters]) for values in flat), strict=True)
        for parameter, track, (after, loss, reg, denominator, decay, *kept) in zip(parameters, tracks, parts, strict=True):
            track.state = DynamicsState(made.state.step, tuple(kept))
            track.last = Step(after, track.state, loss, reg, denominator)
            track.unknown *= law.memory
            self._decays[id(parameter)] = {"decay_budget": self.decay(parameter)["decay_budget"] + decay, "decay_a_step": decay}
