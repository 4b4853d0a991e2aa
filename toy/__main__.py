"""`python -m toy list | show | run`."""

if __name__ == "__main__":  # until the command line listens, Ctrl-C ends the process without a word
    import signal

    signal.signal(signal.SIGINT, signal.SIG_DFL)

import sys

from mechanisms.command_line.framework import main
from toy.suite import LAYER

if __name__ == "__main__":
    sys.exit(main(LAYER))
