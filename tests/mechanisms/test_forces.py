"""Measures of force on tables made by hand, on toy tables and on tables of a tiny network: one definition for both layers."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from full_scale.models.basic_net import BasicNet
from full_scale.training.loop import run as train
from full_scale.training.spec import TrainSpec
from mechanisms.law.regularizers import COUPLINGS, L2
from mechanisms.law.schedules import Constant, Stepwise
from mechanisms.law.update_rules import SGD, AbstractUpdateRule, Adam
from mechanisms.measures.forces import balance, dominance, effective_decay, force_ratio, layer_sum
from mechanisms.records.columns import check
from mechanisms.theory.layer import balance_gap
from mechanisms.theory.layer import layer_sum as predicted_layer_sum
from mechanisms.validation import UserError
from toy.features.gradients import LowGradient, Product
from toy.simulate import run as simulate
from toy.spec import Axis, ToySpec

NAN = np.nan
TINY = BasicNet(width=1 / 16, pools_after=(1, 2))


def by_hand() -> pd.DataFrame:
    """Two layers at step 0, where forces are not known yet, and at step 5."""
    return pd.DataFrame(
        {
            "step": [0, 0, 0, 5, 5, 5],
            "layer": ["a", "a", "b"] * 2,
            "feature": [0, 1, 0] * 2,
            "scale": [2.0, 1.0, 3.0, 1.0, 0.0, -0.5],
            "shift": [1.0, 0.0, -2.0, -2.0, 0.0, 0.25],
            "outgoing": [1.0, 2.0, 3.0, 2.0, 0.0, 0.5],
            "loss_force": [NAN, NAN, NAN, 0.5, 0.0, 0.25],
            "reg_force": [NAN, NAN, NAN, -1.0, 0.0, 0.25],
        }
    )


def of_the_toy(rule: AbstractUpdateRule, coupling: str, **fields: object) -> pd.DataFrame:
    regularizer = L2(strength=1e-3, coupling=coupling)
    spec = ToySpec(rule=rule, regularizer=regularizer, **({"gradient": LowGradient(), "records": 40} | fields))
    return simulate(spec, 0)[0]["features"]


def of_a_network(rule: AbstractUpdateRule, regularizer: L2, **fields: object) -> pd.DataFrame:
    spec = TrainSpec(network=TINY, rule=rule, regularizer=regularizer, batch_size=20, **fields)  # type: ignore[arg-type]
    return train(spec, 0)[0]["features"]


class TestByHand:
    def test_each_row(self) -> None:
        """The scale that the first feature's forces acted on was 1 − 0.5 + 1 = 1.5; the last one's −0.5 − 0.25 − 0.25 = −1."""
        table = by_hand().set_index(pd.Index([9, 8, 7, 6, 5, 4]))
        np.testing.assert_allclose(effective_decay(table), [NAN, NAN, NAN, 1 / 1.5, NAN, 0.25])
        np.testing.assert_allclose(force_ratio(table), [NAN, NAN, NAN, 2, NAN, 1])
        assert force_ratio(table.assign(loss_force=0.0))[6] == np.inf
        assert effective_decay(table).index.equals(table.index)
        check(table.assign(effective_decay=effective_decay(table), force_ratio=force_ratio(table)), "features")

    def test_dominance_counts_neither_ties_nor_the_unknown(self) -> None:
        found = dominance(by_hand())
        np.testing.assert_array_equal(found["dominance"], [NAN, 1 / 3])
        by_layer = dominance(by_hand(), per="layer").set_index(["step", "layer"])["dominance"]
        assert by_layer[5].to_dict() == {"a": 0.5, "b": 0}
        check(dominance(by_hand(), per="layer"), "dominance")

    def test_squares(self) -> None:
        found = balance(by_hand())
        assert found["affine_square"].tolist() == [5, 1, 13, 5, 0, 0.3125]
        assert found["outgoing_square"].tolist() == [1, 4, 9, 4, 0, 0.25]
        assert found["imbalance"].tolist() == [4, -3, 4, 1, 0, 0.0625]
        assert balance(by_hand().drop(columns="shift"))["affine_square"].tolist() == [4, 1, 9, 1, 0, 0.25]
        sums = layer_sum(by_hand()).set_index(["step", "layer"])["layer_sum"]
        assert sums.to_dict() == {(0, "a"): 6, (0, "b"): 13, (5, "a"): 5, (5, "b"): 0.3125}
        check(found, "balance")
        check(layer_sum(by_hand()), "layer_sum")

    def test_a_sum_over_an_unknown_scale_is_unknown(self) -> None:
        table = by_hand()
        table.loc[4, "scale"] = NAN
        assert layer_sum(table)["layer_sum"].isna().tolist() == [False, False, True, False]

    def test_models_without_a_shift_beside_others_that_have_one(self) -> None:
        both = pd.concat([by_hand().assign(seed=0), by_hand().drop(columns="shift").assign(seed=1)], ignore_index=True)
        found = layer_sum(both).set_index(["seed", "step", "layer"])["layer_sum"]
        assert (found[0, 0, "a"], found[1, 0, "a"]) == (6, 5)
        assert balance(both).columns.tolist() == [
            *("seed", "step", "layer", "feature", "affine_square", "outgoing_square", "imbalance")
        ]

    def test_missing_columns_are_named(self) -> None:
        with pytest.raises(UserError, match="does not have the columns reg_force"):
            effective_decay(by_hand().drop(columns="reg_force"))
        with pytest.raises(UserError, match="columns outgoing"):
            balance(by_hand().drop(columns="outgoing"))


class TestEffectiveDecay:
    """THEORY 1 and 2: η·λ decoupled, λ independent, whatever the loss does; about η·λ/D coupled."""

    def test_beside_the_update_it_is_exact(self) -> None:
        for coupling, expected in (("decoupled", 1e-6), ("independent", 1e-3)):
            for rule in (Adam(), SGD(momentum=0.9)):
                found = effective_decay(of_the_toy(rule, coupling, steps=2000))
                np.testing.assert_allclose(found, expected, rtol=1e-10)

    def test_coupled_adam_divides_it_by_the_denominator(self) -> None:
        """The filter sees w of about 1/(1 − β1) = 10 steps ago, at most η larger for each: while w > 0.5, 2 % of it."""
        table = of_the_toy(Adam(), "coupled", steps=1000)
        table = table[table["scale"] > 0.5]
        expected = 1e-3 * 1e-3 / table["denominator"]
        assert len(table) > 100
        assert np.ptp(expected) > 0.3 * expected.mean()  # the denominator moves, and the decay with it
        np.testing.assert_allclose(effective_decay(table), expected, rtol=0.02)

    @pytest.mark.parametrize("coupling", COUPLINGS)
    def test_of_a_network(self, coupling: str) -> None:
        """Steps 1 to 6 at the full rate, 7 to 10 at half of it; float32 forces. Coupled: w moves by η = 1e-3 a step of 1."""
        schedule = Stepwise(milestones=(0.6,), factor=0.5)
        regularizer = L2(strength=1e-2, coupling=coupling)
        fields = {"learning_rate": 1e-3, "schedule": schedule, "steps": 10, "measurements": 10}
        table = of_a_network(Adam(), regularizer, **fields)
        found = effective_decay(table)
        assert found[table["step"] == 0].isna().all()
        table, found = table[table["step"] > 0], found[table["step"] > 0]
        relative = np.where(table["step"] <= 6, 1.0, 0.5)
        expected = {"coupled": 1e-5 / table["denominator"], "decoupled": 1e-5, "independent": 1e-2}[coupling] * relative
        np.testing.assert_allclose(found, expected, rtol=0.02 if coupling == "coupled" else 1e-4)


class TestDominance:
    def test_normalization_hands_a_quiet_feature_to_the_regularizer(self) -> None:
        """Noise 10 times under λ·w: coupled Adam is all regularizer; decoupled, the loss force is the larger one throughout."""
        for coupling, expected in (("coupled", 1.0), ("decoupled", 0.0)):
            table = of_the_toy(Adam(), coupling, gradient=LowGradient(sigma=1e-4, initial_steps=0), steps=200, features=32)
            settled = dominance(table[table["step"].between(20, 200)])
            assert settled["dominance"].mean() == pytest.approx(expected, abs=0.05)

    def test_settings_of_a_grid_are_told_apart(self) -> None:
        axes = (Axis("regularizer.strength", (0.0, 1.0)),)
        found = dominance(of_the_toy(SGD(), "coupled", axes=axes, steps=20, records=1)).set_index("spec.regularizer.strength")
        assert found["dominance"].to_dict() == {0.0: 0.0, 1.0: 1.0}


class TestSquares:
    """THEORY P9c and P10: what the loss cannot change decays at twice the rate of the regularizer."""

    @pytest.mark.parametrize("coupling", COUPLINGS)
    def test_imbalance_of_the_product_model(self, coupling: str) -> None:
        """A finite step of SGD takes (η·h)² of the imbalance: under 1 % in all. `independent` at η·λ is `decoupled` at λ."""
        rule, rate = SGD(), 1e-2
        strength = 1e-4 if coupling == "independent" else 1e-2
        gradient = Product(initial_outgoing=0.4, p=0.5, curvature=1.0)
        spec = ToySpec(
            gradient=gradient, rule=rule, regularizer=L2(strength=strength, coupling=coupling), learning_rate=rate, steps=5000
        )
        table = simulate(spec, 0)[0]["features"]
        found = balance(table)
        expected = balance_gap(1 - 0.4**2, found["step"], rule, spec.regularizer, learning_rate=rate)
        assert expected.min() < 0.4 * (1 - 0.4**2)
        np.testing.assert_allclose(found["imbalance"], expected, rtol=0.01)
        left_alone = 0.4 * expected.min() / (1 - 0.4**2)
        assert left_alone < 0.2
        assert table["product"].iloc[-1] > 0.9  # the loss did move both factors

    def test_layer_sums_and_imbalances_of_a_network(self) -> None:
        """P10 needs a reader with BatchNorm: conv7 feeds a linear layer and departs. P9c holds for it too.

        SGD at 1e-2 with λ = 0.1: a finite step is off by η·λ/2 of the decay, 1e-4 after 100 steps, and by the square of the
        loss force.
        """
        rule, regularizer = SGD(), L2(strength=0.1)
        law = {"learning_rate": 1e-2, "schedule": Constant(), "steps": 100, "measurements": 4}
        table = of_a_network(rule, regularizer, **law)
        sums = layer_sum(table).set_index(["layer", "step"])["layer_sum"].unstack()
        remaining = predicted_layer_sum(1.0, 100, rule, regularizer, learning_rate=1e-2)
        assert remaining == pytest.approx(np.exp(-0.2))
        departure = (sums[100] / sums[0] / remaining - 1).abs()
        assert departure.drop("conv7").max() < 3e-4
        assert departure["conv7"] > 5e-3
        shares = table[table["step"] == 100].groupby("layer")["scale"].std()
        assert (shares > 1e-3).all()  # within each layer the loss did move the scales
        uneven = balance(table).groupby(["layer", "step"])["imbalance"].sum().unstack()
        np.testing.assert_allclose(uneven[100] / uneven[0], remaining, rtol=0.03)
