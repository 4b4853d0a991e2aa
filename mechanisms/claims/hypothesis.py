"""From an estimate and an expectation to a verdict: supported, refuted or undecided, and why."""

from __future__ import annotations

import functools
import itertools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from mechanisms.measures.statistics import Estimate, chance_beyond, equivalence_replicates, holm
from mechanisms.records.loading import Need
from mechanisms.records.suites import PRESETS, find_suite

SUPPORTED, REFUTED, UNDECIDED = "supported", "refuted", "undecided"
ROUNDING = 1e-12
"""Differences below this are errors of floating-point summation."""
LEAST_REPLICATES = 3
"""Nothing is called supported on fewer replicates (paired seeds, or independent features of the toy)."""


@dataclass(frozen=True)
class Finding:
    """One measured quantity against its expectation.

    `p` is the chance of such a result if the verdict were false, twice the one-sided one (`chance_beyond`): of a refutation if
    the claim held, else of support if it did not. None for a result without randomness, and for a condition of a comparison.
    """

    quantity: str
    expected: str
    found: Estimate
    verdict: str
    why: str = ""
    p: float | None = None


@dataclass(frozen=True)
class Prediction:
    """What a hypothesis says of one quantity before it is measured.

    `sign` +1 or -1: it has this sign and is at least `size` large; 0: it is `center` ± `size`.
    """

    quantity: str
    sign: int
    size: float
    center: float = 0.0

    @property
    def expected(self) -> str:
        """The prediction as a text."""
        return _signed(self.sign, self.size) if self.sign else _around(self.center, self.size)

    def against(self, found: Estimate) -> Finding:
        """The prediction beside what was found."""
        if self.sign:
            return expect_sign(self.quantity, found, self.sign, self.size)
        return expect_value(self.quantity, found, self.center, self.size)


@dataclass(frozen=True)
class Hypothesis:
    """A claim that can fail.

    Attributes:
        name: H1 … for claims of the papers, P1 … for predictions of the theory.
        statement: the claim in one sentence.
        source: where it comes from.
        refuted_if: what would refute it.
        needs: the records that decide it.
        judge: one table for each need → findings.
        predictions: what `judge` compares with, where that is known before any record is made.
        explanation: the explanation of the effect that the claim follows from, in a word or two, where several compete.
    """

    name: str
    statement: str
    source: str
    refuted_if: str
    needs: tuple[Need, ...]
    judge: Callable[..., tuple[Finding, ...]]
    predictions: tuple[Prediction, ...] = ()
    explanation: str = ""

    @property
    def layer(self) -> str:
        """The layer of its records."""
        return self.needs[0].layer


def at_size(hypothesis: Hypothesis, preset: str, seeds: int | None = None) -> Hypothesis:
    """The hypothesis about experiments of another size and on other replicates; those of the toy layer have one size."""
    if find_suite(hypothesis.layer).quick:
        return hypothesis
    size = () if preset == PRESETS[0] else (f"preset={preset}",)
    needs = (replace(need, overrides=(*size, *need.overrides), seeds=seeds or need.seeds) for need in hypothesis.needs)
    return replace(hypothesis, needs=tuple(needs))


def with_settings(hypothesis: Hypothesis, overrides: tuple[str, ...]) -> Hypothesis:
    """The hypothesis about the same experiments with settings changed."""
    needs = (replace(need, overrides=(*need.overrides, *overrides)) for need in hypothesis.needs)
    return replace(hypothesis, needs=tuple(needs))


def more(quantity: str, size: float) -> Prediction:
    """Predict that a quantity is positive, and at least `size`."""
    return Prediction(quantity, +1, size)


def fewer(quantity: str, size: float) -> Prediction:
    """Predict that a quantity is negative, and at most −`size`."""
    return Prediction(quantity, -1, size)


def about(quantity: str, center: float, size: float) -> Prediction:
    """Predict that a quantity is `center` ± `size`."""
    return Prediction(quantity, 0, size, center)


def explained(
    name: str,
    explanation: str,
    need: Need,
    measure: Callable[..., Mapping[str, Estimate]],
    statement: str,
    predictions: tuple[Prediction, ...],
) -> Hypothesis:
    """Return what an explanation predicts of the records of one experiment, which `measure` reads."""
    return Hypothesis(
        name,
        statement,
        f"prediction of the explanation: {explanation}",
        "the 95 % interval of one quantity excludes what is predicted for it",
        (need,),
        compared(predictions, measure),
        predictions,
        explanation,
    )


def compared(
    predictions: tuple[Prediction, ...], measure: Callable[..., Mapping[str, Estimate]]
) -> Callable[..., tuple[Finding, ...]]:
    """The `judge` of a hypothesis that is nothing but predictions of quantities that `measure` reads from the tables."""

    def judge(*tables: Any) -> tuple[Finding, ...]:
        found = last_measured(measure)(*tables)
        return tuple(
            prediction.against(found[prediction.quantity]) if prediction.quantity in found else _not_there(prediction)
            for prediction in predictions
        )

    return judge


@functools.cache
def last_measured(measure: Callable[..., Mapping[str, Estimate]]) -> Callable[..., Mapping[str, Estimate]]:
    """Return `measure` with a memory for the last tables, because several hypotheses read the same ones."""
    memory: list[tuple[tuple[Any, ...], Mapping[str, Estimate]]] = []

    def measured(*tables: Any) -> Mapping[str, Estimate]:
        if not memory or not all(old is new for old, new in itertools.zip_longest(memory[0][0], tables)):
            memory[:] = [(tables, measure(*tables))]
        return memory[0][1]

    return measured


