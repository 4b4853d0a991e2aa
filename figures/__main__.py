"""`python -m figures VERB`: one module of `figures.commands` a verb."""

from __future__ import annotations

if __name__ == "__main__":  # until the command line listens, Ctrl-C ends the process without a word
    import signal

    signal.signal(signal.SIGINT, signal.SIG_DFL)

import os
import sys
from collections.abc import Sequence

from mechanisms.command_line.framework import Verbs, call, verbs_of

VERBS = Verbs("Figures drawn from records, a report, an explorer.", verbs_of("figures.commands"))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line; returns the exit status."""
    os.environ["MPLBACKEND"] = "Agg"  # pictures are files: no window, whatever is set
    return call(VERBS, "python -m figures", arguments)


if __name__ == "__main__":
    sys.exit(main())
