"""Tables that a benchmark printed and that come with this package, for figures about something that no experiment runs."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from full_scale.suite import LAYER

if TYPE_CHECKING:
    import pandas as pd

FOLDER = "benchmarks"


@dataclass(frozen=True)
class BenchmarkTable:
    """The JSON that `python -m benchmarks.NAME --json` printed."""

    name: str

    @property
    def path(self) -> Path:
        """Where it is kept."""
        assert LAYER.reference is not None
        return LAYER.reference / FOLDER / f"{self.name}.json"

    @property
    def command(self) -> str:
        """The command that makes it anew."""
        return f"python -m benchmarks.{self.name} --json"

    def load(self) -> pd.DataFrame:
        """The table, one row an entry."""
        import pandas as pd

        return pd.DataFrame(json.loads(self.path.read_text(encoding="utf-8")))

    def source(self) -> dict[str, Any]:
        """What a figure's provenance says of it."""
        return {"made_by": self.command, "sha256": hashlib.sha256(self.path.read_bytes()).hexdigest()}
