"""Blocks of a grid: together they are the grid, in its order, and each computes what the whole does."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mechanisms.records.specs import spec_id
from toy import run_types
from toy.engines import blocks as module
from toy.engines.blocks import blocks
from toy.simulate import run
from toy.spec import Axis, ToySpec
from toy.suite import LAYER

lengths = st.lists(st.integers(1, 7), min_size=0, max_size=3)
FIELDS = ("learning_rate", "regularizer.strength", "gradient.sigma")


def grid(sizes, **fields):
    axes = [Axis(name, tuple(1e-4 * (1 + n) for n in range(size))) for name, size in zip(FIELDS, sizes, strict=False)]
    return ToySpec(axes=tuple(axes), **fields)


def settings(spec):
    """Every setting of a grid, in its order."""
    names = [axis.field for axis in spec.axes]
    return pd.MultiIndex.from_product([axis.values for axis in spec.axes], names=names).tolist() if names else [()]


@given(lengths, st.integers(1, 20))
def test_blocks_are_the_grid_in_its_order_and_none_is_too_large(sizes, most):
    spec = grid(sizes, records=1, features=1)
    before, module.SETTINGS = module.SETTINGS, most
    try:
        found = blocks(spec)
    finally:
        module.SETTINGS = before
    assert [setting for block in found for setting in settings(block)] == settings(spec)
    assert max(block.settings for block in found) <= most
    assert len({spec_id(block) for block in found}) == len(found)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_blocks_compute_what_the_whole_does(dtype, monkeypatch):
    """Bit for bit in float64; in float32 the compiler may group operations otherwise where a block ends."""
    spec = grid((4, 5), steps=50, features=2, records=2, dtype=dtype)
    whole = run(spec, 0)[0]["features"]
    monkeypatch.setattr(module, "SETTINGS", 10)
    parts = pd.concat([run(block, 0)[0]["features"] for block in blocks(spec)], ignore_index=True)
    pd.testing.assert_frame_equal(parts, whole, rtol=1e-5 if dtype == "float32" else 0, atol=0)


def test_no_experiment_that_fits_one_record_is_cut():
    """Its records would otherwise have other names than those made so far."""
    for name in LAYER.names():
        for spec in LAYER.names()[name]():
            assert run_types.blocks(spec) == (spec,)
