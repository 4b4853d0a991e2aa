"""Where files are looked for, and how what goes wrong with them is said."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from pathlib import Path

import pytest

from full_scale.data.files.location import (
    DATA_VARIABLE,
    DOWNLOAD_VARIABLE,
    Source,
    data_folder,
    download_allowed,
    reading,
    verified,
)
from full_scale.suite import LAYER
from mechanisms.validation import UserError


def test_the_folder_and_the_permission_come_from_the_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    options = {setting.option: setting.variable for setting in LAYER.settings}
    assert (options["--data"], options["--download"]) == (DATA_VARIABLE, DOWNLOAD_VARIABLE)
    monkeypatch.setenv(DATA_VARIABLE, "/elsewhere")
    monkeypatch.setenv(DOWNLOAD_VARIABLE, "1")
    assert (data_folder(), download_allowed()) == (Path("/elsewhere"), True)
    monkeypatch.delenv(DATA_VARIABLE)
    monkeypatch.delenv(DOWNLOAD_VARIABLE)
    assert (data_folder(), download_allowed()) == (Path("data"), False)


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