def _not_there(prediction: Prediction) -> Finding:
    nothing = Estimate(math.nan, -math.inf, math.inf, 0)
    return Finding(prediction.quantity, prediction.expected, nothing, UNDECIDED, "these records do not have it")


def _around(center: float, tolerance: float) -> str:
    return f"{center:.4g} ± {tolerance:.2g}"


def _signed(sign: int, smallest: float) -> str:
    return f"{'>' if sign > 0 else '<'} 0" + (f", at least {smallest:g}" if smallest else "")


def expect_value(quantity: str, found: Estimate, predicted: float, tolerance: float, *, exact: bool = False) -> Finding:
    """Supported if the whole interval is within `predicted` ± `tolerance`, refuted if none of it is.

    `exact` marks a result without randomness, for which one replicate is enough.
    """
    low, high = found.low - predicted, found.high - predicted
    expected, ends = _around(predicted, tolerance), (predicted - tolerance, predicted + tolerance)
    if low > tolerance or high < -tolerance:
        p = chance_beyond(found, ends[1], +1) if low > tolerance else chance_beyond(found, ends[0], -1)
        return Finding(quantity, expected, found, REFUTED, p=p)
    chances = [chance_beyond(found, ends[0], +1), chance_beyond(found, ends[1], -1)]
    p = None if None in chances else max(one for one in chances if one is not None)
    if max(abs(low), abs(high)) <= tolerance:
        return _supported(quantity, expected, found, exact, p)
    return Finding(quantity, expected, found, UNDECIDED, _too_wide(found, tolerance), p)


def _too_wide(found: Estimate, tolerance: float) -> str:
    """Why an equivalence is open: how many replicates of the spread found would show it if it were exactly true."""
    if not math.isfinite(found.spread) or tolerance <= 0:
        return f"not decidable at n = {found.n}"
    if found.sampling >= tolerance:
        return f"not decidable on so few test images, which alone leave ± {found.sampling:.2g}"
    left = math.sqrt(tolerance**2 - found.sampling**2)
    if (needed := equivalence_replicates(found.spread, left)) is None:
        return f"not decidable at n = {found.n}: with the spread found, ± {tolerance:.2g} is out of reach"
    if needed > found.n:
        return f"not decidable at n = {found.n}: with the spread found, ± {tolerance:.2g} needs n = {needed}"
    return "the interval lies across the tolerance: more seeds"


def expect_sign(quantity: str, found: Estimate, sign: int, smallest: float = 0.0) -> Finding:
    """Supported if the whole interval has the expected sign, refuted if it excludes an effect of `smallest` of that sign."""
    low, high = sorted((sign * found.low, sign * found.high))
    expected = _signed(sign, smallest)
    smallest -= ROUNDING  # a tie is no refutation: ρ = ½ can come out as 0.4999999999999999
    if high < smallest or (high <= 0 and low < 0):
        return Finding(quantity, expected, found, REFUTED, p=chance_beyond(found, sign * max(smallest, 0.0), -sign))
    p = chance_beyond(found, 0.0, sign)
    if low > 0 and sign * found.value >= smallest:
        return _supported(quantity, expected, found, exact=False, p=p)
    open_ = "the interval includes both signs" if found.p is None else found.interval
    why = "no variation was seen" if low == high == 0 else f"{open_}: more seeds"
    return Finding(quantity, expected, found, UNDECIDED, why, p)


def expect_condition(quantity: str, found: Estimate, low: float, high: float, advice: str) -> Finding | None:
    """None where a condition of a comparison holds (value within bounds), else an undecided finding with advice."""
    if low <= found.value <= high:
        return None
    return Finding(quantity, f"{low:g} to {high:g}", found, UNDECIDED, advice)


def _supported(quantity: str, expected: str, found: Estimate, exact: bool, p: float | None) -> Finding:
    p = None if exact else p
    if found.n < LEAST_REPLICATES and not exact:
        why = f"too few replicates: {found.n}, at least {LEAST_REPLICATES}"
        return Finding(quantity, expected, found, UNDECIDED, why, p)
    return Finding(quantity, expected, found, SUPPORTED, p=p)


def adjusted(chances: Sequence[float | None]) -> list[float | None]:
    """The p of findings that are read together, adjusted for their number by Holm; None where a finding has none."""
    known = iter(holm([p for p in chances if p is not None]).tolist() if any(p is not None for p in chances) else ())
    return [None if p is None else next(known) for p in chances]


def overall(findings: tuple[Finding, ...]) -> tuple[str, str]:
    """(verdict, why) of a hypothesis: refuted if any finding is, supported if all are, else undecided with the first reason."""
    for verdict in (REFUTED, UNDECIDED):
        for finding in findings:
            if finding.verdict == verdict:
                reason = finding.why or f"found {finding.found.value:.4g}, expected {finding.expected}"
                return verdict, f"{finding.quantity}: {reason}"
    return (SUPPORTED, "") if findings else (UNDECIDED, "nothing was measured")


def exactly(value: Any, n: int = 1) -> Estimate:
    """The estimate of a quantity without randomness."""
    return Estimate(float(value), float(value), float(value), n)
