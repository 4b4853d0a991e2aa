"""A torch optimizer driven in the toy: equal to the law where the law has the rule, refused where it cannot be driven."""

import subprocess
import sys

import numpy as np
import pytest

import toy.simulate
from mechanisms.command_line.framework import main
from mechanisms.law.regularizers import COUPLINGS, L1, L2
from mechanisms.law.schedules import Cosine
from mechanisms.law.torch_rules import TorchRule
from mechanisms.law.update_rules import SGD, AbstractUpdateRule, Adam
from mechanisms.records.specs import make_choice, spec_id
from mechanisms.validation import UserError
from toy.engines.choice import INTERPRETED
from toy.features.gradients import LowGradient, Product, Selective
from toy.spec import Axis, ToySpec
from toy.suite import LAYER

ADAM = "torch:torch.optim.Adam(betas=[0.9,0.99])"
RATES = Axis("learning_rate", (1e-3, 1e-2))
PAIRS = {"adam": (ADAM, Adam(beta2=0.99)), "sgd": ("torch:torch.optim.SGD(momentum=0.9)", SGD(momentum=0.9))}


def rule_of(text):
    return make_choice(AbstractUpdateRule, text, "rule")


def small(**fields):
    return ToySpec(**{"steps": 200, "records": 20, "features": 3, "schedule": Cosine(), "average_last": 0.5, **fields})


def table(rule, **fields):
    return toy.simulate.run(small(rule=rule, **fields), 1)[0]["features"]


def assert_same_features(one, other):
    assert list(one.columns) == list(other.columns)
    for column in one.columns.difference(["loss_force", "reg_force", "denominator"]):
        if one[column].dtype.kind == "f":
            np.testing.assert_allclose(one[column], other[column], rtol=1e-12, atol=1e-15, err_msg=column)
        else:
            assert (one[column] == other[column]).all(), column


