"""`python -m mechanisms VERB`: one module of `mechanisms.commands` a verb."""

if __name__ == "__main__":  # until the command line listens, Ctrl-C ends the process without a word
    import signal

    signal.signal(signal.SIGINT, signal.SIG_DFL)

import functools
import sys

from mechanisms.command_line.framework import Verbs, call, verbs_of

HELP = "What the law says of your own training, and of records."
VERBS = Verbs("python -m mechanisms", HELP, verbs_of("mechanisms.commands"))
main = functools.partial(call, VERBS)

if __name__ == "__main__":
    sys.exit(main())
