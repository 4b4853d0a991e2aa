"""`python -m mechanisms VERB`: one module of `mechanisms.commands` a verb."""

from __future__ import annotations

if __name__ == "__main__":  # until the command line listens, Ctrl-C ends the process without a word
    import signal

    signal.signal(signal.SIGINT, signal.SIG_DFL)

import sys
from collections.abc import Sequence

from mechanisms.command_line.framework import Verbs, call, verbs_of

VERBS = Verbs("What the law says of your own training, and of records.", verbs_of("mechanisms.commands"))


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line; returns the exit status."""
    return call(VERBS, "python -m mechanisms", arguments)


if __name__ == "__main__":
    sys.exit(main())
