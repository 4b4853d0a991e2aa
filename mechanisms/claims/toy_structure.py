"""P8 to P11: barrier, product, competition, penalty exponent."""

from __future__ import annotations

import numpy as np
import pandas as pd

from mechanisms.claims.hypothesis import Finding, Hypothesis, exactly, expect_sign, expect_value
from mechanisms.claims.toy_selective import THEORY, interval, settled
from mechanisms.law.regularizers import L2
from mechanisms.law.update_rules import SGD, Adam
from mechanisms.measures.statistics import Estimate, mean_interval, paired_difference, trend
from mechanisms.records.loading import Need
from mechanisms.theory.feature import critical_activity, product_threshold, selective_equilibrium
from mechanisms.theory.layer import balance_gap, layer_sum, measured_penalty_exponent, penalty_exponent


def _one(table: pd.DataFrame, name: str) -> float:
    return float(table[f"spec.{name}"].iloc[0])


def _silenced(table: pd.DataFrame, field: str) -> Estimate:
    """Rank correlation, within each seed, of a field and the share of features that fell silent at some time."""
    ever = table.assign(ever=(table["activity"] < 1).astype(float))
    runs = ever.groupby(["seed", f"spec.{field}"], as_index=False)["ever"].mean()
    return trend(runs[f"spec.{field}"], runs["ever"], runs["seed"])


def _barrier(table: pd.DataFrame) -> tuple[Finding, ...]:
    decayed = table[table["spec.regularizer.strength"] > 0]
    rates, noises = (sorted(decayed[f"spec.{name}"].unique()) for name in ("learning_rate", "gradient.noise"))
    noisy, fast, slow = (
        decayed[decayed["spec.gradient.noise"] == noises[-2]],
        decayed[decayed["spec.learning_rate"] == rates[-2]],
        decayed[decayed["spec.learning_rate"] == rates[0]],
    )
    return (
        expect_sign(f"hazard against η at noise {noises[-2]:g}", _silenced(noisy, "learning_rate"), +1, 0.5),
        expect_sign(f"hazard against noise at η = {rates[-2]:g}", _silenced(fast, "gradient.noise"), +1, 0.5),
        expect_sign(f"hazard against noise at η = {rates[0]:g}", _silenced(slow, "gradient.noise"), -1),
    )


def _threshold(table: pd.DataFrame) -> tuple[Finding, ...]:
    table = table[table["spec.gradient"] == "product"]
    strength, curvature, batch = (_one(table, n) for n in ("regularizer.strength", "gradient.curvature", "gradient.batch_size"))
    dies = float(critical_activity(strength, curvature=curvature))
    activities = sorted(table["spec.gradient.p"].unique())
    below, above = max(p for p in activities if p < 0.8 * dies), min(p for p in activities if p > 2 * dies)
    findings = []
    for rule in ("sgd", "adam"):
        for p in (below, above):
            found = interval(settled(table, rule=rule, regularizer__coupling="coupled", gradient__p=p))
            predicted = float(product_threshold(strength, p=p, curvature=curvature))
            findings.append(expect_value(f"{rule} coupled: final product at p = {p:.4g}", found, predicted, 0.02))
    for coupling in ("independent", "decoupled"):
        found = interval(settled(table, rule="adam", regularizer__coupling=coupling, gradient__p=below))
        law = (Adam(), L2(strength=strength, coupling=coupling))
        predicted = selective_equilibrium(*law, learning_rate=1e-3, p=below, batch_size=batch, curvature=curvature, factors=2)
        quantity = f"adam {coupling}: final product at p = {below:.4g} (no threshold)"
        findings.append(expect_value(quantity, found, predicted, 0.1 * predicted))
    return tuple(findings)


