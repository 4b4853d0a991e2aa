"""`python -m toy list | show | run`."""

import sys

from mechanisms.experiments.command_line import main
from toy.layer import LAYER

if __name__ == "__main__":
    sys.exit(main(LAYER))
