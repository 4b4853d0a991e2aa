"""A zip archive becomes the expected folder, or nothing; no name in it is followed."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest

from full_scale.data.files.location import Source
from full_scale.data.files.unpacking import unpack
from full_scale.data.folders import TinyImageNet
from mechanisms.system.context import RunContext
from mechanisms.validation import UserError

WANTED = re.compile(r"set/((?:a|b)/\d+\.txt)")


def zipped(members: dict[str, bytes], how: int = zipfile.ZIP_STORED) -> bytes:
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", how) as archive:
        for name, text in members.items():
            archive.writestr(name, text)
    return content.getvalue()


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_only_what_is_expected_is_written(tmp_path: Path) -> None:
    hostile = {"../up.txt": b"x", "/abs.txt": b"x", "set/a/../../up.txt": b"x", "set/c/1.txt": b"x", "set\\a\\1.txt": b"x"}
    (tmp_path / "set.zip").write_bytes(zipped({"set/a/1.txt": b"one", "set/b/22.txt": b"two", **hostile}))
    unpack(tmp_path / "set.zip", tmp_path / "inner" / "set", WANTED)
    assert files(tmp_path / "inner") == {"set/a/1.txt": b"one", "set/b/22.txt": b"two"}
    assert {path.name for path in tmp_path.iterdir()} == {"set.zip", "inner"}


@pytest.mark.parametrize(
    "content",
    [
        zipped({"set/a/1.txt": b"one" * 1000})[:-30],
        zipped({"other.txt": b"one"}),
        zipped({"set/a/1.txt": b"one", "set/a/2.txt": bytes(1 << 25)}, zipfile.ZIP_DEFLATED),
        zipped({"set/a/1.txt": b"one", "set/a/2.txt": b"two"}).replace(b"two", b"too"),
        b"",
    ],
    ids=["truncated", "others", "large", "damaged", "empty"],
)
def test_a_damaged_archive_leaves_nothing(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "set.zip").write_bytes(content)
    with pytest.raises(UserError, match=r"set\.zip cannot be read") as caught:
        unpack(tmp_path / "set.zip", tmp_path / "set", WANTED)
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["set.zip"]


def test_a_target_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "set.zip").write_bytes(zipped({"set/a/1.txt": b"one"}))
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(UserError, match="could not be written"):
        unpack(tmp_path / "set.zip", tmp_path / "file" / "set", WANTED)


def test_a_folder_that_another_process_made_is_kept(tmp_path: Path) -> None:
    (tmp_path / "set.zip").write_bytes(zipped({"set/a/1.txt": b"one"}))
    (tmp_path / "set" / "a").mkdir(parents=True)
    (tmp_path / "set" / "a" / "1.txt").write_bytes(b"theirs")
    unpack(tmp_path / "set.zip", tmp_path / "set", WANTED)
    assert files(tmp_path / "set") == {"a/1.txt": b"theirs"}
    assert {path.name for path in tmp_path.iterdir()} == {"set.zip", "set"}


def test_tiny_imagenet_is_fetched_and_unpacked(
    folder: Path, placed: Callable[..., Source], monkeypatch: pytest.MonkeyPatch
) -> None:
    members = {f"tiny-imagenet-200/train/n0000000{n}/images/n0000000{n}_0.JPEG": b"image" for n in range(2)}
    members["tiny-imagenet-200/val/images/val_0.JPEG"] = b"image"
    members["tiny-imagenet-200/val/val_annotations.txt"] = b"val_0.JPEG\tn00000001\t0\t1\t2\t3\n"
    away = folder.parent / "away" / "tiny-imagenet-200.zip"
    source = placed(away, zipped({**members, "tiny-imagenet-200/test/images/test_0.JPEG": b"image"}))
    monkeypatch.setattr(TinyImageNet, "archive", Source(source.name, source.checksum, away.as_uri()))
    monkeypatch.setattr(TinyImageNet, "classes", 2)
    monkeypatch.setattr(TinyImageNet, "sizes", (2, 1))
    with pytest.raises(UserError, match="or add --download"):
        TinyImageNet().load()
    for _ in range(2):
        data = TinyImageNet().load_for(RunContext(data=folder, download=True))
        assert data.train.labels.tolist() == [0, 1]
        assert data.test.labels.tolist() == [1]
    assert set(files(folder)) == {*members, "tiny-imagenet-200.zip"}