def _both_factors(table: pd.DataFrame) -> tuple[Finding, ...]:
    rare = float(table["spec.gradient.p"].min())
    findings = []
    for rule in ("adam", "sgd"):
        ends = {d: settled(table, rule=rule, decayed=d, gradient__p=rare) for d in ("all", "scale", "outgoing")}
        findings.append(expect_value(f"{rule}: product at p = {rare:g}, both decayed", interval(ends["all"]), 0.0, 0.01))
        for name in ("scale", "outgoing"):
            quantity = f"{rule}: product at p = {rare:g}, only {name} decayed"
            findings.append(expect_sign(quantity, interval(ends[name]), +1, 0.1))
    return tuple(findings)


def _balance(table: pd.DataFrame) -> tuple[Finding, ...]:
    findings = []
    for strength, one in table.groupby("spec.regularizer.strength"):
        end = one[one["step"] == one["step"].max()].iloc[0]
        start = _one(one, "initial_scale") ** 2 - _one(one, "gradient.initial_outgoing") ** 2
        law = (SGD(momentum=_one(one, "rule.momentum")), L2(strength=float(str(strength))))
        predicted = float(balance_gap(start, end["step"], *law, learning_rate=_one(one, "learning_rate")))
        found = exactly(end["scale"] ** 2 - end["outgoing"] ** 2)
        findings.append(expect_value(f"scale² − outgoing² at λ = {strength:g}", found, predicted, 0.01 * predicted, exact=True))
    return tuple(findings)


def _group_threshold(table: pd.DataFrame) -> tuple[Finding, ...]:
    strength, curvature = _one(table, "regularizer.strength"), _one(table, "gradient.curvature")
    target = float(np.hypot(_one(table, "gradient.target"), _one(table, "gradient.target_shift")))
    findings = []
    for rule in ("sgd", "adam"):
        for p in (0.002, 0.006, 0.03, 0.1):
            found = interval(settled(table, rule=rule, regularizer__coupling="coupled", gradient__p=p))
            predicted = float(product_threshold(strength, p=p, curvature=curvature, target=target))
            findings.append(expect_value(f"{rule}: length of (vγ, vβ) at p = {p:g}", found, predicted, 0.02))
    return tuple(findings)


def _conserved_sum(table: pd.DataFrame) -> tuple[Finding, ...]:
    flow = table[(table["spec.gradient.noise"] == 0) & (table["step"] == table["spec.steps"])]
    findings = []
    for rescale, one in flow.groupby("spec.gradient.rescale"):
        law = (SGD(momentum=_one(one, "rule.momentum")), L2(strength=_one(one, "regularizer.strength")))
        start = float(str(rescale)) ** 2 + 1
        predicted = float(layer_sum(start, one["step"].iloc[0], *law, learning_rate=_one(one, "learning_rate")))
        found = exactly((one["scale"] ** 2 + one["rival_scale"] ** 2).iloc[0])
        findings.append(expect_value(f"γ₁² + γ₂² after rescale {rescale:g}", found, predicted, 0.01 * predicted, exact=True))
    return tuple(findings)


def _small_stays_small(table: pd.DataFrame) -> tuple[Finding, ...]:
    findings = []
    for rule in ("adam", "sgd"):
        noisy = table[(table["spec.gradient.noise"] > 0) & (table["spec.rule"] == rule)]
        noisy = noisy[(noisy["spec.regularizer.coupling"] == "coupled") & (noisy["step"] == noisy["spec.steps"])]
        shares = noisy.groupby(["spec.gradient.rescale", "seed"])["product_mean"].mean()
        # γ and v play the same part in this model, so ¼ is compared with the untouched pair, not with its mirror image 4.
        quantity = f"{rule}: final share untouched minus after rescale ¼"
        findings.append(expect_sign(quantity, paired_difference(shares.loc[1.0], shares.loc[0.25]), +1, 0.05))
    return tuple(findings)


