"""Pruning: which criterion to believe, against chance and against training the smaller network from scratch."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from full_scale.experiments.networks import vgg16
from full_scale.experiments.protocols import PROTOCOLS
from full_scale.pruning.spec import PROTOCOLS as PRUNING_PROTOCOLS
from full_scale.pruning.spec import EarlySpec, MatchedSpec, PruningSpec
from full_scale.training.spec import TrainSpec
from mechanisms.interventions import Rescale
from mechanisms.law.penalties import GroupLasso, L1OfPart, L1OverL2, SelectiveL1
from mechanisms.law.proximal import Proximal
from mechanisms.measures.criteria import all_criteria

TUNING_STEPS = {"demo": 60, "short": 600, "paper": 40 * 1250}
"""Two epochs of digits, 1.2 of the photographs, 40 of CIFAR-10 as in Li et al. 2017."""
LI_PRUNED_A = ("conv1", *(f"conv{number}" for number in range(8, 14)))
"""The layers of VGG-16 of which Li et al. 2017 remove half ("VGG-16-pruned-A")."""


def criteria(preset: str = "demo") -> tuple[PruningSpec, ...]:
    """Every criterion on the same networks at the same ratios: trained by Adam under coupled L2, and by SGD with momentum.

    Removed over the whole network and by the same share in each layer, then tuned; beside it the shapes of the control `random`
    from fresh weights.
    """
    adam, _, momentum, _ = PROTOCOLS[preset].four()
    common: dict[str, Any] = {"criteria": tuple(all_criteria()), "ratios": (0.5, 0.7, 0.85), "tuning_steps": TUNING_STEPS[preset]}
    return tuple(PruningSpec(train=train, **common) for train in (adam, momentum))


def protocols(preset: str = "demo") -> tuple[PruningSpec, ...]:
    """One-shot against iterative pruning and training from scratch, by four criteria, at equal steps of tuning."""
    names = ("scale", "filter_l1", "taylor", "random")
    adam, _, momentum, _ = PROTOCOLS[preset].four()
    common: dict[str, Any] = {"criteria": names, "scratch_criteria": names, "tuning_steps": TUNING_STEPS[preset]}
    kept: dict[str, Any] = {"protocols": PRUNING_PROTOCOLS, "rankings": ("layer",), "ratios": (0.5, 0.7, 0.85)}
    return tuple(PruningSpec(train=train, **common, **kept) for train in (adam, momentum))


def explicit_vs_implicit(preset: str = "demo") -> tuple[MatchedSpec, ...]:
    """What Adam under coupled L2 removes by itself against BN scale, L1 norm and chance at equal parameter counts.

    The explicit criteria prune that network and one that SGD with momentum trained; the latter's shapes by L1 norm are trained
    from fresh weights too.
    """
    adam, _, momentum, _ = PROTOCOLS[preset].four()
    return (MatchedSpec(train=adam, conventional=momentum, tuning_steps=TUNING_STEPS[preset]),)


def sparsifiers_vs_implicit(preset: str = "demo") -> tuple[MatchedSpec, ...]:
    """As `explicit_vs_implicit`, but the conventional network was trained by SGD with momentum to be sparse.

    L1 on BatchNorm scales (Network Slimming), proximal steps on scales that start at a tenth (Ye et al. 2018), group lasso
    over input channels, the ratio ℓ1/ℓ2 by group, and L1 that is stronger on selective features; each beside the same
    coupled L2. Tuned without what makes sparse.
    """
    adam, _, momentum, _ = PROTOCOLS[preset].four()
    strength = {"demo": 1e-3, "short": 1e-3, "paper": 1e-4}[preset]
    conventional = (
        replace(momentum, penalties=(L1OfPart(strength=strength),)),
        replace(momentum, after_update=(Proximal(strength=strength),), interventions=(Rescale(factor=0.1),)),
        replace(momentum, penalties=(GroupLasso(strength=strength, part="outgoing"),)),
        replace(momentum, penalties=(L1OverL2(strength=10 * strength),)),
        replace(momentum, penalties=(SelectiveL1(strength=strength),)),
    )
    common: dict[str, Any] = {"criteria": ("scale", "product", "random"), "rankings": ("global",), "scratch_criteria": ()}
    return tuple(MatchedSpec(train=adam, conventional=one, **common, tuning_steps=TUNING_STEPS[preset]) for one in conventional)


def vgg16_layers(preset: str = "demo") -> tuple[PruningSpec, ...]:
    """VGG-16 by layer: what dies under Adam and coupled L2, beside half of seven layers by L1 norm as in Li et al. 2017.

    Their figures are in `mechanisms.claims.published`.
    """
    adam, _, momentum, _ = vgg16(preset)
    names = ("filter_l1", "scale", "random")
    common: dict[str, Any] = {"criteria": names, "rankings": ("layer",), "ratios": (0.5,), "layers": LI_PRUNED_A}
    tuning = {"demo": 30, "short": 400, "paper": TUNING_STEPS["paper"]}[preset]
    return tuple(
        PruningSpec(train=train, **common, scratch_criteria=("filter_l1",), tuning_steps=tuning) for train in (adam, momentum)
    )


def early_prediction(preset: str = "demo") -> tuple[EarlySpec, ...]:
    """Whether a criterion tells early on which filters will die, and how many: eleven settings of rule, coupling and strength.

    The four settings of the main claim, coupled Adam at two other strengths, rates and batch sizes, and independent decay at
    twice the strength.
    """
    protocol = PROTOCOLS[preset]
    base, rate = protocol.base, protocol.base.learning_rate
    sizes = (protocol.batch_sizes[0], protocol.batch_sizes[2])
    settings: tuple[TrainSpec, ...] = (
        *protocol.four(),
        *(protocol.with_rule(base.rule, strength) for strength in protocol.strengths if strength != base.regularizer.strength),
        *(replace(base, learning_rate=factor * rate) for factor in (0.5, 2.0)),
        *(replace(base, batch_size=size) for size in sizes),
        protocol.with_rule(base.rule, 2 * protocol.independent, "independent"),
    )
    return tuple(EarlySpec(train=train) for train in settings)
