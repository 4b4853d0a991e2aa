"""Cuts in place: the function stays, everything that holds the network's parameters goes on, and what cannot be cut is said."""

import copy

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

import implicit_sparsity
from full_scale.removal import Shrinker, shrink
from mechanisms.validation import UserError
from tests.full_scale.removal.structures import STRUCTURES, Chain, with_dead

IMAGES = torch.randn(8, 3, 12, 12, generator=torch.Generator().manual_seed(1))
LABELS = torch.arange(8) % 5
OPTIMIZERS = {
    "Adam": lambda parameters: torch.optim.Adam(parameters, lr=1e-2, weight_decay=1e-2, amsgrad=True),
    "AdamW fused": lambda parameters: torch.optim.AdamW(parameters, lr=1e-2, fused=True),
    "SGD": lambda parameters: torch.optim.SGD(parameters, lr=1e-2, momentum=0.9),
    "Adafactor": lambda parameters: torch.optim.Adafactor(parameters, lr=1e-2),
}


def chain(seed=0):
    torch.manual_seed(seed)
    return Chain()


@torch.no_grad()
def kill(part, features, shift=-1.0):
    """Features of a block that are constant and get no gradient."""
    part[1].weight[features], part[1].bias[features] = 0, shift


def dying(model):
    """The dead stay dead while they are there."""
    for part in (model.first, model.second):
        for parameter in part[1].parameters():
            parameter.requires_grad_(False)
    return [parameter for parameter in model.parameters() if parameter.requires_grad]


def train(model, optimizer, steps, after=lambda: None, images=IMAGES):
    model.train()
    for _ in range(steps):
        optimizer.zero_grad()
        loss = cross_entropy(model(images), LABELS)  # held until the next one, as loops do
        loss.backward()
        optimizer.step()
        after()
    return loss


def outputs(model, images=IMAGES):
    with torch.no_grad():
        return copy.deepcopy(model).eval()(images)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_a_training_goes_on_as_if_the_dead_were_there(name):
    """With features that are 0 and get no gradient, cut and uncut train alike; Adafactor's norms count what is gone."""
    model = chain().double()
    parameters = dying(model)
    whole = copy.deepcopy(model)
    pairs = []
    for one, moved in ((model, parameters), (whole, dying(whole))):
        optimizer = OPTIMIZERS[name](moved)
        pairs.append((one, optimizer, torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, 12)))
    lines = []
    shrinker = Shrinker(model, pairs[0][1], every=2, say=lines.append)
    images = IMAGES.double()
    for count in range(1, 9):
        for one, optimizer, scheduler in pairs:
            train(one, optimizer, 1, images=images)
            scheduler.step()
            if count == 2:
                kill(one.first, slice(2, 5))
            if count == 5:
                kill(one.second, slice(0, 3))
        held = list(model.parameters())
        shrinker.step(images)
        assert all(a is b for a, b in zip(held, model.parameters(), strict=True))
    assert [cut.features for cut in shrinker.cuts] == [{"first.1": [2, 3, 4]}, {"second.1": [0, 1, 2]}]
    assert [cut.step for cut in shrinker.cuts] == [2, 6]
    assert len(lines) == 2
    assert "3 dead features cut (3 of first.1)" in lines[0]
    assert (model.first[0].out_channels, model.second[0].out_channels, model.classifier.in_features) == (5, 5, 5)
    exact = name != "Adafactor"
    torch.testing.assert_close(
        outputs(model, images), outputs(whole, images), rtol=1e-8 if exact else 0.3, atol=1e-10 if exact else 0.1
    )
    assert pairs[0][1].param_groups[0]["lr"] == pairs[1][1].param_groups[0]["lr"]


