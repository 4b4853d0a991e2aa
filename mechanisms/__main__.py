"""`python -m mechanisms VERB`: one module of `mechanisms.commands` a verb."""

from __future__ import annotations

if __name__ == "__main__":  # until the command line listens, Ctrl-C ends the process without a word
    import signal

    signal.signal(signal.SIGINT, signal.SIG_DFL)

import sys
from collections.abc import Sequence

from mechanisms import commands as verbs
from mechanisms.command_line import verb_modules


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command line; returns the exit status."""
    return verb_modules.main("python -m mechanisms", "What the law says of your own training, and of records.", verbs, arguments)


if __name__ == "__main__":
    sys.exit(main())