def _gated(table: pd.DataFrame) -> tuple[Finding, ...]:
    findings = []
    for rule in ("adam", "sgd"):
        for (p, curvature), one in table.groupby(["spec.gradient.p", "spec.gradient.curvature"]):
            found = interval(settled(one, rule=rule, regularizer__coupling="coupled"))
            law = {"p": float(str(p)), "curvature": float(str(curvature))}
            predicted = float(product_threshold(_one(one, "regularizer.strength"), **law))
            findings.append(expect_value(f"{rule} coupled: product at p = {p:g}, k = {curvature:g}", found, predicted, 0.05))
    return tuple(findings)


def _exponent(table: pd.DataFrame) -> tuple[Finding, ...]:
    findings = []
    for (rule, coupling), one in table.groupby(["spec.rule", "spec.regularizer.coupling"], sort=False):
        law = ({"adam": Adam(), "sgd": SGD()}[str(rule)], L2(coupling=str(coupling)))
        found = [measured_penalty_exponent(s["spec.gradient.target"], s["product_mean"])[0] for _, s in one.groupby("seed")]
        predicted = penalty_exponent(*law)
        findings.append(expect_value(f"{rule} {coupling}: penalty exponent", mean_interval(found), predicted, 0.1))
    return tuple(findings)


HYPOTHESES = (
    Hypothesis(
        "P8",
        "Features die by first passage over a barrier: the hazard rises with η and with noise, at small η it falls with noise.",
        f"{THEORY}: death as first passage (conjecture)",
        "one of the three signs is reversed",
        (Need("toy", "barrier"),),
        _barrier,
    ),
    Hypothesis(
        "P9a",
        "Under coupled L2 a product feature dies outright below p = λ/(k·a); decay beside a normalizing rule has no threshold.",
        f"{THEORY}: the product",
        "a product is off its soft threshold by more than 0.02, or off the balance without a threshold by more than 10 %",
        (Need("toy", "selectivity"),),
        _threshold,
    ),
    Hypothesis(
        "P9b",
        "Both factors must be decayed for a feature to die.",
        f"{THEORY}: the product",
        "a rare feature dies with one factor decayed, or survives with both",
        (Need("toy", "factors"),),
        _both_factors,
    ),
    Hypothesis(
        "P9c",
        "The loss conserves scale² − outgoing², and equal L2 shrinks it at rate 2ηλ.",
        f"{THEORY}: balance",
        "the difference is off its closed form by more than 1 %",
        (Need("toy", "balance", seeds=1),),
        _balance,
    ),
    Hypothesis(
        "P9d",
        "With the shift included the threshold is the same, on the length of (v·scale, v·shift).",
        f"{THEORY}: the product with β included",
        "the length is off the soft threshold by more than 0.02",
        (Need("toy", "shifted_product"),),
        _group_threshold,
    ),
    Hypothesis(
        "P10a",
        "Where the next layer normalizes, the loss cannot change the sum of squared scales; L2 shrinks it at rate 2ηλ.",
        f"{THEORY}: competition within a layer",
        "the sum is off its closed form by more than 1 %",
        (Need("toy", "competition"),),
        _conserved_sum,
    ),
    Hypothesis(
        "P10b",
        "In a layer small becomes smaller: a feature scaled down without changing the function ends with a smaller share.",
        f"{THEORY}: competition within a layer; small CNNs (rescaling half of the filters)",
        "the final share does not depend on the rescaling by at least 0.05",
        (Need("toy", "competition"),),
        _small_stays_small,
    ),
    Hypothesis(
        "P11",
        "The penalty that L2 puts on a product has exponent 1 under coupled decay and 3/2 under decay beside a normalizing rule.",
        f"{THEORY}: the penalty exponent",
        "a measured exponent is off by more than 0.1",
        (Need("toy", "exponent"),),
        _exponent,
    ),
    Hypothesis(
        "P12",
        "A gradient that comes ten times more rarely kills a product; with its mean restored the product is what it was.",
        f"{THEORY}: the product (the threshold is in the mean force p·k·a)",
        "a product is off its soft threshold by more than 0.05",
        (Need("toy", "gate"),),
        _gated,
    ),
)
