"""Where a result comes from: command, code version, library versions, machine."""

from __future__ import annotations

import functools
import platform
import subprocess
import sys
from pathlib import Path
from typing import Any


def provenance() -> dict[str, Any]:
    """What a reader needs to make a result again: command, code version, library versions, machine."""
    versions = {
        name: sys.modules[name].__version__
        for name in ("numpy", "scipy", "numba", "pandas", "torch", "sklearn", "matplotlib")
        if name in sys.modules and hasattr(sys.modules[name], "__version__")
    }
    return {
        "command": [Path(sys.argv[0]).name, *sys.argv[1:]],
        "git": _git_state_at_start(),
        "versions": {"python": platform.python_version(), **versions},
        "platform": platform.platform(terse=True),
    }


@functools.cache
def _git_state_at_start() -> dict[str, Any] | None:
    """Asked once: the code of a process is that of its start."""
    return git_state()


def git_state() -> dict[str, Any] | None:
    """Commit and dirty flag of the checkout that this code runs from; None where there is none."""
    here = Path(__file__)
    git = ["git", "-C", str(here.parent)]
    questions = (["ls-files", "--error-unmatch", here.name], ["rev-parse", "HEAD"], ["status", "--porcelain", "-uno"])
    try:
        answers = [subprocess.run([*git, *q], capture_output=True, text=True, timeout=5) for q in questions]
    except (OSError, subprocess.TimeoutExpired):
        return None
    if any(answer.returncode for answer in answers):
        return None
    return {"commit": answers[1].stdout.strip(), "dirty": bool(answers[2].stdout.strip())}
