"""Two processes on one training agree with one process, with synchronized statistics and without."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from full_scale.training.distributed import forward_in_shards

ROOT = Path(__file__).parents[2]
SCRIPT = """
import json, os, sys
import torch
torch.set_default_dtype(torch.float64)
from full_scale.data.base import Data, Examples
from full_scale.data.digits import Digits
from full_scale.models.basic_net import BasicNet
from full_scale.training.spec import TrainSpec
from full_scale.training import loop as train
from mechanisms.law.regularizers import L2
from mechanisms.law.update_rules import Adam
load = Digits.load
def doubled(self):
    data = load(self)
    return Data(*(Examples(part.images.double(), part.labels) for part in (data.train, data.test)))
Digits.load = doubled
spec = TrainSpec(network=BasicNet(width=0.0625), rule=Adam(epsilon=1e-3), regularizer=L2(strength=1e-2), learning_rate=1e-2,
                 batch_size=20, steps=4, measurements=4, norm_shards=int(sys.argv[1]))
build = BasicNet.build
def in_double(self, *arguments):
    built = build(self, *arguments)
    built.module.double()
    return built
BasicNet.build = in_double
tables, extra = train.run(spec, 0)
if os.environ.get("RANK", "0") == sys.argv[2]:
    numbers = tables["features"].select_dtypes("number").fillna(0).to_numpy().tolist()
    print(json.dumps([extra["processes"], extra["batch_size_a_process"], extra["statistics_synchronized"], numbers]))
"""


def tables_of(processes: int, shards: int, rank: int = 0) -> list[Any]:
    launcher = (
        ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--no-python", sys.executable]
        if processes == 2
        else []
    )
    done = subprocess.run(
        [sys.executable, *launcher, "-c", SCRIPT, str(shards), str(rank)],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return json.loads(done.stdout.strip().splitlines()[-1])


@pytest.mark.parametrize(("shards", "rank"), [(1, 1), (2, 0)], ids=["synchronized", "statistics of each process alone"])
def test_two_gloo_processes_agree_with_one(shards: int, rank: int) -> None:
    """Float64, four steps: sums in another order, so 1e-9 relative, a thousand times the rounding of a thousand additions."""
    *about_one, one = tables_of(1, shards)
    *about_two, two = tables_of(2, shards, rank)
    assert about_one == [1, 20, False]
    assert about_two == [2, 10, shards == 1]
    torch.testing.assert_close(torch.tensor(two), torch.tensor(one), rtol=1e-9, atol=1e-11)


def test_the_two_forms_differ() -> None:
    assert tables_of(1, 1)[-1] != tables_of(1, 2)[-1]


def test_shards_have_statistics_of_their_own_and_the_first_makes_the_running_ones() -> None:
    norm, images = nn.BatchNorm2d(2), torch.randn(6, 2, 3, 3, generator=torch.Generator().manual_seed(0))
    alone = [nn.BatchNorm2d(2) for _ in range(3)]
    expected = torch.cat([own(part) for own, part in zip(alone, images.chunk(3), strict=True)])
    torch.testing.assert_close(forward_in_shards(norm, images, 3), expected)
    torch.testing.assert_close(norm.running_var, alone[0].running_var)
    assert norm.momentum == 0.1