@pytest.fixture
def mylib(tmp_path, monkeypatch):
    """A user's own module `mylib` on the path, with a tiny Lion."""
    (tmp_path / "mylib.py").write_text(
        """
import torch

class Lion(torch.optim.Optimizer):
    def __init__(self, params, lr=1e-4, betas=(0.9, 0.99)):
        super().__init__(params, {"lr": lr, "betas": betas})

    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            first, second = group["betas"]
            for p in group["params"]:
                m = self.state[p].setdefault("m", torch.zeros_like(p))
                p.add_(torch.sign(first * m + (1 - first) * p.grad), alpha=-group["lr"])
                m.mul_(second).add_(p.grad, alpha=1 - second)

class Normed(Lion):
    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                p.sub_(group["lr"] * p.grad / p.grad.norm().clamp_min(1e-30))

class Decaying(Lion):
    @torch.no_grad()
    def step(self, closure=None):
        for group in self.param_groups:
            for p in group["params"]:
                p.sub_(group["lr"] * (p.grad + 0.1 * p))

class Exacting(Lion):
    def step(self, closure):
        return closure()

class Failing(Lion):
    def step(self, closure=None):
        raise RuntimeError("first line\\nsecond line")
"""
    )
    (tmp_path / "broken_lib.py").write_text("import sys\nsys.exit(5)\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("mylib", None)


@pytest.mark.parametrize("gradient", [Selective(), Product(), LowGradient()], ids=lambda g: g.name)
@pytest.mark.parametrize("coupling", COUPLINGS)
@pytest.mark.parametrize("pair", PAIRS)
def test_equals_the_law(pair, coupling, gradient):
    written, ours = PAIRS[pair]
    fields = {"gradient": gradient, "regularizer": L2(strength=1e-2, coupling=coupling)}
    assert_same_features(table(rule_of(written), **fields), table(ours, **fields))


def test_equals_the_law_on_a_grid_and_under_l1():
    axes = (Axis("regularizer.coupling", COUPLINGS), Axis("gradient.p", (0.01, 0.3, 1.0)), RATES)
    fields = {"gradient": Product(), "regularizer": L1(strength=1e-3), "axes": axes, "decayed": "outgoing"}
    assert_same_features(table(rule_of(ADAM), **fields), table(Adam(beta2=0.99), **fields))


def test_rules_can_be_an_axis_beside_rates():
    found = table(Adam(), axes=(RATES, Axis("rule", (ADAM, "adam"))))
    own = found[found["spec.rule"] == ADAM].drop(columns="spec.rule").reset_index(drop=True)
    assert_same_features(own, table(Adam(beta2=0.99), axes=(RATES,)))


def test_blocks_and_chunks_do_not_change_a_setting(monkeypatch):
    fields = {"gradient": Selective(), "axes": (Axis("gradient.p", (0.05, 0.5)), Axis("regularizer.strength", (0.0, 1e-3)))}
    whole = table(rule_of(ADAM), **fields)
    monkeypatch.setattr(toy.simulate, "CHUNK_STEPS", 7)
    monkeypatch.setattr(toy.simulate, "BLOCK_LANES", 5)
    assert_same_features(table(rule_of(ADAM), **fields), whole)


@pytest.mark.parametrize("coupling", COUPLINGS[1:])
def test_forces_beside_the_step_are_exact(coupling):
    fields = {"gradient": Product(), "regularizer": L2(strength=1e-2, coupling=coupling), "records": 200}
    found, law = table(rule_of(ADAM), **fields), table(Adam(beta2=0.99), **fields)
    for force in ("loss_force", "reg_force"):
        assert found[force].abs().max() > 1e-6
        np.testing.assert_allclose(found[force], law[force], rtol=1e-9, atol=1e-15)
    assert found["denominator"].isna().all()


def test_coupled_forces_are_unknown_unless_there_is_no_regularizer():
    found = table(rule_of(ADAM), axes=(Axis("regularizer.strength", (0.0, 1e-3)),))
    decayed = found["spec.regularizer.strength"] > 0
    assert found.loc[decayed, ["loss_force", "reg_force"]].isna().all(axis=None)
    law = table(Adam(beta2=0.99), regularizer=L2(strength=0.0))
    np.testing.assert_allclose(found.loc[~decayed, "loss_force"], law["loss_force"], rtol=1e-9, atol=1e-15)
    assert (found.loc[~decayed, "reg_force"] == 0).all()


def test_float32_stays_float32():
    found = table(rule_of(ADAM), dtype="float32", gradient=Product())
    assert {str(found[c].dtype) for c in ("scale", "outgoing", "loss_force", "product")} == {"float32"}


def test_the_default_decay_of_a_class_is_switched_off():
    assert_same_features(table(rule_of("torch:torch.optim.AdamW(betas=[0.9,0.99])")), table(Adam(beta2=0.99)))


@pytest.mark.usefixtures("mylib")
def test_a_users_own_lion():
    found = table(rule_of("torch:mylib.Lion(betas=[0.9, 0.5])"), regularizer=L2(strength=0.0), records=200, schedule=Cosine())
    noise = toy.simulate.stream(1, "gradient").standard_normal((200, 3)) * np.where(np.arange(200) < 100, 1e-3, 1e-5)[:, None]
    w, m = np.ones(3), np.zeros(3)
    for t, g in enumerate(noise):
        w = w - 1e-3 * Cosine().scale(t, 200) * np.sign(0.9 * m + (1 - 0.9) * g)
        m = 0.5 * m + 0.5 * g
        np.testing.assert_allclose(found[found["step"] == t + 1]["scale"], w, rtol=1e-12)


def test_the_general_engine_fills_the_visits(monkeypatch):
    compiled = table(rule_of(ADAM), gradient=Selective())
    monkeypatch.setattr(toy.simulate, "choose_engine", lambda: INTERPRETED)
    assert_same_features(table(rule_of(ADAM), gradient=Selective()), compiled)


@pytest.mark.usefixtures("mylib")
@pytest.mark.parametrize(
    ("written", "named"),
    [
        ("torch.optim.LBFGS()", "closure"),
        ("torch.optim.SparseAdam()", "one-dimensional parameter without a closure (RuntimeError"),
        ("torch.optim.Muon()", "one-dimensional parameter (ValueError"),
        ("torch.optim.Adafactor()", "not element-wise"),
        ("torch.optim.Adm()", "AdamW"),
        ("torch.optim.lr_scheduler.StepLR()", "it has none"),
        ("torch.optim.Adam(beta2=0.9)", "unexpected keyword argument 'beta2'"),
        ("torch.optim.Adam(betas=[0.9, 2])", "Invalid beta"),
        ("no_such_package.Lion()", "no_such_package cannot be imported (ModuleNotFoundError"),
        ("broken_lib.Lion()", "broken_lib cannot be imported (SystemExit: 5"),
        ("mylib.Normed()", "not element-wise"),
        ("mylib.Decaying()", "decay of its own"),
        ("mylib.Exacting()", "closure"),
        ("mylib.Failing()", "RuntimeError: first line)"),
    ],
)
def test_what_cannot_be_driven_is_refused_in_one_line(written, named, tmp_path, capsys):
    command = ["run", "selectivity", f"rule=torch:{written}", "steps=20", "features=2", "--seeds", "1"]
    assert main(LAYER, [*command, "--runs", str(tmp_path / "runs")]) == 2
    printed = capsys.readouterr()
    assert len(printed.err.strip().splitlines()) == 1
    assert named in printed.err
    assert not printed.out


def test_refused_at_full_scale():
    with pytest.raises(UserError, match="toy layer only"):
        rule_of(ADAM).direction(0.0, 0.0, (), ())


def test_run_and_record(tmp_path, capsys):
    command = [
        "selectivity",
        "rule=torch:torch.optim.RAdam()",
        "steps=200",
        "features=2",
        "--seeds",
        "1",
        "--runs",
        str(tmp_path),
    ]
    assert main(LAYER, ["run", *command]) == 0
    assert "product_mean" in capsys.readouterr().out
    assert main(LAYER, ["show", *command]) == 0
    shown = capsys.readouterr().out
    assert "0/1" not in shown
    assert "rule.path = torch.optim.RAdam" in shown
    spec = LAYER.specs(command[0], command[1:4])[0]
    assert spec.rule == TorchRule("torch.optim.RAdam")
    assert (tmp_path / "toy" / spec_id(spec)).is_dir()


def test_naming_a_torch_rule_does_not_import_torch():
    code = (
        "import sys; from toy.suite import LAYER; import toy.simulate, toy.engines.torch_backend\n"
        f"LAYER.specs('decay', ['rule={ADAM}'])\n"
        "print('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True).stdout.strip() == "False"
