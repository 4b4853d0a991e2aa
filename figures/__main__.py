"""`python -m figures VERB`: one module of `figures.commands` a verb."""

if __name__ == "__main__":  # until the command line listens, Ctrl-C ends the process without a word
    import signal

    signal.signal(signal.SIGINT, signal.SIG_DFL)

import functools
import sys

from mechanisms.command_line.framework import Verbs, call, verbs_of

HELP = "Figures drawn from records, a report, an explorer."
VERBS = Verbs("python -m figures", HELP, verbs_of("figures.commands"))
main = functools.partial(call, VERBS)

if __name__ == "__main__":
    sys.exit(main())
