"""Downloads: whole and checked, or not there at all. No test uses a network."""

from __future__ import annotations

import dataclasses
import functools
import http.client
import io
import urllib.error
import urllib.request
from collections.abc import Callable
from email.message import Message
from pathlib import Path
from typing import Any

import pytest

from full_scale.data.files.download import fetch
from full_scale.data.files.location import Source, missing, present, with_files
from mechanisms.validation import UserError

CONTENT = bytes(range(256)) * 10_000


@pytest.fixture
def source(folder: Path, placed: Callable[..., Source]) -> Source:
    """A file elsewhere on this machine, by its address."""
    path = folder.parent / "elsewhere" / "set.tar.gz"
    return dataclasses.replace(placed(path, CONTENT), address=path.as_uri())


def test_a_file_is_fetched_whole(source: Source, folder: Path) -> None:
    inside = folder / "new"
    assert fetch(source, inside) == inside / "set.tar.gz"
    assert (inside / "set.tar.gz").read_bytes() == CONTENT
    assert [path.name for path in inside.iterdir()] == ["set.tar.gz"]


@pytest.fixture
def answering(monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], None]:
    """answering(body): what every address answers, an exception or an object to read from."""

    def answer(body: Any) -> None:
        def opened(address: str, timeout: float) -> Any:
            if isinstance(body, Exception):
                raise body
            return body

        monkeypatch.setattr(urllib.request, "urlopen", opened)

    return answer


class Answer(io.BytesIO):
    """An answer that announces the whole content, and may break off by an exception."""

    def __init__(self, content: bytes, failure: Exception | None = None) -> None:
        super().__init__(content)
        self.headers, self.failure = Message(), failure
        self.headers["Content-Length"] = str(len(CONTENT))

    def read(self, size: int | None = -1) -> bytes:
        block = super().read(min(size or 0, 100_000))
        if not block and self.failure:
            raise self.failure
        return block


@pytest.mark.parametrize(
    ("answer", "text"),
    [
        (urllib.error.URLError("no route to host"), "could not be fetched .*no route to host.* or put the file there"),
        (urllib.error.HTTPError("", 404, "Not Found", Message(), None), "could not be fetched .*404"),
        (TimeoutError("timed out"), "could not be fetched .*timed out"),
        (Answer(CONTENT[:1000]), "broke off after 1000 of 2560000 bytes"),
        (Answer(CONTENT[:1000], ConnectionResetError("reset by peer")), "could not be fetched .*reset by peer"),
        (Answer(CONTENT[:1000], http.client.IncompleteRead(b"")), "could not be fetched"),
        (Answer(CONTENT[:-1] + b"!"), "wrong checksum"),
    ],
)
def test_what_fails_leaves_nothing_behind(
    answer: Any, text: str, source: Source, folder: Path, answering: Callable[[Any], None]
) -> None:
    answering(answer)
    with pytest.raises(UserError, match=text) as caught:
        fetch(source, folder)
    assert "\n" not in str(caught.value)
    assert list(folder.iterdir()) == []


def test_a_failed_download_leaves_the_old_file(source: Source, folder: Path, answering: Callable[[Any], None]) -> None:
    fetch(source, folder)
    answering(Answer(CONTENT[:1000]))
    with pytest.raises(UserError, match="broke off"):
        fetch(source, folder)
    assert (folder / source.name).read_bytes() == CONTENT


def test_a_folder_that_cannot_be_written_is_named(source: Source, folder: Path) -> None:
    (folder / "file").write_bytes(b"")
    with pytest.raises(UserError, match=f"could not be fetched into {folder / 'file'}"):
        fetch(source, folder / "file")


def test_files_are_fetched_only_on_demand_and_only_from_an_address(source: Source, folder: Path) -> None:
    def load(sources: tuple[Source, ...]) -> bytes:
        if not present(folder, (source,)):
            raise missing("mine", folder, source.name, sources)
        return (folder / source.name).read_bytes()

    for sources, download in (((source,), False), ((), True)):
        with pytest.raises(UserError, match="--data DIR"):
            with_files(functools.partial(load, sources), download)
        assert list(folder.iterdir()) == []
    assert with_files(lambda: load((source,)), download=True) == CONTENT
    (folder / source.name).write_bytes(b"mine")
    assert with_files(lambda: load((source,)), download=True) == b"mine"
