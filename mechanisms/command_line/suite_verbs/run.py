"""The verb `run`."""

from __future__ import annotations

import os
from pathlib import Path

import click

from mechanisms.command_line.framework import Verb, verb
from mechanisms.command_line.options import Chosen, experiment_options, table_options
from mechanisms.records.suites import Layer, resolve
from mechanisms.system.console import print_table
from mechanisms.validation import UserError, require_above


class _Run(Verb):
    """The command with the options that concern its suite."""

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """As click does, with the settings of the suite, and without what it cannot do."""
        layer: Layer = ctx.obj
        left_out = {"gpu_share": not layer.device_variable, "together": not layer.run_together}
        own = [
            click.Option([one.option, one.variable], metavar=one.metavar, help=one.help)
            if one.metavar
            else click.Option([one.option, one.variable], flag_value="1", help=one.help)
            for one in layer.settings
        ]
        return [*own, *(one for one in super().get_params(ctx) if not left_out.get(one.name or ""))]


@verb("EXPERIMENT --seeds 10 --jobs 2", "EXPERIMENT regularizer.strength=1e-3 steps=60 --seed 0", cls=_Run)
@experiment_options
@click.option("--jobs", type=int, metavar="N", help="Processes on this machine.  [default: 1]")
@click.option("--cluster", metavar="ADDRESS", help="Dask scheduler on whose workers to compute, tcp://HOST:PORT.")
@click.option("--gpu-share", type=float, metavar="X", help="Part of a worker's GPU for each run, on a cluster.  [default: 1]")
@click.option("--together", type=int, default=1, show_default=True, metavar="N", help="Runs in turn in each process.")
@table_options
def command(
    chosen: Chosen,
    jobs: int | None,
    cluster: str | None,
    runs: Path,
    as_json: bool,
    together: int = 1,
    gpu_share: float | None = None,
    **settings: str | None,
) -> None:
    """Make the missing records of an experiment, and print a summary."""
    from mechanisms.sweeps.executors import on_cluster
    from mechanisms.sweeps.runner import run_all
    from mechanisms.system.processes import companions

    layer, store = chosen.layer, chosen.store(runs, reference=False)
    os.environ.update({variable: value for variable, value in settings.items() if value is not None})
    share = _gpu_share(layer, gpu_share, cluster)
    if cluster and jobs is not None:
        raise UserError("--jobs is for this machine: a cluster decides by itself how many workers it has, leave --jobs out")
    executor = on_cluster(cluster, share) if cluster else None
    run_all(layer, store, chosen.specs, chosen.seeds, 1 if jobs is None else jobs, together, executor)
    if companions()[0] == 0:
        print_table(resolve(layer.summarize)(store, chosen.specs, chosen.seeds), as_json)


def _gpu_share(layer: Layer, share: float | None, cluster: str | None) -> float | None:
    """What each run takes of the resource "GPU" of a cluster's worker; None where it computes on no GPU."""
    on_gpu = bool(layer.device_variable) and os.environ.get(layer.device_variable or "", "").startswith("cuda")
    if share is None:
        return 1.0 if on_gpu else None
    require_above("--gpu-share", share, 0)
    if not (on_gpu and cluster):
        raise UserError("--gpu-share is for runs on the GPUs of a cluster: give --cluster ADDRESS and --device cuda too")
    return share