def test_numbers_are_those_of_the_network_as_it_was_first():
    model = chain()
    optimizer = torch.optim.SGD(dying(model), lr=0.0)
    shrinker = Shrinker(model, optimizer, every=1, say=lambda line: None)
    kill(model.first, [1, 2])
    shrinker.step(IMAGES)
    kill(model.first, [1, 2])  # of those that are left
    cut = shrinker.step(IMAGES)
    assert cut.features == {"first.1": [3, 4]}
    assert cut.constants == {"first.1": [0.0, 0.0]}
    assert cut.macs == (3 * 6 * 9 * 144 + 6 * 8 * 9 * 144 + 8 * 5, 3 * 4 * 9 * 144 + 4 * 8 * 9 * 144 + 8 * 5)
    assert cut.parameters[0] > cut.parameters[1] == sum(p.numel() for p in model.parameters())


def test_what_revives_within_the_patience_stays():
    model = chain()
    optimizer = torch.optim.SGD(dying(model), lr=0.0)
    shrinker = Shrinker(model, optimizer, every=2, patience=4, say=lambda line: None)
    kill(model.first, [0, 1])
    cuts = []
    for step in range(1, 13):
        cuts.append(shrinker.step(IMAGES))
        if step == 3:
            with torch.no_grad():
                model.first[1].weight[1] = 1.0
        if step == 5:
            kill(model.first, [1])
    assert [cut.step for cut in cuts if cut] == [6, 10]
    assert [cut.features["first.1"] for cut in shrinker.cuts] == [[0], [1]]


def test_averages_and_gradient_scalers_go_on():
    model = chain()
    optimizer = torch.optim.AdamW(dying(model), lr=1e-3)
    average = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.5), use_buffers=True)
    scaler = torch.amp.GradScaler("cpu", init_scale=8.0)
    shrinker = Shrinker(model, optimizer, every=2, averages=[average], say=lambda line: None)
    for step in range(6):
        model.train()
        optimizer.zero_grad()
        with torch.autocast("cpu", torch.bfloat16):
            loss = cross_entropy(model(IMAGES), LABELS)
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        average.update_parameters(model)
        if step == 0:
            kill(model.first, [0, 1, 2])
        with torch.autocast("cpu", torch.bfloat16):  # a cut is judged in the dtype of the network all the same
            shrinker.step(IMAGES)
    (cut,) = shrinker.cuts
    assert average.module.first[0].out_channels == model.first[0].out_channels == 5
    assert 0 < cut.averages[0] < 1, "the average remembers what was alive a step ago"
    assert "averaged weights changed" in str(cut)
    assert cut.difference.relative < 1e-5
    assert torch.isfinite(outputs(average.module)).all()


def test_a_compiled_model_goes_on():
    model = chain()
    compiled = torch.compile(model, backend="eager")
    optimizer = torch.optim.Adam(dying(model), lr=1e-3)
    shrinker = Shrinker(compiled, optimizer, every=2, say=lambda line: None)
    kill(model.first, [0, 1])
    train(compiled, optimizer, 3, lambda: shrinker.step(IMAGES))
    assert len(shrinker.cuts) == 1
    torch.testing.assert_close(compiled.eval()(IMAGES), outputs(model))
    assert model.first[0].out_channels == 6


