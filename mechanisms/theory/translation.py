"""What a person's own weight decay means: the same pull under the other couplings, and what to expect of rare features.

Every number comes from `mechanisms.theory.feature`; this module chooses which to ask for and puts them into words.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from mechanisms.law.regularizers import COUPLINGS, L2
from mechanisms.law.schedules import AbstractSchedule, Constant
from mechanisms.law.torch_rules import TorchRule
from mechanisms.law.update_rules import AbstractUpdateRule, Adam
from mechanisms.theory import conditions
from mechanisms.theory.feature import (
    critical_activity,
    decay_budget,
    effective_strength,
    selective_equilibrium,
)
from mechanisms.theory.refusals import require_decaying
from mechanisms.validation import InvalidValue, require, require_above, require_choice, require_whole

DECAYED = ("all", "no_norm")
ACTIVITIES = (1e-3, 1e-2, 0.1)
"""Fractions of exemplars that use a feature, for which expectations are stated."""
DENOMINATORS = (1e-2, 1e-3, 1e-4)
"""Denominators of a normalizing rule, which only a run can measure, for which equivalents are stated."""
MOST_STEPS = 10**7
"""The schedule is summed step by step."""
ENOUGH = 3.0
"""e-folds under which "no sparsity" may only mean "too short"."""


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """How a person trains.

    Attributes:
        regularizer: the weight decay, in the coupling that the person's optimizer gives it.
        batch_size: B, exemplars a step.
        steps: length of the run.
        decayed: "all", or "no_norm" where BatchNorm's scale and shift are left out of the decay.
        curvature: k, the strength with which the loss holds a feature on the exemplars that use it; not known beforehand.
    """

    rule: AbstractUpdateRule = field(default_factory=Adam)
    regularizer: L2 = field(default_factory=lambda: L2(strength=1e-4))
    learning_rate: float = 1e-3
    schedule: AbstractSchedule = field(default_factory=Constant)
    batch_size: int = 128
    steps: int = 10_000
    decayed: str = "all"
    curvature: float = 0.1

    def __post_init__(self) -> None:
        require(not isinstance(self.rule, TorchRule), "rule", "torch", "a rule of this package, which has closed forms")
        require_above("learning_rate", self.learning_rate, 0)
        require_decaying(self.rule, self.regularizer, learning_rate=self.learning_rate)
        require_whole("batch_size", self.batch_size, 1)
        require_whole("steps", self.steps, 1, MOST_STEPS)
        require_choice("decayed", self.decayed, DECAYED)
        require_above("curvature", self.curvature, 0)

    def under(self, coupling: str, strength: float | None = None) -> L2:
        """The recipe's regularizer in another coupling, with its own number or another."""
        return L2(strength=self.regularizer.strength if strength is None else strength, coupling=coupling)


def equivalents(recipe: Recipe) -> list[dict[str, float]]:
    """For each denominator: the strength that pulls as hard as the recipe's, by coupling, and the decay budget of that pull.

    The denominator of a normalizing rule differs from feature to feature; one row is at D = η. Rules without one have one row.
    """
    known = sorted({*DENOMINATORS, recipe.learning_rate}, reverse=True) if recipe.rule.normalizing else [1.0]
    return [
        {"denominator": d, **{c: equal_strength(recipe, c, d) for c in COUPLINGS}, "decay_budget": budget(recipe, d)}
        for d in known
    ]


def equal_strength(recipe: Recipe, coupling: str, denominator: float) -> float:
    """The strength that under a coupling pulls as hard as the recipe's decay where the denominator has this value."""
    place = {"learning_rate": recipe.learning_rate, "denominator": denominator}
    wanted = effective_strength(recipe.rule, recipe.regularizer, **place)
    return float(wanted / effective_strength(recipe.rule, recipe.under(coupling, 1.0), **place))


def budget(recipe: Recipe, denominator: float) -> float:
    """By how many e-folds the recipe's decay alone can shrink a scale within the run, where the denominator has this value."""
    effective_steps = recipe.schedule.effective_steps(recipe.steps)
    return decay_budget(
        recipe.rule,
        recipe.regularizer,
        learning_rate=recipe.learning_rate,
        effective_steps=effective_steps,
        denominator=denominator,
    )


def rare_features(recipe: Recipe) -> list[dict[str, float | None]]:
    """For each p: visits per memory (None without a memory that fades), and what the feature would do under each coupling.

    The last columns are where scale × outgoing weight settles, of a target of 1, if the *same number* λ entered under that
    coupling and both factors were decayed; None where that would diverge.
    """
    return [
        {"p": p, "visits_per_memory": visits(recipe, p), **{c: _settles(recipe, c, p) for c in COUPLINGS}} for p in ACTIVITIES
    ]


def visits(recipe: Recipe, p: float) -> float | None:
    """Visits per memory of the second moment; None for a rule whose denominator never forgets, or that has none."""
    return conditions.visits(recipe.rule, p, recipe.batch_size)


def settles(recipe: Recipe, regularizer: L2, p: float) -> float:
    """Where a product of two decayed factors settles in a feature that a fraction p of the exemplars use; its target is 1."""
    return selective_equilibrium(
        recipe.rule,
        regularizer,
        learning_rate=recipe.learning_rate,
        p=p,
        batch_size=recipe.batch_size,
        curvature=recipe.curvature,
        factors=2,
    )


