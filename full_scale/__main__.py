"""`python -m full_scale VERB`: those of every suite, and one module of `full_scale.commands` for each further verb."""

if __name__ == "__main__":  # until the command line listens, Ctrl-C ends the process without a word
    import signal

    signal.signal(signal.SIGINT, signal.SIG_DFL)

import functools
import sys

from full_scale.suite import LAYER
from mechanisms.command_line.framework import call, suite_verbs

VERBS = suite_verbs(LAYER, "full_scale.commands")
main = functools.partial(call, VERBS)

if __name__ == "__main__":
    sys.exit(main())
