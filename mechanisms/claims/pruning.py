"""H17 to H22, H32: what the papers on pruning claim of criteria, of training from scratch, and of removal that costs nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pandas as pd

from mechanisms.claims.early_signs import EARLY
from mechanisms.claims.hypothesis import Finding, Hypothesis, expect_sign, expect_value
from mechanisms.claims.network_runs import PAPERS
from mechanisms.measures.death_prediction import prediction_table, scored
from mechanisms.measures.pruning_curves import images_of
from mechanisms.measures.statistics import error_difference, mean_interval
from mechanisms.records.loading import Need

CRITERIA = (Need("full_scale", "criteria", table="pruned"),)
MATCHED = (Need("full_scale", "explicit_vs_implicit", table="pruned"),)
MOMENTS = (Need("full_scale", "early_prediction", table="moments"),)
ALIKE = 0.02
"""Test errors that differ by less count as equal."""
MARGIN = 0.01
"""By how much implicit removal may be worse and still count as on a par."""
BEFORE, AFTER = "pruned_test_error", "test_error"
WHEN = {BEFORE: "right after pruning", AFTER: "after tuning"}


def errors(pruned: pd.DataFrame, criterion: str, value: str = AFTER, protocol: str = "one_shot", **more: str) -> pd.Series:
    """Seed → mean error over ratios where each layer loses the same share; of coupled Adam's network where there are several."""
    chosen = pruned[(pruned["criterion"] == criterion) & (pruned["protocol"] == protocol) & (pruned["ranking"] == "layer")]
    for name, wanted in {"spec.train.rule": "adam", **more}.items():
        chosen = chosen[chosen[name] == wanted]
    return chosen.groupby("seed")[value].mean()


def _less_than_chance(*criteria: str) -> Callable[[pd.DataFrame], tuple[Finding, ...]]:
    def judge(pruned: pd.DataFrame) -> tuple[Finding, ...]:
        return tuple(
            expect_sign(
                f"test error {WHEN[value]}, {criterion} minus random",
                error_difference(errors(pruned, criterion, value), errors(pruned, "random", value), images_of(pruned)),
                -1,
            )
            for criterion in criteria
            for value in WHEN
        )

    return judge


def _universal(pruned: pd.DataFrame) -> tuple[Finding, ...]:
    before, after = (
        error_difference(errors(pruned, "universality", value), errors(pruned, "selectivity", value), images_of(pruned))
        for value in WHEN
    )
    name = "universal first minus selective first"
    return (
        expect_sign(f"test error {WHEN[BEFORE]}, {name}", before, +1),
        expect_value(f"test error {WHEN[AFTER]}, {name}", after, 0, ALIKE),
    )


def _from_scratch(pruned: pd.DataFrame) -> tuple[Finding, ...]:
    scratch = errors(pruned, "random", protocol="scratch")
    return tuple(
        expect_value(
            f"test error, from scratch minus pruned by {name} and tuned",
            error_difference(scratch, errors(pruned, name), images_of(pruned)),
            0,
            ALIKE,
        )
        for name in ("scale", "filter_l1")
    )


def _on_a_par(pruned: pd.DataFrame) -> tuple[Finding, ...]:
    implicit = pruned[(pruned["protocol"] == "implicit") & (pruned["criterion"] == "inactive by activation")]
    own = implicit.set_index("seed")[AFTER]
    findings = []
    for name in ("scale", "filter_l1"):
        found = error_difference(errors(pruned, name, network="conventional"), own, images_of(pruned))
        spared = replace(found, value=found.value + MARGIN, low=found.low + MARGIN, high=found.high + MARGIN)
        quantity = f"test error at equal parameters, {name} on SGD's network minus implicit, plus {MARGIN:g}"
        findings.append(expect_sign(quantity, spared, +1))
    return tuple(findings)


def _against_the_best(pruned: pd.DataFrame) -> tuple[Finding, ...]:
    """Implicit removal against the lowest mean error of all else at as many parameters, whichever network and way."""
    own = pruned[(pruned["protocol"] == "implicit") & (pruned["criterion"] == "inactive by activation")].set_index("seed")[AFTER]
    keys = ["network", "protocol", "criterion", "ranking"]
    rivals = pruned[pruned["protocol"].isin(["one_shot", "iterative", "scratch"])]
    by_way = [one.set_index("seed")[AFTER] for _, one in rivals.groupby(keys, dropna=False)]
    found = error_difference(min(by_way, key=pd.Series.mean), own, images_of(pruned))
    spared = replace(found, value=found.value + MARGIN, low=found.low + MARGIN, high=found.high + MARGIN)
    return (expect_sign(f"test error at equal parameters, the best rival minus implicit, plus {MARGIN:g}", spared, +1),)


def _selectivity_given_scale(moments: pd.DataFrame) -> tuple[Finding, ...]:
    base = moments[(moments["spec.train.rule"] == "adam") & (moments["spec.train.regularizer.coupling"] == "coupled")]
    now = base[(base["step"] / base["spec.train.steps"]).round(3) == EARLY]
    found = prediction_table(scored(now[now["spec.train.regularizer.strength"] > 0], ("selectivity", "scale")))
    by_seed = found[found["criterion"] == "selectivity"].groupby("seed")["given_scale"].mean().dropna()
    if by_seed.empty:  # too few features of one fate
        return ()
    quantity = f"AUC within layer of selectivity given size of the scale at {EARLY:.0%} of training, minus ½"
    return (expect_sign(quantity, mean_interval(by_seed - 0.5), +1, 0.05),)


HYPOTHESES = (
    Hypothesis(
        "H17",
        "Removing selective features first costs less than removing features at random.",
        f"{PAPERS}: implicit sparsification as a heuristic that removes selective features",
        "the test error is not lower",
        CRITERIA,
        _less_than_chance("selectivity"),
    ),
    Hypothesis(
        "H18",
        "Removing universal features first costs more than selective ones, until the network is tuned.",
        f"{PAPERS}: future criteria should also examine non-selective features",
        "the error before tuning is not higher, or is not made up for",
        CRITERIA,
        _universal,
    ),
    Hypothesis(
        "H19",
        "Small scales and small norms tell what may go: better than chance.",
        "Liu et al. 2017 (Network Slimming); Li et al. 2017",
        "the test error is not lower",
        CRITERIA,
        _less_than_chance("scale", "filter_l1"),
    ),
    Hypothesis(
        "H20",
        "The smaller network trained from scratch is as good as the pruned and tuned one.",
        "Liu, Sun, Zhou, Huang and Darrell, Rethinking the Value of Network Pruning, ICLR 2019",
        f"the test errors differ by more than {ALIKE:g}",
        CRITERIA,
        _from_scratch,
    ),
    Hypothesis(
        "H21",
        "What dies by itself is on a par with explicit pruning at equal parameter counts.",
        PAPERS,
        f"explicit pruning is better by more than {MARGIN:g}",
        MATCHED,
        _on_a_par,
    ),
    Hypothesis(
        "H32",
        "What dies by itself is on a par with the best of all other ways on record at equal parameter counts.",
        "an independent review: the rival of H21 is weak",
        f"the best of them is better by more than {MARGIN:g}",
        MATCHED,
        _against_the_best,
    ),
    Hypothesis(
        "H22",
        "Early selectivity tells which filters die beyond what the size of the scale tells.",
        f"{PAPERS}, against THEORY P9d: selectivity acts only through the mean force",
        "the AUC given the scale is below 0.55",
        MOMENTS,
        _selectivity_given_scale,
    ),
)
