"""Which share of the filters died under the pull of a recipe, as records have it: interpolated, with the nearest ones named.

The pull of a whole run is its decay budget, Λ = Σ_t η_t·λ_eff/D: coupled ηλ/D (÷ (1 − μ) with momentum), decoupled ηλ,
independent λ, summed over the steps. It puts settings of one kind on one line; other things (rate, batch, memory, network) matter
too, so that the error of the interpolation is told with it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mechanisms.law.update_rules import Adam, Adamax, AMSGrad, NAdam, RMSProp
from mechanisms.theory.feature import is_divided
from mechanisms.theory.translation import Recipe, budget

BEYOND = 1.25
"""A factor of Λ outside the records up to which the record at their end still speaks."""
SIZED = Adam | NAdam | AMSGrad | Adamax | RMSProp
"""Rules whose denominators are recent sizes of the gradient, so that those of one stand for those of another."""
ALIKE = 0.05
"""Relative difference of a setting under which it counts as the same."""
NAMED = 2
"""How many of the nearest records are named."""
NUMBERS = {"learning_rate": "rate", "batch_size": "batch", "steps": "steps"}


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """One setting on record.

    Attributes:
        data: what it was trained on, in a word.
        command: what makes the records.
        dead: the share of its filters that were silent at the end, one number a seed.
        denominator: the median denominator of its filters, a tenth into training; None where nobody measured it.
    """

    data: str
    command: str
    recipe: Recipe
    dead: tuple[float, ...]
    denominator: float | None = None

    @property
    def share(self) -> float:
        """Mean over the seeds."""
        return float(np.mean(self.dead))


@dataclass(frozen=True, kw_only=True)
class Expectation:
    """What the records of one data set say of a recipe.

    Attributes:
        pulls: Λ at the largest, the median and the smallest denominator on record; None where D matters and is not known.
        reach: the smallest and the largest Λ on record of this kind of rule, coupling and decayed parameters; None without any.
        dead: the share at each of `pulls`, cut to the records; None without any.
        error: the mean error of the interpolation for a record that is left out; None for fewer than four.
        nearest: the nearest records, with their distance: what differs, and by how much.
    """

    data: str
    pulls: tuple[float, float, float] | None
    reach: tuple[float, float] | None
    dead: tuple[float, float, float] | None
    error: float | None
    nearest: tuple[tuple[Outcome, tuple[str, ...]], ...]

    @property
    def beyond(self) -> float | None:
        """The Λ at the end of the records where that of the recipe is beyond them; None where it is not."""
        if self.pulls is None or self.reach is None or self.reach[0] / BEYOND <= self.pulls[1] <= self.reach[1] * BEYOND:
            return None
        return self.reach[0] if self.pulls[1] < self.reach[0] else self.reach[1]


def expectations(recipe: Recipe, outcomes: Sequence[Outcome]) -> list[Expectation]:
    """What the records say of a recipe, for each data set; empty where nothing is decayed."""
    if recipe.regularizer.strength == 0:
        return []
    return [_expected(recipe, [one for one in outcomes if one.data == data]) for data in dict.fromkeys(o.data for o in outcomes)]


def _expected(recipe: Recipe, outcomes: list[Outcome]) -> Expectation:
    alike = [one for one in outcomes if _kind(one.recipe) == _kind(recipe)]
    known = (_denominators(alike) or _denominators(outcomes)) if isinstance(recipe.rule, SIZED) else []
    data, usual = outcomes[0].data, float(np.median(known)) if known else 1.0
    nearest = _nearest(recipe, [one for one in outcomes if one.recipe.rule.normalizing == recipe.rule.normalizing], usual)
    if _is_divided(recipe) and not known:
        return Expectation(data=data, pulls=None, reach=None, dead=None, error=None, nearest=())
    low, middle, high = (_budget(recipe, one) for one in ((known[-1], usual, known[0]) if known else (1.0, 1.0, 1.0)))
    line = [(_budget(one.recipe, one.denominator or usual), one.share) for one in alike]
    return Expectation(
        data=data,
        pulls=(low, middle, high),
        reach=(min(line)[0], max(line)[0]) if line else None,
        dead=(share_at(line, low), share_at(line, middle), share_at(line, high)) if line else None,
        error=_left_out(line),
        nearest=nearest,
    )


def share_at(line: Sequence[tuple[float, float]], pull: float) -> float:
    """The share at a pull between the records, linear in ln Λ; equal pulls are averaged, beyond the last record it holds."""
    pulls = np.array([one for one, _ in line])
    places, which = np.unique(np.log(pulls).round(6), return_inverse=True)
    shares = np.bincount(which, [share for _, share in line]) / np.bincount(which)
    return float(np.interp(np.log(pull), places, shares))


def _left_out(line: Sequence[tuple[float, float]]) -> float | None:
    if len(line) < 4:
        return None
    errors = [share_at([*line[:i], *line[i + 1 :]], pull) - share for i, (pull, share) in enumerate(line)]
    return float(np.mean(np.abs(errors)))


def _is_divided(recipe: Recipe) -> bool:
    return is_divided(recipe.rule, recipe.regularizer)


def _budget(recipe: Recipe, denominator: float) -> float:
    return budget(recipe, denominator if _is_divided(recipe) else 1.0)


def _kind(recipe: Recipe) -> tuple[Any, ...]:
    """What records must share with a recipe for their Λ to be comparable."""
    return recipe.rule.normalizing, isinstance(recipe.rule, SIZED), _is_divided(recipe), recipe.decayed


def _denominators(outcomes: Sequence[Outcome]) -> list[float]:
    return sorted(one.denominator for one in outcomes if one.denominator is not None and _is_divided(one.recipe))


def _nearest(recipe: Recipe, outcomes: Sequence[Outcome], usual: float) -> tuple[tuple[Outcome, tuple[str, ...]], ...]:
    distances = [(*_distance(recipe, one.recipe, usual, one.denominator or usual), one) for one in outcomes]
    distances.sort(key=lambda found: found[0])
    return tuple((one, differences) for _, differences, one in distances[:NAMED])


def _distance(recipe: Recipe, other: Recipe, usual: float, denominator: float) -> tuple[float, tuple[str, ...]]:
    """(distance, what differs) of two settings: a unit for each other kind of thing, and for each factor of e in a number."""
    kinds = {
        other.rule.name: int(recipe.rule.name != other.rule.name),
        other.regularizer.coupling: 2 * (_is_divided(recipe) != _is_divided(other)),
        f"decayed {other.decayed}": int(recipe.decayed != other.decayed),
    }
    if _is_divided(recipe) and _is_divided(other):
        usual = denominator = 1.0  # of like networks: it cancels
    pulls = (_budget(recipe, usual), _budget(other, denominator))
    numbers = {text: (getattr(recipe, name), getattr(other, name)) for name, text in NUMBERS.items()}
    numbers |= {"Λ": pulls} | _memories(recipe, other)
    ratios = {text: two / one for text, (one, two) in numbers.items() if abs(two / one - 1) > ALIKE}
    words = [name for name, units in kinds.items() if units] + [f"{text} × {ratio:.3g}" for text, ratio in ratios.items()]
    return sum(kinds.values()) + sum(abs(float(np.log(ratio))) for ratio in ratios.values()), tuple(words)


def _memories(recipe: Recipe, other: Recipe) -> dict[str, tuple[float, float]]:
    beta2, others = (getattr(one.rule, "beta2", None) for one in (recipe, other))
    return {} if beta2 is None or others is None else {"1/(1 − β2)": (1 / (1 - beta2), 1 / (1 - others))}


def told(recipe: Recipe, found: Sequence[Expectation]) -> Iterator[str]:
    """The expectations in words: a sentence or two for each data set, and a line for each record named."""
    yield "Λ = Σ η_t·λ_eff/D: by how many e-folds the decay alone shrinks a scale in the run."
    yield "Filters silent at the end of such runs on record, of BasicNet at a quarter of its width (your network is another):"
    for one in found:
        yield f"On {one.data}: {_pull(recipe, one)}{_share(one)}"
        for outcome, differences in one.nearest:
            away = f"away from yours: {', '.join(differences)}" if differences else "the same settings as yours"
            yield f"  on record {_outcome(outcome)}; {away}; {outcome.command}"


def _outcome(one: Outcome) -> str:
    law, recipe = one.recipe.regularizer, one.recipe
    spread = f"{min(one.dead):.0%} to {max(one.dead):.0%}, n = {len(one.dead)}"
    decayed = "" if recipe.decayed == "all" else f", decayed {recipe.decayed}"
    setting = f"{recipe.rule.name} {law.coupling} {law.strength:g}, rate {recipe.learning_rate:g}{decayed}"
    return f"{one.share:.0%} dead ({spread}): {setting}"


def _pull(recipe: Recipe, one: Expectation) -> str:
    if one.pulls is None:
        return "Λ depends on the denominator D, which is on no record."
    low, _, high = one.pulls
    if not _is_divided(recipe):
        return f"Λ = {high:.2g}."
    span = f"{low:.2g}" if f"{low:.2g}" == f"{high:.2g}" else f"{low:.2g} to {high:.2g}"
    return f"Λ = {span} at the denominators D measured there (yours are known only from a run)."


def _share(one: Expectation) -> str:
    if one.dead is None:
        return " No record is of this kind."
    if one.beyond is not None:
        where = "above the records, which end" if one.pulls and one.pulls[1] > one.beyond else "below the records, which begin"
        return f" That is {where} at Λ = {one.beyond:.2g} with {one.dead[1]:.0%} of the filters dead."
    low, high = min(one.dead), max(one.dead)
    span = "" if f"{low:.0%}" == f"{high:.0%}" else f", {low:.0%} to {high:.0%} by D"
    error = "" if one.error is None else f", ± {one.error:.0%} for a record left out"
    return f" At this Λ {one.dead[1]:.0%} of the filters died (interpolated{span}{error})."


def expectation_row(one: Expectation) -> dict[str, Any]:
    """An expectation as plain values."""
    return {
        "data": one.data,
        "pulls": one.pulls,
        "reach": one.reach,
        "beyond": one.beyond,
        "dead": one.dead,
        "error": one.error,
        "nearest": [
            {"dead": outcome.share, "seeds": len(outcome.dead), "command": outcome.command, "differences": differences}
            for outcome, differences in one.nearest
        ],
    }
