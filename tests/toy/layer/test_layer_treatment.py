"""Interventions on a layer do what they do to the same layer built as a network in torch, and nothing to untreated features."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from full_scale.hooks.intervention_state import Treatment
from full_scale.models.base import FeatureLayer
from mechanisms.interventions import (
    All,
    ByScale,
    BySelectivity,
    ClampNorm,
    DecayOnly,
    Freeze,
    Gate,
    Random,
    Rescale,
    ScaleSecondMoment,
    Slow,
    Switch,
)
from mechanisms.law.regularizers import L1, L2
from mechanisms.law.schedules import Constant
from mechanisms.law.update_rules import SGD, Adam
from mechanisms.records.columns import check
from mechanisms.records.specs import from_json, override_all, to_json
from mechanisms.validation import InvalidValue, UserError
from toy.layer import numpy_engine
from toy.layer.network import split
from toy.layer.simulate import Simulation, builder, run
from toy.layer.spec import LayerSpec
from toy.layer.task import Batches, exemplars, start

SPEC = LayerSpec(
    inputs=5, features=8, teacher_features=3, outputs=3, exemplars=60, batch_size=11, steps=12, replicates=1,
    rule=Adam(beta2=0.9), regularizer=L2(strength=0.05), schedule=Constant(), decayed=("incoming", "scale", "outgoing"),
)  # fmt: skip
MANY = replace(SPEC, replicates=3)
HALF = ByScale(share=0.5)
SAME_AS_IN_A_NETWORK = (
    Rescale(step=3, factor=0.25, filters=HALF),
    Gate(probability=0.4, step=2, filters=HALF),
    Gate(probability=0.4, mean_restored=True, parts=("incoming", "outgoing")),
    ClampNorm(),
    ClampNorm(step=4, part="outgoing", filters=HALF),
    ClampNorm(floor=0.9, ceiling=None),
    ClampNorm(floor=0.0, ceiling=1.02),
    ClampNorm(floor=0.25, ceiling=0.25, filters=HALF, step=1),
    Freeze(step=2, parts=("scale", "incoming"), filters=HALF),
    Freeze(parts=("shift",), value=0.1),
    DecayOnly(parts=("scale",)),
    DecayOnly(parts=("shift", "incoming")),
    Slow(parts=("incoming", "shift"), factor=0.3),
    Slow(step=5, factor=3.0, filters=HALF),
    ScaleSecondMoment(step=4, factor=0.0, parts=("outgoing", "scale"), filters=HALF),
)


def trained(*interventions, spec=SPEC, **fields):
    simulation = Simulation(replace(spec, interventions=interventions, **fields), 0, numpy_engine.build)
    simulation.advance(0, spec.steps)
    return simulation


class OneLayer(nn.Module):
    """The layer model as a network."""

    def __init__(self, spec):
        super().__init__()
        self.first = nn.Linear(spec.inputs, spec.features, bias=False)
        self.norm = nn.BatchNorm1d(spec.features, eps=spec.batchnorm_epsilon)
        self.activation = nn.ReLU()
        self.second = nn.Linear(spec.features, spec.outputs, bias=False)
        self.last = nn.BatchNorm1d(spec.outputs, eps=spec.batchnorm_epsilon)
        self.double()
        parts = {name: torch.tensor(part[0]) for name, part in split(spec, start(spec, 0)).items()}
        with torch.no_grad():
            self.first.weight.copy_(parts["incoming"])
            self.second.weight.copy_(parts["outgoing"].T)

    def forward(self, inputs):
        return self.last(self.second(self.activation(self.norm(self.first(inputs)))))

    def parts(self):
        return {
            "incoming": self.first.weight, "scale": self.norm.weight, "shift": self.norm.bias,
            "outgoing": self.second.weight.T, "gain": self.last.weight, "offset": self.last.bias,
        }  # fmt: skip


class NetworkTraining:
    """What the interventions of networks ask of a training."""

    def __init__(self, spec):
        module = OneLayer(spec)
        layer = FeatureLayer("hidden", module.first, module.norm, module.activation, module.second)
        self.network = SimpleNamespace(module=module, layers=(layer,))
        self.spec, self.seed, self.done, self.device, self.law = spec, 0, 0, "cpu", {"rule": spec.rule}
        self.decayed = [module.first.weight, module.norm.weight, module.norm.bias, module.second.weight]
        self.treatment = Treatment(self)
        kept = self.treatment.regrouped(self).decayed
        free = [one for one in module.parameters() if all(one is not other for other in kept)]
        groups = [{"params": kept, "weight_decay": spec.regularizer.strength}, {"params": free, "weight_decay": 0.0}]
        self.adam = torch.optim.Adam(groups, lr=spec.learning_rate, betas=(spec.rule.beta1, spec.rule.beta2))
        self.optimizer, self.probe = self, SimpleNamespace(second_moments=lambda parameter: ())

    def narrowed(self, kept):
        return SimpleNamespace(decayed=list(kept), narrowed=None)

    def second_moments(self, parameter):
        return [self.adam.state[parameter]["exp_avg_sq"]]

    def train(self):
        (inputs, targets), chosen = exemplars(self.spec, 0), Batches(self.spec, 0).draw(self.spec.steps)
        self.treatment.start_due()
        for batch in chosen[0]:
            self.adam.zero_grad()
            outputs = self.network.module(torch.tensor(inputs[0, batch]))
            (((outputs - torch.tensor(targets[0, batch])) ** 2).mean() / 2).backward()
            self.treatment.change_gradients()
            self.adam.step()
            self.done += 1
            self.treatment.after_update()
            self.treatment.start_due()
        return self.network.module.parts()


@pytest.mark.parametrize("intervention", SAME_AS_IN_A_NETWORK, ids=lambda one: one.name)
def test_an_intervention_means_what_it_means_in_a_network(intervention):
    simulation, plain = trained(intervention), trained()
    expected = NetworkTraining(simulation.spec).train()
    for name, part in split(SPEC, simulation.vectors).items():
        np.testing.assert_allclose(part[0], expected[name].detach().numpy(), atol=1e-9, err_msg=name)
    assert np.abs(simulation.vectors - plain.vectors).max() > 1e-4


def test_every_intervention_is_compared_with_its_meaning_in_a_network():
    """`switch` is not: it is the training itself that changes its law; it has tests of its own below."""
    from mechanisms.interventions import AbstractIntervention
    from mechanisms.records.specs import choices

    assert set(choices(AbstractIntervention)) - {one.name for one in SAME_AS_IN_A_NETWORK} == {"switch"}


@pytest.mark.parametrize("intervention", [one for one in SAME_AS_IN_A_NETWORK if one.filters == HALF], ids=lambda one: one.name)
def test_compiled_and_numpy_agree_and_untreated_features_are_told(intervention):
    spec = replace(MANY, interventions=(intervention,))
    found = []
    for engine in ("compiled", "interpreted"):
        simulation = Simulation(spec, 0, builder(engine))
        simulation.advance(0, 12)
        found.append(simulation)
    np.testing.assert_allclose(found[0].vectors, found[1].vectors, atol=1e-9)
    assert found[0].measured().columns["treated"].mean(1).tolist() == [0.5] * 3


def test_what_treats_nothing_leaves_every_bit():
    nothing = trained(Rescale(factor=1.0), Gate(probability=1.0), Slow(step=11, factor=1.0, filters=Random()), spec=MANY)
    np.testing.assert_array_equal(trained(spec=MANY).vectors, nothing.vectors)


def test_chosen_halves_differ_between_replicates_and_are_kept_by_more():
    marks = trained(Rescale(filters=Random()), spec=MANY).measured().columns["treated"]
    more = trained(Rescale(filters=Random()), spec=MANY, replicates=5).measured().columns["treated"]
    assert (marks[0] != marks[1]).any()
    np.testing.assert_array_equal(marks, more[:3])


def test_gates_are_kept_by_more_replicates():
    gate = Gate(probability=0.3)
    np.testing.assert_allclose(trained(gate, spec=MANY).vectors, trained(gate, spec=MANY, replicates=5).vectors[:3], rtol=1e-9)


def test_selective_features_can_be_chosen():
    simulation = trained(Rescale(step=6, filters=BySelectivity(share=0.25)), spec=MANY)
    assert simulation.measured().columns["treated"].sum() == 3 * 2


def test_an_intervention_waits_for_its_step():
    tables = run(replace(MANY, interventions=(Rescale(step=6, factor=0.5),), records=12), 0)[0]
    features = tables["features"]
    check(features, "features")
    assert features.groupby("step")["treated"].mean().tolist() == [0.0] * 6 + [1.0] * 7
    plain = run(replace(MANY, records=12), 0)[0]["features"]
    scales = features["scale"] / plain["scale"]
    assert (scales[features["step"] < 6] == 1).all()
    np.testing.assert_allclose(scales[features["step"] == 6], 0.5)


@pytest.mark.parametrize("rule", [Adam(beta2=0.9), SGD(momentum=0.9)])
def test_a_switch_to_the_same_law_changes_no_bit(rule):
    law = {"rule": rule, "regularizer": L2(strength=0.05), "learning_rate": 1e-2}
    np.testing.assert_array_equal(trained(**law).vectors, trained(Switch(step=5, **law), **law).vectors)


def test_a_switch_to_another_rule_starts_it_anew():
    """As a training of the new law that begins there, with the batches that are left."""
    sgd = {"rule": SGD(momentum=0.9), "regularizer": L1(strength=0.01, coupling="decoupled"), "learning_rate": 0.05}
    switched = trained(Switch(step=5, **sgd), rule=Adam(beta2=0.9))
    before = Simulation(replace(SPEC, rule=Adam(beta2=0.9)), 0, numpy_engine.build)
    before.advance(0, 5)
    after = Simulation(replace(SPEC, **sgd), 0, numpy_engine.build)
    after._batches.draw(5)
    after.vectors[:] = before.vectors
    after.advance(0, 7)
    np.testing.assert_allclose(switched.vectors, after.vectors, rtol=1e-12)
    assert switched.measured().learning_rate == 0.05


def test_floors_and_ceilings_bound_the_norms():
    start_norms = np.linalg.norm(split(MANY, start(MANY, 0))["incoming"], axis=-1)
    hard = {"spec": MANY, "regularizer": L2(strength=5.0)}
    for intervention, low, high in (
        (ClampNorm(floor=0.97, ceiling=None), 0.97, np.inf),
        (ClampNorm(floor=0.0, ceiling=0.97), 0.0, 0.97),
        (ClampNorm(floor=0.5, ceiling=0.5), 0.5, 0.5),
    ):
        share = trained(intervention, **hard).measured().columns["incoming"] / start_norms
        assert low - 1e-9 <= share.min() <= share.max() <= high + 1e-9
    assert (trained(**hard).measured().columns["incoming"] / start_norms).min() < 0.95


def test_interventions_are_a_part_of_the_spec():
    spec = replace(SPEC, interventions=SAME_AS_IN_A_NETWORK)
    assert from_json(LayerSpec, to_json(spec)) == spec
    typed = override_all(
        LayerSpec(),
        [("interventions", ["clamp_norm", "gate"]), ("interventions.0.ceiling", None), ("interventions.1.filters", "random")],
    )
    assert typed.interventions == (ClampNorm(ceiling=None), Gate(filters=Random()))


def test_mistakes_are_refused_by_name():
    with pytest.raises(InvalidValue, match=r"interventions.0.step = 12 is not valid"):
        replace(SPEC, interventions=(Rescale(step=12),))
    with pytest.raises(UserError, match=r"interventions.0 = gate: conv1 is no layer of this model; use hidden"):
        trained(Gate(filters=All(layers=("conv1",))))
    with pytest.raises(UserError, match=r"interventions.0 = scale_second_moment: rule = sgd has no second moment"):
        trained(ScaleSecondMoment(step=3), rule=SGD())
    for wrong in ({"floor": -1.0}, {"floor": 0.5, "ceiling": 0.25}, {"floor": 0.0, "ceiling": 0.0}):
        with pytest.raises(InvalidValue):
            ClampNorm(**wrong)
    with pytest.raises(InvalidValue, match="factor"):
        Slow(factor=0.0)
