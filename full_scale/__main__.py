"""`python -m full_scale VERB`: those of every layer, and one module of `full_scale.commands` for each further verb."""

from __future__ import annotations

if __name__ == "__main__":  # until the command line listens, Ctrl-C ends the process without a word
    import signal

    signal.signal(signal.SIGINT, signal.SIG_DFL)

import sys
from collections.abc import Sequence

from full_scale import commands as verbs
from full_scale.suite import LAYER
from mechanisms.command_line import framework as command_line
from mechanisms.command_line import verb_modules

PROGRAM = f"python -m {LAYER.name}"
DESCRIPTION = "Networks: their experiments, and the removal of their dead filters."


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs one command line; returns the exit status."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    own = verb_modules.discover(verbs)
    if words and words[0] in command_line.verbs_of(command_line.SUITE_VERBS):
        return command_line.main(LAYER, words)
    if not words or words[0] not in own:
        texts = dict.fromkeys(command_line.verbs_of(command_line.SUITE_VERBS), "") | {
            name: verb_modules.summary(module) for name, module in own.items()
        }
        verb_modules.overview(PROGRAM, DESCRIPTION, texts).parse_args(words)
    return verb_modules.main(PROGRAM, DESCRIPTION, verbs, words)


if __name__ == "__main__":
    sys.exit(main())