def _settles(recipe: Recipe, coupling: str, p: float) -> float | None:
    try:
        return settles(recipe, recipe.under(coupling), p)
    except InvalidValue:
        return None


def threshold(recipe: Recipe) -> float | None:
    """The critical p under which features die outright, if both factors are decayed; None if there is none at any p."""
    pull = float(effective_strength(recipe.rule, recipe.regularizer, learning_rate=recipe.learning_rate))
    critical = float(critical_activity(pull, curvature=recipe.curvature))
    return critical if critical > 0 and settles(recipe, recipe.regularizer, critical / 2) == 0 else None


def statements(recipe: Recipe) -> Iterator[str]:
    """What the numbers say, one sentence or two each."""
    if recipe.regularizer.strength == 0:
        yield "Nothing is decayed: no filter is expected to die of the regularizer."
        return
    yield from _meaning(recipe)
    yield _length(recipe)
    yield _death(recipe)
    yield _norm(recipe)
    yield from _memory(recipe)
    yield from _advice(recipe)


def _meaning(recipe: Recipe) -> Iterator[str]:
    own, rate = recipe.regularizer, recipe.learning_rate
    yield f"Yours is {own.coupling}, strength {own.strength:.3g}, under {recipe.rule.name} at base rate {rate:.3g}."
    if own.coupling != "coupled":
        pair = (equal_strength(recipe, coupling, 1.0) for coupling in COUPLINGS[1:])
        yield "Decoupled {:.3g} and independent {:.3g} are the same thing, exactly, at this base rate.".format(*pair)
    elif recipe.rule.normalizing:
        yield "What it is worth beside the update depends on the denominator D of each feature: no one number is the same thing."
    else:
        yield "This rule does not normalize: the strengths of the table pull equally on every feature."
    if recipe.rule.normalizing:
        yield (
            f"Coupled and independent decay of one strength pull equally hard where D = {rate:.3g}; coupled pulls harder on "
            "features with smaller D (small or rare gradients), independent on those with larger D."
        )


def _length(recipe: Recipe) -> str:
    rows = equivalents(recipe)
    low, high = (extreme(row["decay_budget"] for row in rows) for extreme in (min, max))
    span = f"{low:.2g}" if f"{low:.2g}" == f"{high:.2g}" else f"{low:.2g} to {high:.2g}, by D,"
    verdict = (
        "enough to show what the decay does" if low >= ENOUGH else
        "little, so that no sparsity would prove nothing" if high < ENOUGH else
        "enough only for features with small D"
    )  # fmt: skip
    return f"In {recipe.steps} steps the decay alone can shrink a scale by {span} e-folds: {verdict} ({ENOUGH:.0f} is the least)."


def _death(recipe: Recipe) -> str:
    critical = threshold(recipe)
    rare = ACTIVITIES[0]
    assumed = f"k = {recipe.curvature:g}, a = 1"
    if critical is None:
        least = settles(recipe, recipe.regularizer, rare)
        return (
            "For one feature alone there is no threshold: rare ones shrink but do not die outright (the filters of a network "
            "do, where the decay is strong enough); "
            f"one with p = {rare:g} keeps {least:.2g} of its effect ({assumed})."
        )
    who = "all features" if critical >= 1 else f"features that fewer than {critical:.2g} of the exemplars use"
    return (
        f"There is a threshold, p_c = λ_eff/(k·a) = {critical:.2g}: {who} are expected to die outright ({assumed}), "
        "if their scale and their outgoing weights are both decayed."
    )


def _norm(recipe: Recipe) -> str:
    if recipe.decayed == "all":
        return "BatchNorm is decayed, so both factors of scale × outgoing weight are."
    return (
        "BatchNorm is left out of the decay, so one factor of scale × outgoing weight is free; "
        "that does not keep filters of a network alive (H14 is refuted)."
    )


def _memory(recipe: Recipe) -> Iterator[str]:
    rare = visits(recipe, ACTIVITIES[0])
    if rare is not None:
        expected = (
            "the closed forms hold" if rare >= conditions.WELL_FED else
            f"under {conditions.WELL_FED:g}, expect less than the closed forms say" if rare >= 1 else
            "the denominator collapses between visits and coupled decay takes over"
        )  # fmt: skip
        yield f"A feature with p = {ACTIVITIES[0]:g} is visited {rare:.3g} times per memory of the second moment: {expected}."


def _advice(recipe: Recipe) -> Iterator[str]:
    yield "To have more filters die, raise Λ = Σ η_t·λ_eff/D: a stronger decay or a longer run. To have fewer die, lower it."
    if recipe.rule.normalizing:
        yield "Decoupling alone prevents nothing: a decoupled or independent decay with the same pull kills filters too."


def recipe_rows(recipe: Recipe) -> dict[str, Any]:
    """All of it as plain values: `equivalents`, `rare_features` and `statements`."""
    return {
        "equivalents": equivalents(recipe),
        "rare_features": rare_features(recipe),
        "statements": list(statements(recipe)),
    }
