"""Where files are looked for, and how what goes wrong with them is said."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from full_scale.data.base import Data
from full_scale.data.digits import Digits
from full_scale.data.files.location import (
    Source,
    reading,
    verified,
)
from full_scale.suite import LAYER
from mechanisms.command_line.framework import main
from mechanisms.system.context import RunContext
from mechanisms.validation import UserError


def test_the_folder_and_the_permission_come_from_the_command_line(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    given = list[RunContext]()

    def load_for(self: Digits, context: RunContext) -> Data:
        given.append(context)
        return self.load()

    monkeypatch.setattr(Digits, "load_for", load_for)
    words = ["run", "digits", "network.width=0.03125", "steps=1", "measurements=1", "--seed", "0", "--runs", str(tmp_path)]
    assert main(LAYER, [*words, "--data", "elsewhere", "--download"]) == 0
    assert {(one.data, one.download) for one in given} == {(Path("elsewhere").absolute(), True)}
    assert main(LAYER, [*words, "batch_size=30"]) == 0
    assert (given[-1].data, given[-1].download) == (Path("data").absolute(), False)


@pytest.mark.parametrize(
    "checksum",
    ["", "md5:900150983cd24fb0d6963f7d28e17f72", "sha256:ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"],
)
def test_a_file_with_the_right_checksum_passes(checksum: str, tmp_path: Path) -> None:
    """The checksums of "abc" are those of RFC 1321 and FIPS 180-2."""
    (tmp_path / "file").write_bytes(b"abc")
    assert verified(tmp_path, Source("file", checksum)) == tmp_path / "file"
    if checksum:
        (tmp_path / "file").write_bytes(b"abd")
        with pytest.raises(UserError, match=r"file: wrong checksum, .*: get file again"):
            verified(tmp_path, Source("file", checksum))


def broken_stream() -> None:
    zlib.decompress(b"no stream")


@pytest.mark.parametrize(
    ("action", "text"),
    [
        (broken_stream, "it is damaged or truncated .*incorrect header"),
        (lambda: Path("/no/such/file").read_bytes(), r"cannot be read \(No such file or directory\)"),
        (lambda: [][0], "damaged or truncated"),
    ],
)
def test_what_goes_wrong_names_the_file_in_one_line(action: Callable[[], object], text: str) -> None:
    with (
        pytest.raises(UserError, match=f"^some/file cannot be read.*{text.removeprefix('cannot be read')}") as caught,
        reading(Path("some/file")),
    ):
        action()
    assert "\n" not in str(caught.value)