def plain():
    """Without normalization: what is folded needs a new bias."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(3, 8, 1), nn.ReLU(), nn.Conv2d(8, 4, 1, bias=False), nn.ReLU(), nn.Flatten(), nn.Linear(64, 5))


def checkpointed(model, steps, state=None):
    """Trains with cuts, from a checkpoint if one is given; returns model and a checkpoint."""
    images = IMAGES[:, :, :4, :4]
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3)
    shrinker = Shrinker(model, optimizer, every=2, patience=2, input_range=(-6.0, 6.0), say=lambda line: None)
    if state is not None:
        shrinker.load_state_dict(state[2], images)
        model.load_state_dict(state[0])
        optimizer.load_state_dict(state[1])
    for step in range(*steps):
        if step in (1, 5):
            with torch.no_grad():
                model[0].weight[step // 4] = 0
                model[0].bias[step // 4] = 0.3
        train(model, optimizer, 1, images=images)
        if step == 1:
            model[0].weight.data[0] = 0
        shrinker.step(images)
    return model, [*copy.deepcopy([model.state_dict(), optimizer.state_dict()]), shrinker.state_dict()], shrinker


@pytest.mark.parametrize("at", [3, 5, 8])
def test_a_training_resumes_bit_for_bit_after_cuts(at, monkeypatch):
    monkeypatch.setattr(torch.optim.Adam, "step", stubborn(torch.optim.Adam.step))
    whole, _, shrinker = checkpointed(plain(), (0, 10))
    assert len(shrinker.cuts) == 2
    assert whole[2].bias is not None
    _, state, _ = checkpointed(plain(), (0, at))
    resumed, _, _ = checkpointed(plain(), (at, 10), state)
    assert [p.shape for p in resumed.parameters()] == [p.shape for p in whole.parameters()]
    assert all(torch.equal(a, b) for a, b in zip(whole.parameters(), resumed.parameters(), strict=True))


def stubborn(step):
    """An optimizer under which rows that are all 0 stay so."""

    def stepped(self, *args, **kwargs):
        weight = self.param_groups[0]["params"][0]
        dead = (weight.detach() == 0).flatten(1).all(1)
        result = step(self, *args, **kwargs)
        weight.data[dead] = 0
        return result

    return stepped


class Preconditioned(torch.optim.SGD):
    """Keeps a matrix for each parameter."""

    def step(self, closure=None):
        for group in self.param_groups:
            for parameter in group["params"]:
                self.state[parameter].setdefault("matrix", torch.eye(parameter.numel()))
        return super().step(closure)


def test_state_that_cannot_be_cut_is_said_and_the_training_goes_on():
    model, lines = chain(), []
    optimizer = Preconditioned(dying(model), lr=1e-3)
    shrinker = Shrinker(model, optimizer, every=1, say=lines.append)
    kill(model.first, [0])
    train(model, optimizer, 2, lambda: shrinker.step(IMAGES))
    assert len(lines) == 2
    assert "step 1: nothing is cut: the optimizer keeps 'matrix' of" in lines[0]
    assert model.first[0].out_channels == 8


def test_numbers_that_are_not_finite_are_said():
    model, lines = chain(), []
    shrinker = Shrinker(model, torch.optim.SGD(model.parameters(), lr=0.1), every=2, say=lines.append)
    shrinker.step(IMAGES)
    model.first[0].weight.data[0] = float("nan")
    shrinker.step(IMAGES)
    assert "nothing is cut: first.0.weight holds NaN" in lines[0]


@pytest.mark.parametrize("name", ["flattened", "residual", "grouped", "transposed", "one-by-one without norm", "U-Net"])
def test_in_place_is_what_a_smaller_copy_is(name):
    model = with_dead(STRUCTURES[name])
    smaller, _ = shrink(model, IMAGES)
    Shrinker(model, torch.optim.SGD(model.parameters(), lr=0.1), every=1, say=lambda line: None).step(IMAGES)
    assert str(model) == str(smaller)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), smaller.parameters(), strict=True))
    assert all(torch.equal(a, b) for a, b in zip(model.buffers(), smaller.buffers(), strict=True))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        (lambda m, o: Shrinker(m, o, every=0), "every = 0"),
        (lambda m, o: Shrinker(m, o, every=1, patience=-1), "patience = -1"),
        (lambda m, o: Shrinker(nn.DataParallel(m), o, every=1), "several devices"),
        (lambda m, o: Shrinker(nn.utils.weight_norm(m), o, every=1).step(IMAGES), "remove_weight_norm"),
        (lambda m, o: Shrinker(m, "Adam", every=1).step(IMAGES), "not a torch.optim.Optimizer"),
        (lambda m, o: Shrinker(m, o, every=1, input_range=(1.0, 0.0)).step(IMAGES), "low <= high"),
    ],
)
@pytest.mark.filterwarnings("ignore")
def test_what_cannot_be_is_one_line(wrong, message):
    model = nn.Conv2d(3, 4, 1)
    with pytest.raises(UserError, match=message) as raised:
        wrong(model, torch.optim.SGD(model.parameters(), lr=0.1))
    assert "\n" not in str(raised.value)


def test_it_is_a_public_name():
    assert implicit_sparsity.Shrinker is Shrinker
