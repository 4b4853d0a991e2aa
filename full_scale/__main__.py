"""`python -m full_scale VERB`: those of every suite, and one module of `full_scale.commands` for each further verb."""

from __future__ import annotations

if __name__ == "__main__":  # until the command line listens, Ctrl-C ends the process without a word
    import signal

    signal.signal(signal.SIGINT, signal.SIG_DFL)

import sys
from collections.abc import Sequence

from full_scale.suite import LAYER
from mechanisms.command_line.framework import SUITE_VERBS, Verbs, call, verbs_of

HELP = "Networks: their experiments, and the removal of their dead filters."
VERBS = Verbs(HELP, verbs_of(SUITE_VERBS, "full_scale.commands"), LAYER)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line; returns the exit status."""
    return call(VERBS, "python -m full_scale", arguments)


if __name__ == "__main__":
    sys.exit(main())
