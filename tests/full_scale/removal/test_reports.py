"""What a report says: numbers with their unit, and nothing else on the screen."""

import traceback

import pytest
import torch
from torch import fx, nn

from full_scale.removal import audit, shrink
from mechanisms.validation import UserError
from tests.full_scale.removal.structures import Chain, with_dead

IMAGES = torch.randn(4, 3, 12, 12, generator=torch.Generator().manual_seed(1))


class Fixed(nn.Module):
    """A classifier of maps of one size: it does not run on larger images."""

    def __init__(self):
        super().__init__()
        self.conv, self.norm, self.classifier = nn.Conv2d(3, 8, 3, padding=1), nn.BatchNorm2d(8), nn.Linear(8 * 144, 4)

    def forward(self, x):
        return self.classifier(torch.relu(self.norm(self.conv(x))).flatten(1))


class Loud(nn.Module):
    def forward(self, x):
        raise RuntimeError("graph " * 10**5 + "\nsecond line")


def test_multiply_accumulates_are_those_of_one_example():
    network = with_dead(Chain, 0.0)
    one, four = (audit(network, IMAGES[:count]) for count in (1, 4))
    assert one.costs.macs == four.costs.macs > 0
    assert (one.costs.examples, four.costs.examples) == (1, 4)
    assert f"{one.costs.macs:,} multiply-accumulates per example, " in str(one)
    assert " ms per call of 4 examples" in str(four)


def test_numbers_have_their_shares():
    _, report = shrink(with_dead(Chain, 0.0), IMAGES)
    lines = str(report).splitlines()
    after = next(line for line in lines if line.startswith("after: "))
    before, now = report.before, report.after
    assert f"{now.parameters:,} parameters ({100 * (now.parameters / before.parameters - 1):+.1f} %)" in after
    assert f"per example ({100 * (now.macs / before.macs - 1):+.1f} %)" in after
    dead, count = int((report.features["kind"] != "alive").sum()), len(report.features)
    assert lines[0].endswith(f"({100 * dead / count:.1f} % and {100 * report.features['removable'].mean():.1f} %)")


def test_a_size_that_does_not_run_prints_nothing(capfd):
    network = Fixed().eval()
    network.norm.weight.data[:3] = 0
    _, report = shrink(fx.symbolic_trace(network), IMAGES)
    assert set(report.differences["shape"]) == {"2×3×12×12", "4×3×12×12"}
    with pytest.raises(UserError, match="does not run on an input"):
        audit(fx.symbolic_trace(network), torch.randn(1, 3, 14, 14))
    assert capfd.readouterr().err == ""


def test_the_cause_of_a_refusal_is_not_printed_as_well():
    with pytest.raises(UserError, match="does not run") as refusal:
        shrink(Loud(), IMAGES)
    assert len(str(refusal.value)) < 300
    assert "second line" not in "".join(traceback.format_exception(refusal.value))
