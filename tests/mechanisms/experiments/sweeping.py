"""Sweeps of `slow_layer` in processes of their own: started, watched, killed, and what they leave."""

import os
import subprocess
import sys
import time
from pathlib import Path

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
PATIENCE = 120
"""Seconds that a condition may take on a busy machine."""


def surroundings(folder):
    return {
        **os.environ,
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(HERE)]),
        "SLOW_LOG": str(folder / "log"),
        "OMP_NUM_THREADS": "1",
        "DASK_DISTRIBUTED__COMM__TIMEOUTS__CONNECT": "5s",
        "DASK_DISTRIBUTED__LOGGING__DISTRIBUTED": "error",
    }


def start(folder, *words, **options):
    """A sweep under way in a folder, with its records in `runs` there; its standard error goes to a pipe."""
    command = [sys.executable, str(HERE / "slow_layer.py"), *words, "--runs", "runs"]
    pipes = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    return subprocess.Popen(command, env=surroundings(folder), cwd=folder, **pipes, **options)


def finish(process):
    """(exit status, what it said)."""
    said = process.communicate(timeout=PATIENCE)[1]
    return process.returncode, said


def log(folder):
    """What was begun: (number, seed, process id) of each run."""
    path = folder / "log"
    lines = path.read_text(encoding="ascii").splitlines() if path.exists() else []
    return [tuple(map(int, line.split())) for line in lines if line.count(" ") == 2]


def wait_until(condition, what):
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, f"never: {what}"
        time.sleep(0.02)


def records(folder):
    """The folders that look like records."""
    return [path for path in (folder / "runs").glob("slow/*/seed_*") if "." not in path.name]


def assert_whole(folder, number):
    """So many records are there, each whole and of its own settings, and nothing half-done beside them."""
    from mechanisms.records.store import read_manifest, read_tables

    found = records(folder)
    assert len(found) == number
    for record in found:
        manifest = read_manifest(record)
        scale = read_tables(record, manifest)["features"]["scale"].item()
        assert scale == manifest["spec"]["number"] + manifest["seed"] / 1000
        assert (record.parent.name, record.name) == (manifest["spec_id"], f"seed_{manifest['seed']}")


def is_running(pid):
    """Whether a process lives; one that has ended and that nobody asked about yet does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text(encoding="ascii").rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def processes_that_mention(text):
    """Process ids whose command line has a text."""
    found = []
    for path in Path("/proc").glob("[0-9]*/environ"):
        try:
            if text.encode() in path.read_bytes() and int(path.parent.name) != os.getpid():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return [pid for pid in found if is_running(pid)]
