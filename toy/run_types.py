"""The kinds of run of the toy: features each alone, and a layer of them."""

from __future__ import annotations

from mechanisms.records.kinds import Kind, Kinds
from toy.engines import blocks as grids
from toy.layer.spec import LayerSpec
from toy.spec import ToySpec

KINDS = Kinds(
    Kind(ToySpec, "toy.simulate:run", "toy.summary:summarize"),
    Kind(LayerSpec, "toy.layer.simulate:run", "toy.layer.summary:summarize"),
)
spec_of, run, summarize = KINDS.read, KINDS.run, KINDS.summarize


def blocks(spec: ToySpec | LayerSpec) -> tuple[ToySpec | LayerSpec, ...]:
    """The blocks of a grid; a layer is one."""
    return grids.blocks(spec) if isinstance(spec, ToySpec) else (spec,)
