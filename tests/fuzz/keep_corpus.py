"""Keeps one damaged file for each way in which a file was refused, for `test_files.py` to read again.

Run: python -m tests.fuzz.keep_corpus [EXAMPLES]
Files that are kept already stay; each new way of being refused adds one.
"""

import re
import sys
import tempfile
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, settings

from mechanisms.validation import UserError
from tests.fuzz.damage import damaged
from tests.fuzz.test_files import CORPUS, READERS, write_sound_files


def refusal(name, content):
    """What is said of a file, without what differs from file to file; None if it is read."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        try:
            READERS[name](path)
        except UserError as error:
            return re.sub(r"[\"'<{].*|\b0x\w+|\d+", "…", str(error).replace(folder, ""))
    return None


def keep_new(name, content, examples):
    """Damages one kind of file that often; returns what was said, now and before."""
    kept = CORPUS / name
    kept.mkdir(parents=True, exist_ok=True)
    known = {refusal(name, path.read_bytes()) for path in kept.iterdir()} - {None}

    @settings(max_examples=examples, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
    @given(damaged(content))
    def try_one(changed):
        said = refusal(name, changed)
        if said and said not in known:
            (kept / f"{len(known):02}").write_bytes(changed)
            known.add(said)

    try_one()
    return known


def main(examples):
    """Tries every kind of file and prints what was said of it."""
    with tempfile.TemporaryDirectory() as folder:
        write_sound_files(Path(folder))
        for name in READERS:
            print(name, *sorted(keep_new(name, (Path(folder) / name).read_bytes(), examples)), sep="\n  ")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 2_000)
