"""`python -m full_scale list | show | run`."""

from __future__ import annotations

import sys

from full_scale.layer import LAYER
from mechanisms.experiments.command_line import main

if __name__ == "__main__":
    sys.exit(main(LAYER))
