"""What is known of values is true: sampled values lie within the bounds, and constants are constant."""

import pytest
import torch

from full_scale.removal.analysis.constants import analyse
from full_scale.removal.analysis.graph import trace
from full_scale.removal.analysis.running import each_value
from full_scale.removal.analysis.values import Values, added, concatenated, either, multiplied
from tests.full_scale.removal.random_networks import RandomNetwork


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("seed", range(100, 106))
def test_values_of_random_networks_lie_within_their_bounds(seed, dtype):
    network = RandomNetwork(seed).to(dtype)
    inputs = (torch.rand(6, 3, 12, 12, dtype=dtype, generator=torch.Generator().manual_seed(seed)) * 2 - 1,)
    inputs[0][0], inputs[0][1] = 1, -1
    traced = trace(network, inputs)
    tracker = analyse(traced, (-1.0, 1.0))
    checked = 0
    for node, held in each_value(traced, inputs):
        value = held[0] if isinstance(held, tuple | list) else held
        state = tracker.state(node)
        if state is None:
            continue
        numbers = value.double().movedim(state.axis, 0).reshape(len(state.units), -1)
        slack = 1e-5 if dtype == torch.float32 else 1e-13
        slack = slack * (1 + numbers.abs().amax(1))
        assert (numbers.amin(1) >= state.values.low - slack).all(), node
        assert (numbers.amax(1) <= state.values.high + slack).all(), node
        uniform = state.values.is_uniform
        assert (numbers[uniform] - state.values.constant[uniform, None]).abs().amax() <= slack.max() if uniform.any() else True
        checked += int(uniform.sum())
        patterned = ~state.values.constant.isnan() & ~uniform
        for pattern in state.values.pattern[patterned].unique():
            same = state.values.pattern == pattern
            maps = numbers[same] / state.values.constant[same, None]
            assert (maps - maps[:1]).abs().max() <= 1e3 * slack.max()
    assert checked > 0


def values(low, high):
    return Values.bounded(torch.tensor(low).double(), torch.tensor(high).double())


def test_a_product_with_zero_is_zero_whatever_the_other():
    unbounded, zero = Values.unknown(1), values([0.0], [0.0])
    assert multiplied(unbounded, zero).constant.item() == 0
    assert multiplied(unbounded, zero).pattern.item() == 0


def test_a_pattern_survives_zero_and_a_uniform_factor_only():
    bordered = values([0.0], [2.0]).with_constants(torch.tensor([2.0]).double(), torch.tensor([7]))
    two, zero, free = values([2.0], [2.0]), values([0.0], [0.0]), values([0.0], [1.0])
    assert (added(bordered, zero).constant.item(), added(bordered, zero).pattern.item()) == (2.0, 7)
    assert (multiplied(two, bordered).constant.item(), multiplied(two, bordered).pattern.item()) == (4.0, 7)
    for lost in (added(bordered, two), added(bordered, bordered), multiplied(bordered, bordered), multiplied(bordered, free)):
        assert lost.constant.isnan().all()
    assert bordered.without_patterns().constant.isnan().all()
    assert not bordered.is_uniform.any()


def test_one_of_two_constants_is_no_constant():
    assert either(values([1.0], [1.0]), values([2.0], [2.0])).constant.isnan().all()
    assert either(values([1.0], [1.0]), values([1.0], [1.0])).constant.item() == 1
    assert concatenated([values([1.0], [1.0]), values([0.0], [2.0])]).constant.tolist()[0] == 1
