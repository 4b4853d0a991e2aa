"""The reference runs of a GPU, by one command: correctness first, then speed, then BasicNet at full width and VGG-16.

    python -m benchmarks.gpu_reference --data DIR --out DIR --time-limit 540

What the time limit cuts off goes on from its checkpoints when the same command is given again with the same `--out`.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.timing import OneLineParser
from mechanisms.command_line.framework import guarded
from mechanisms.system.progress import say
from mechanisms.validation import require_above

CORRECTNESS = ["-m", "pytest", "-q", "-rs", "tests/full_scale/test_device_step.py", "tests/full_scale/test_optimizer.py"]
FULL_WIDTH = ["preset=short", "network.width=1", "network.pools_after=2,4,6", "data.side=0", "data.train_images=0", "steps=25000"]
RUNS = (["optimizers", *FULL_WIDTH], ["strength", *FULL_WIDTH], ["vgg16", "preset=short", "network.width=1", "steps=25000"])
GRACE = 15.0
"""Seconds that a cut-off command has to end in."""


def main() -> int:
    """Runs the commands one after the other until all are done or the time is over."""
    parser = OneLineParser(prog="python -m benchmarks.gpu_reference", description=__doc__.partition("\n")[0])
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="folder with cifar10_jpeg75.npz")
    parser.add_argument("--out", type=Path, required=True, metavar="DIR", help="folder for records and the table of speeds")
    parser.add_argument("--time-limit", type=float, default=540.0, metavar="SECONDS", help="(%(default)s)")
    parser.add_argument("--together", type=int, default=6, help="runs that share the GPU (%(default)s)")
    options = parser.parse_args()

    def run() -> None:
        require_above("--time-limit", options.time_limit, GRACE)
        options.out.mkdir(parents=True, exist_ok=True)
        end = time.monotonic() + options.time_limit - GRACE
        speeds = options.out / "gpu_speed.json"
        if not speeds.exists():
            _require(_within(CORRECTNESS, end, None))
            _require(_within(["-m", "benchmarks.gpu_speed", "--json"], end, speeds))
        for experiment in RUNS:
            where = ["--device", "cuda", "--data", str(options.data)]
            words = [
                *experiment,
                *where,
                "--seeds",
                "3",
                "--together",
                str(options.together),
                "--runs",
                str(options.out / "runs"),
            ]
            if _within(["-m", "full_scale", "run", *words], end, None) != 0:
                say("cut off: the same command goes on")
                return

    return guarded(parser.prog, run)


def _require(status: int) -> None:
    if status:
        raise SystemExit(status)


def _within(command: list[str], end: float, output: Path | None) -> int:
    """The exit status of a command that is interrupted when the time is over; its output goes to a file if one is named."""
    say("python " + " ".join(command))
    with subprocess.Popen([sys.executable, *command], stdout=subprocess.PIPE if output else None) as process:
        try:
            text, _ = process.communicate(timeout=max(0.0, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.send_signal(signal.SIGINT)
            process.wait(GRACE)
            return 130
        if output and not process.returncode:
            output.write_bytes(text)
        return process.returncode


if __name__ == "__main__":
    sys.exit(main())
