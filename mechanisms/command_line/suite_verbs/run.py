"""Make the missing records of an experiment, and print a summary."""

from __future__ import annotations

import argparse
import os
from typing import Any

from mechanisms.command_line.suite_verbs.common import add_experiment_arguments, seeds_of, specs_of, store_of
from mechanisms.records.suites import Layer, resolve
from mechanisms.system.console import print_table
from mechanisms.validation import UserError, require_above


def add_arguments(parser: argparse.ArgumentParser, layer: Layer) -> None:
    """The options of the verb."""
    add_experiment_arguments(parser)
    parser.add_argument("--jobs", type=int, help="processes on this machine (1)")
    parser.add_argument("--cluster", metavar="ADDRESS", help="Dask scheduler on whose workers to compute, tcp://HOST:PORT")
    if layer.device_variable:
        parser.add_argument("--gpu-share", type=float, metavar="X", help="part of a worker's GPU for each run, on a cluster (1)")
    if layer.run_together:
        parser.add_argument("--together", type=int, default=1, metavar="N", help="runs in turn in each process (%(default)s)")
    for setting in layer.settings:
        how: Any = {"metavar": setting.metavar} if setting.metavar else {"action": "store_const", "const": "1"}
        parser.add_argument(setting.option, dest=setting.variable, help=setting.help, **how)


def run(layer: Layer, options: argparse.Namespace) -> None:
    """Makes the records, then prints the layer's summary of them."""
    from mechanisms.sweeps.executors import on_cluster
    from mechanisms.sweeps.runner import run_all
    from mechanisms.system.processes import companions

    specs, seeds, store = specs_of(layer, options), seeds_of(options), store_of(layer, options, reference=False)
    given = {setting.variable: getattr(options, setting.variable) for setting in layer.settings}
    os.environ.update({variable: value for variable, value in given.items() if value is not None})
    share = _gpu_share(layer, options)
    if options.cluster and options.jobs is not None:
        raise UserError("--jobs is for this machine: a cluster decides by itself how many workers it has, leave --jobs out")
    executor = on_cluster(options.cluster, share) if options.cluster else None
    jobs = 1 if options.jobs is None else options.jobs
    run_all(layer, store, specs, seeds, jobs, getattr(options, "together", 1), executor)
    if companions()[0] == 0:
        print_table(resolve(layer.summarize)(store, specs, seeds), options.json)


def _gpu_share(layer: Layer, options: argparse.Namespace) -> float | None:
    """What each run takes of the resource "GPU" of a cluster's worker; None where it computes on no GPU."""
    on_gpu = bool(layer.device_variable) and os.environ.get(layer.device_variable or "", "").startswith("cuda")
    share = getattr(options, "gpu_share", None)
    if share is None:
        return 1.0 if on_gpu else None
    require_above("--gpu-share", share, 0)
    if not (on_gpu and options.cluster):
        raise UserError("--gpu-share is for runs on the GPUs of a cluster: give --cluster ADDRESS and --device cuda too")
    return float(share)
