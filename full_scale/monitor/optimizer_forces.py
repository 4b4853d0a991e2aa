"""The forces on a few parameters under a person's own `torch.optim` optimizer, by its options and its state."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from full_scale.measure.probes import FORCES
from full_scale.monitor.foreign_optimizers import Group, counted_steps, decoupled_rate, stepping
from mechanisms.law.dynamics import DynamicsState, Step, init
from mechanisms.law.dynamics import step as dynamics_step
from mechanisms.law.regularizers import L2
from mechanisms.law.update_rules import SGD, AbstractUpdateRule, Adadelta, Adagrad, Adam, Adamax, AMSGrad, NAdam, RMSProp
from mechanisms.theory.feature import decay_rate
from mechanisms.validation import UserError

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
        wide = _wide(denominator)
        return rate / wide if self.is_coupled and self.rule.normalizing else torch.full_like(wide, rate)


def _wide(values: Tensor) -> Tensor:
    """The values in float64, where their device has it: many small terms vanish in a sum of the parameter's own precision."""
    return values.detach().to(torch.float32 if values.device.type == "mps" else torch.float64)


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

    At each step of the optimizer, once the gradients exist, the same w and g go through `mechanisms.law.dynamics`, from the state
    that the optimizer had when the parameter was first seen; so the split into forces, which no optimizer keeps, is exact. What
    cannot be known is NaN, and `reason` says why: all of it where this package has no such rule or where w did not move as the
    rule says (a subclass with a law of its own, scales clamped after the step), and the forces alone as long as a momentum from
    before the first seen step matters under coupled decay. Wrappers around an optimizer are looked through.

    Raises:
        UserError: it is not an optimizer of torch, or it moves none of the parameters.
    """

    def __init__(self, optimizer: Any, parameters: Iterable[Tensor]) -> None:
        self._wanted = {id(parameter): parameter for parameter in parameters}
        self._optimizer, wrappers = stepping(optimizer, self._wanted)
        self.name = type(self._optimizer).__name__
        moved = [(p, group) for group in self._optimizer.param_groups for p in group["params"] if id(p) in self._wanted]
        if any(parameter.requires_grad for parameter in self._wanted.values()) and not moved:
            raise UserError(
                "the optimizer moves none of the model's scales: give the optimizer that was made for this model"
                " (none, for an average of weights)"
            )
        self.is_known = all(law_of(self._optimizer, group) is not None for _, group in moved)
        """Whether this package knows the rule by which the parameters are moved."""
        self.notes = [*_notes_on_wrappers(self.name, wrappers), *_notes_on_laws(self._optimizer, [group for _, group in moved])]
        """What is assumed of the optimizer, and what stays unknown, one line each."""
        self.followed = 0
        """Steps that this probe has seen."""
        self.is_miscounted = self._has_uncounted_past()
        """Whether there were steps before that nobody has counted."""
        self._tracks: dict[int, _Track] = {}
        self._decays: dict[int, dict[str, Tensor]] = {}
        self._lost: dict[int, str] = {}
        self._depth = 0
        self._hooks = (
            self._optimizer.register_step_pre_hook(self._begin),
            self._optimizer.register_step_post_hook(self._end),
            self._optimizer.register_load_state_dict_post_hook(self._restart),
        )

    @property
    def steps(self) -> int:
        """Steps of the optimizer so far: by its own count, which a loaded state sets, else as many as this probe has seen."""
        counted = counted_steps(self._optimizer)
        return self.followed if counted is None else counted

    @property
    def before(self) -> int:
        """Steps of the optimizer before the first one that was followed."""
        return max(0, self.steps - self.followed)

    @property
    def decoupled_factor(self) -> float:
        """What decoupled decay alone multiplies scales by in one step with the options as they are; 1 where none is known."""
        groups = [group for group in self._optimizer.param_groups if any(id(p) in self._wanted for p in group["params"])]
        return min((1 - (self._decoupled_rate(group) or 0.0) for group in groups), default=1.0)

    def close(self) -> None:
        """Leaves the optimizer as it was."""
        for hook in self._hooks:
            hook.remove()

    @torch.no_grad()
    def forces(self, parameter: Tensor) -> dict[str, Tensor]:
        """`loss_force`, `reg_force` and `denominator` of the last step, each of the parameter's shape; NaN where unknown."""
        track, missing = self._tracks.get(id(parameter)), torch.full_like(parameter, torch.nan)
        if track is None or track.last is None:
            return dict.fromkeys(FORCES, missing)
        change = (track.last.loss_force + track.last.reg_force).abs()
        rounding = 8 * torch.finfo(parameter.dtype).eps * parameter.abs()
        followed = (parameter - track.last.w).abs() <= 1e-3 * change + rounding
        if not followed.all():
            del self._tracks[id(parameter)]
            self._lost[id(parameter)] = f"it did not move as {self.name} says: something else changed it"
        split = followed & (track.unknown <= FORGOTTEN)
        known = {"loss_force": split, "reg_force": split, "denominator": followed}
        return {name: torch.where(known[name], getattr(track.last, name), missing) for name in FORCES}

    def reason(self, parameter: Tensor) -> str:
        """Why the last `forces` of a parameter hold NaN; "" where they hold none."""
        group = next((one for one in self._optimizer.param_groups if any(p is parameter for p in one["params"])), None)
        track = self._tracks.get(id(parameter))
        if group is None:
            return f"{self.name} does not move it"
        if law_of(self._optimizer, group) is None:
            return f"there is no law here of {self.name} with these options"
        if id(parameter) in self._lost:
            return self._lost[id(parameter)]
        if track is None or track.last is None:
            return "no step with a gradient of it was followed yet"
        return "a momentum from before the first step followed still matters" if track.unknown > FORGOTTEN else ""

    def decay(self, parameter: Tensor) -> dict[str, Tensor]:
        """By how many e-folds the decay alone shrinks each scale: `decay_budget` over all steps seen, `decay_a_step` in the last.

        At the learning rate, the strength and the denominator of each step: the sum of `mechanisms.theory.feature.decay_rate`,
        in float64. Without a law here it is lr·weight_decay where the decay is known to be decoupled, else NaN; 0 before the
        first step.
        """
        nothing = torch.zeros_like(_wide(parameter))
        return self._decays.get(id(parameter), {"decay_budget": nothing, "decay_a_step": nothing})

    def _decoupled_rate(self, group: Group) -> float | None:
        law = law_of(self._optimizer, group)
        if law is None:
            return decoupled_rate(self._optimizer, group)
        return law.learning_rate * law.regularizer.strength if law.regularizer.coupling == "decoupled" else None

    def _begin(self, optimizer: torch.optim.Optimizer, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Follows the step that the optimizer is about to make, or has it followed once its closure has made the gradients."""
        self._depth += 1
        closure = kwargs.get("closure", args[1] if len(args) > 1 else None)
        if self._depth > 1:  # the step of a class within that of one derived from it: torch calls the hooks for both
            return None
        if not callable(closure):
            self._observe()
            return None
        waiting = [self._observe]

        def followed(*given: Any, **named: Any) -> Any:
            try:
                loss = closure(*given, **named)
            except BaseException:
                self._depth = 0  # the step ends here, and torch calls no hook
                raise
            while waiting:
                waiting.pop()()
            return loss

        return (args, kwargs | {"closure": followed}) if "closure" in kwargs else ((args[0], followed, *args[2:]), kwargs)

    def _is_skipped(self) -> bool:
        """Whether a scaler of mixed precision has found gradients that are not finite."""
        return bool(float(getattr(self._optimizer, "found_inf", None) or 0))

    @torch.no_grad()
    def _observe(self) -> None:
        """Follows the step that is made with the gradients as they are."""
        if self._is_skipped():
            return
        self.followed += any(p.grad is not None for group in self._optimizer.param_groups for p in group["params"])
        for group in self._optimizer.param_groups:
            law = law_of(self._optimizer, group)
            if law is None:
                continue
            alike: dict[tuple[int, Any, Any], list[nn.Parameter]] = defaultdict(list)
            for parameter in self._moved(group):
                steps = self._track(parameter, law).state.step
                alike[steps, parameter.device, parameter.dtype].append(parameter)
            for (steps, _, _), parameters in alike.items():
                self._follow(steps, parameters, law, self._sign(group))

    @torch.no_grad()
    def _end(self, *_: Any) -> None:
        """Counts the decay of a step without a law here, at the rate that was used: some optimizers set it in the step."""
        self._depth = max(0, self._depth - 1)
        if self._depth or self._is_skipped():
            return
        for group in self._optimizer.param_groups:
            if law_of(self._optimizer, group) is None:
                rate = decoupled_rate(self._optimizer, group)
                for parameter in self._moved(group):
                    self._add_decay(parameter, torch.full_like(_wide(parameter), math.nan if rate is None else rate))

    def _restart(self, *_: Any) -> None:
        """Forgets what was followed: another state was loaded."""
        self._tracks.clear()
        self._lost.clear()
        self.is_miscounted |= self._has_uncounted_past()

    def _has_uncounted_past(self) -> bool:
        return bool(self._optimizer.state) and counted_steps(self._optimizer) is None

    def _moved(self, group: Group) -> list[nn.Parameter]:
        return [parameter for parameter in group["params"] if id(parameter) in self._wanted and parameter.grad is not None]

    def _add_decay(self, parameter: Tensor, decay: Tensor) -> None:
        self._decays[id(parameter)] = {"decay_budget": self.decay(parameter)["decay_budget"] + decay, "decay_a_step": decay}

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
            self._lost.pop(id(parameter), None)
            self._add_decay(parameter, decay)


def _notes_on_wrappers(name: str, wrappers: list[str]) -> list[str]:
    if not wrappers:
        return []
    return [f"{' and '.join(wrappers)} is looked through: forces and budgets are those of the {name} inside, and of nothing else"]


def _notes_on_laws(optimizer: torch.optim.Optimizer, groups: list[Group]) -> list[str]:
    """What is said of the groups that move scales by a rule without a law here."""
    name, lawless = type(optimizer).__name__, [group for group in groups if law_of(optimizer, group) is None]
    if not lawless:
        return []
    unknown = f"forces and denominators stay unknown: there is no law here of {name} with these options"
    rates = [decoupled_rate(optimizer, group) for group in lawless]
    if not any(rate is None or rate for rate in rates):
        return [f"{unknown}; scales do not decay"]
    if None in rates:
        return [f"{unknown}; so do decay budgets, because its decay may not be lr·weight_decay"]
    return [f"{unknown}; decay budgets are the sum of lr·weight_decay, which assumes that {name} decays beside its update"]
