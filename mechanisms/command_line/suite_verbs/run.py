"""The verb `run`."""

from __future__ import annotations

from pathlib import Path

import click

from mechanisms.command_line.framework import Verb, verb
from mechanisms.command_line.options import (
    CONTEXT,
    Chosen,
    context_options,
    experiment_options,
    jobs_option,
    option,
    table_options,
)
from mechanisms.records.suites import Layer, resolve
from mechanisms.system.console import print_table
from mechanisms.system.context import RunContext
from mechanisms.validation import UserError, require_above


class _Run(Verb):
    """The command with the options that concern its suite."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """As click does, without settings of which the suite has none."""
        layer: Layer = ctx.obj
        left_out = set(CONTEXT) - set(layer.settings)
        left_out |= set() if "device" in layer.settings else {"gpu_share"}
        left_out |= set() if layer.run_together else {"together"}
        return [one for one in super().get_params(ctx) if one.name not in left_out]


@verb("EXPERIMENT --seeds 10 --jobs 2", "EXPERIMENT regularizer.strength=1e-3 steps=60 --seed 0", cls=_Run)
@experiment_options
@jobs_option(None)
@option("--cluster ADDRESS", "Dask scheduler on whose workers to compute, tcp://HOST:PORT.")
@option("--gpu-share X", "Part of a worker's GPU for each run, on a cluster (default: 1).", type=float)
@option("--together N", "Runs in turn in each process.", 1)
@context_options
@table_options
def command(
    chosen: Chosen,
    context: RunContext,
    jobs: int | None,
    cluster: str | None,
    runs: Path,
    as_json: bool,
    together: int = 1,
    gpu_share: float | None = None,
) -> None:
    """Make the missing records of an experiment, and print a summary."""
    from mechanisms.sweeps.executors import on_cluster
    from mechanisms.sweeps.runner import run_all
    from mechanisms.system.processes import companions

    layer, store = chosen.layer, chosen.store(runs, reference=False)
    share = _gpu_share(context.device.startswith("cuda"), gpu_share, cluster)
    if cluster and jobs is not None:
        raise UserError("--jobs is for this machine: a cluster decides by itself how many workers it has, leave --jobs out")
    executor = on_cluster(cluster, share) if cluster else None
    run_all(layer, store, chosen.specs, chosen.seeds, jobs or 1, together, executor, context)
    if companions()[0] == 0:
        print_table(resolve(layer.summarize)(store, chosen.specs, chosen.seeds), as_json)


def _gpu_share(on_gpu: bool, share: float | None, cluster: str | None) -> float | None:
    """What each run takes of the resource "GPU" of a cluster's worker; None where it computes on no GPU."""
    if share is None:
        return 1.0 if on_gpu else None
    require_above("--gpu-share", share, 0)
    if not (on_gpu and cluster):
        raise UserError("--gpu-share is for runs on the GPUs of a cluster: give --cluster ADDRESS and --device cuda too")
    return share
