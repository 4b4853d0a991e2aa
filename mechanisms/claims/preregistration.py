"""What hypotheses predict of an experiment, written down with the identities of its runs before these are made.

A file is never overwritten. It lists the records that were there when it was written, so that a later verdict can tell a
prediction from a description without trusting any clock.
"""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mechanisms.claims.hypothesis import Hypothesis
from mechanisms.records.loading import Need, on_record
from mechanisms.system.files import read_json, write_whole
from mechanisms.validation import UserError

FORMAT = 1
FIELDS = {"written": str, "hypotheses": dict, "records_there": dict}
FOLDER = "preregistered"
COMMITTED = Path(__file__).parent / FOLDER
"""Those that come with the package."""
AFTER = "after the fact"


def file_name(need: Need) -> str:
    """The name of the file of an experiment at a size."""
    return "-".join([need.layer, need.experiment, *need.overrides]).replace("preset=", "").replace("/", "_") + ".json"


def predictions_of(hypothesis: Hypothesis) -> dict[str, Any]:
    """All that a hypothesis commits itself to."""
    return {
        "statement": hypothesis.statement,
        "explanation": hypothesis.explanation,
        "refuted_if": hypothesis.refuted_if,
        "predictions": {prediction.quantity: prediction.expected for prediction in hypothesis.predictions},
    }


def document(need: Need, hypotheses: Iterable[Hypothesis], runs: Path) -> dict[str, Any]:
    """The content of a file: predictions, and which of the records they are about exist by now."""
    return {
        "format": FORMAT,
        "command": need.command,
        "written": time.strftime("%Y-%m-%d", time.gmtime()),
        "hypotheses": {one.name: predictions_of(one) for one in hypotheses},
        "records_there": {record_name(*key): there for key, there in on_record(need, runs).items()},
    }


def write(need: Need, hypotheses: Iterable[Hypothesis], runs: Path, folder: Path) -> Path:
    """Writes the file of an experiment into a folder and returns its path.

    Raises:
        UserError: there is one already, here or with the package, or it cannot be written.
    """
    path = folder / file_name(need)
    for there in (path, runs / FOLDER / path.name, COMMITTED / path.name):
        if there.exists():
            raise UserError(
                f"{there} is there: a preregistration is not changed; judge by it with `python -m mechanisms verdict`"
            )
    content = json.dumps(document(need, hypotheses, runs), indent=1, ensure_ascii=False)
    write_whole(path, (content + "\n").encode(), "choose another folder with --out DIR")
    return path


def status(hypothesis: Hypothesis, runs: Path) -> str:
    """Whether a hypothesis was preregistered before the records that judge it: a date, or why it is after the fact."""
    if not hypothesis.predictions:
        return AFTER
    told = [_status(need, hypothesis, runs) for need in hypothesis.needs]
    return next((text for text in told if text.startswith(AFTER)), told[0])


def _status(need: Need, hypothesis: Hypothesis, runs: Path) -> str:
    content = read(need, runs)
    if content is None:
        return AFTER
    date, there = content["written"], content["records_there"]
    if hypothesis.name not in content["hypotheses"]:
        return AFTER
    if content["hypotheses"][hypothesis.name] != predictions_of(hypothesis):
        return f"{AFTER}: not what was predicted on {date}"
    judged = [record_name(*key) for key in on_record(need, runs)]
    early = sum(bool(there.get(name, True)) for name in judged)
    return f"{AFTER}: {early} of {len(judged)} records were there or are of other settings" if early else f"predicted {date}"


def read(need: Need, runs: Path) -> dict[str, Any] | None:
    """The preregistration of an experiment: one's own, else that of the package; None where there is none.

    Raises:
        UserError: it is damaged or of another version.
    """
    for path in (runs / FOLDER / file_name(need), COMMITTED / file_name(need)):
        if path.is_file():
            try:
                content: dict[str, Any] = read_json(path)
                if content["format"] == FORMAT and all(isinstance(content[name], kind) for name, kind in FIELDS.items()):
                    return content
            except (OSError, ValueError, KeyError, TypeError):
                pass
            raise UserError(f"{path} is no preregistration of this version; move it away")
    return None


def record_name(identity: str, seed: int) -> str:
    """Name a record by the identity of its spec and its seed."""
    return f"{identity}/seed_{seed}"
