"""`python -m toy VERB`: the verbs of every suite."""

if __name__ == "__main__":  # until the command line listens, Ctrl-C ends the process without a word
    import signal

    signal.signal(signal.SIGINT, signal.SIG_DFL)

import functools
import sys

from mechanisms.command_line.framework import call, suite_verbs
from toy.suite import LAYER

VERBS = suite_verbs(LAYER)
main = functools.partial(call, VERBS)

if __name__ == "__main__":
    sys.exit(main())
