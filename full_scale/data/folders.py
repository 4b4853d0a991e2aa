"""Data sets of image files in class folders: any, Tiny-ImageNet and ImageNet."""

from __future__ import annotations

import abc
import functools
import os
import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from full_scale.data.base import AbstractDataset, Data, require_two_classes
from full_scale.data.files.decoding import SUFFIXES, ImageFiles
from full_scale.data.files.location import Source, missing, present, verified, with_files
from full_scale.data.files.unpacking import unpack
from mechanisms.system.context import RunContext
from mechanisms.system.progress import say
from mechanisms.validation import UserError, require, require_choice, require_whole

UNREADABLE = ("refuse", "skip")
Listing = list[tuple[str, int]]
"""The path of each image below the root, and its class."""


@dataclass(frozen=True)
class AbstractFolderDataset(AbstractDataset):
    """Image files, decoded to side × side pixels when they are needed.

    Channels are normalized by the constants of ImageNet. `unreadable` says what to do about damaged images: `refuse` (when one is
    met) or `skip` (all are decoded once before, and the damaged ones named and left out).
    """

    advice: ClassVar[str] = "unpack the whole set, or use data=image_folder"
    """What to do where the number of classes or images is another."""
    side: int = 224
    unreadable: str = UNREADABLE[0]

    def __post_init__(self) -> None:
        require_whole("data.side", self.side, 1, 4096)
        require_choice("data.unreadable", self.unreadable, UNREADABLE)

    @property
    def shape(self) -> tuple[int, int, int]:
        """See `AbstractDataset`."""
        return (3, self.side, self.side)

    @abc.abstractmethod
    def root(self, data: Path) -> Path:
        """The folder that has `train` in it, in or below the data folder."""

    @abc.abstractmethod
    def list_test(self, root: Path, classes: list[str]) -> Listing:
        """The test images."""

    def load(self) -> Data:
        """See `AbstractDataset`."""
        return self.load_for(RunContext())

    def load_for(self, context: RunContext) -> Data:
        """See `AbstractDataset`; files are listed once a process."""
        root = with_files(lambda: self.root(context.data), context.download).absolute()
        train, test = _listed(self, root, context.decoders)
        require_two_classes(f"data={self.name}", np.array([label for _, label in train]))
        return Data(*(self._examples(root, part, context.decoders) for part in (train, test)))

    def _examples(self, root: Path, listing: Listing, decoders: int | None) -> ImageFiles:
        import torch

        names = np.array([os.fsencode(name) for name, _ in listing])
        return ImageFiles(root, names, torch.tensor([label for _, label in listing]), self.side, decoders=decoders)

    def listings(self, root: Path, decoders: int | None) -> tuple[Listing, Listing]:
        """Training and test images as their sizes announce them, without those that are to be skipped."""
        classes = class_names(root / "train")
        if len(classes) != self.classes:
            raise UserError(f"{root / 'train'} has {len(classes)} class folders and not {self.classes}: {self.advice}")
        parts = list_classes(root, "train", classes), self.list_test(root, classes)
        for part, announced in zip(parts, (self.train_size, self.test_size), strict=True):
            if announced is not None and len(part) != announced:
                raise UserError(f"data={self.name}: {len(part)} images in {root} and not {announced}: {self.advice}")
        if self.unreadable == "refuse":
            return parts
        return self._readable(root, parts[0], decoders), self._readable(root, parts[1], decoders)

    def _readable(self, root: Path, listing: Listing, decoders: int | None) -> Listing:
        damaged = self._examples(root, listing, decoders).unreadable()
        for row, reason in damaged.items():
            say(f"skipped {root / listing[row][0]} ({reason})")
        return [image for row, image in enumerate(listing) if row not in damaged]


@functools.lru_cache(maxsize=2)
def _listed(dataset: AbstractFolderDataset, root: Path, decoders: int | None) -> tuple[Listing, Listing]:
    return dataset.listings(root, decoders)


def first_with_train(dataset: str, folders: list[Path], layout: str, archives: tuple[Source, ...] = ()) -> Path:
    """The first of these folders with a folder `train` in it; raises `UserError` that says what to put where."""
    for folder in folders:
        if (folder / "train").is_dir():
            return folder
    raise missing(dataset, folders[0], layout, archives, into=folders[-1])


def class_names(folder: Path) -> list[str]:
    """The names of the class folders, sorted; their places are the labels."""
    return sorted(entry.name for entry in _entries(folder) if entry.is_dir() and not entry.name.startswith("."))


def list_classes(root: Path, part: str, classes: list[str]) -> Listing:
    """The images of a part, class by class, sorted by path; in a class folder directly or any number of folders deep.

    What is hidden is passed over. Files of other kinds, and those beside the class folders, are left out and counted in one line.

    Raises:
        UserError: a class has no images, or classes are others than expected.
    """
    found = class_names(root / part)
    if found != classes:
        odd = sorted(set(found) ^ set(classes))
        raise UserError(f"{root / part} has other class folders than {root / 'train'}, such as {odd[0]}: make them the same")
    listing: Listing = []
    beside = [entry.name for entry in _entries(root / part) if not (entry.is_dir() or entry.name.startswith("."))]
    for label, name in enumerate(classes):
        paths = _files_below(root / part / name)
        images = sorted((path for path in paths if path.lower().endswith(SUFFIXES)), key=lambda path: path.split("/"))
        if not images:
            raise UserError(
                f"{root / part / name} is an empty class folder: put images ({', '.join(SUFFIXES)}) there, or remove it"
            )
        beside += [path for path in paths if not path.lower().endswith(SUFFIXES)]
        listing += [(f"{part}/{name}/{path}", label) for path in images]
    _say_left_out(root / part, beside)
    return listing


def _files_below(folder: Path) -> list[str]:
    """Paths, with slashes, of all files in a folder and in its folders, each folder once; without what is hidden."""
    found: list[str] = []
    waiting, seen = [""], set()
    while waiting:
        inner = waiting.pop()
        entries, place = _entries(folder / inner), (folder / inner).stat()
        if (place.st_dev, place.st_ino) in seen:
            continue  # a link to a folder above
        seen.add((place.st_dev, place.st_ino))
        for entry in entries:
            if not entry.name.startswith("."):
                path = f"{inner}/{entry.name}" if inner else entry.name
                (waiting if entry.is_dir() else found).append(path)
    return found


def _say_left_out(folder: Path, names: list[str]) -> None:
    """Says how many files of which kind were not taken, if any."""
    kinds = Counter(os.path.splitext(name)[1].lower() or "without a suffix" for name in names)
    most = [f"{kinds[kind]} {kind}" for kind in sorted(kinds, key=lambda kind: -kinds[kind])[:8]]
    if most:
        counted = ", ".join(most) + (" and others" if len(kinds) > len(most) else "")
        say(f"{folder}: left out {counted}; taken are {', '.join(SUFFIXES)} in class folders or named in a list")


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError as error:
        raise UserError(f"{folder} cannot be listed ({error.strerror}): put class folders with images there") from None


@dataclass(frozen=True)
class ImageFolder(AbstractFolderDataset):
    """Images in DIR/`folder`/train/CLASS/ and …/test/CLASS/ (or …/val/CLASS/), the classes in the order of their names.

    `folder`, a path below the data folder, is part of the identity of a run: give every collection a name of its own.
    """

    name: ClassVar[str] = "image_folder"
    train_size: ClassVar[None] = None
    test_size: ClassVar[None] = None
    advice: ClassVar[str] = "set data.classes to their number"
    folder: str = "image_folder"
    classes: int = 10

    def __post_init__(self) -> None:
        super().__post_init__()
        require_whole("data.classes", self.classes, 2)
        inside = self.folder and not Path(self.folder).is_absolute() and ".." not in Path(self.folder).parts
        require(bool(inside), "data.folder", self.folder, "a path below the data folder")

    def root(self, data: Path) -> Path:
        """See `AbstractFolderDataset`."""
        return first_with_train(self.name, [data / self.folder], "train/CLASS/IMAGE and test/CLASS/IMAGE")

    def list_test(self, root: Path, classes: list[str]) -> Listing:
        """See `AbstractFolderDataset`."""
        if not (root / "test").is_dir():
            return list_classes(root, "val", classes)
        if (root / "val").is_dir():
            say(f"{root / 'val'} is left out: the test part is {root / 'test'}")
        return list_classes(root, "test", classes)


@dataclass(frozen=True)
class AbstractImageNet(AbstractFolderDataset):
    """A set of published sizes, whose validation images are the test part."""

    sizes: ClassVar[tuple[int, int]]
    unpacked: ClassVar[str]
    """The folder that holds `train` and `val`, below the data folder; or the data folder itself is that folder."""
    archive: ClassVar[Source] = Source("")
    """The archive that can be fetched, where there is one."""
    members: ClassVar[str] = ""
    """The pattern of what is unpacked from it; its group is the path below `unpacked`."""

    @property
    def train_size(self) -> int | None:
        """See `AbstractDataset`; None where damaged images are skipped."""
        return self.sizes[0] if self.unreadable == "refuse" else None

    @property
    def test_size(self) -> int | None:
        """See `AbstractDataset`; None where damaged images are skipped."""
        return self.sizes[1] if self.unreadable == "refuse" else None

    def root(self, data: Path) -> Path:
        """See `AbstractFolderDataset`; an archive that was fetched is unpacked."""
        places, archives = [data / self.unpacked, data], (self.archive,) if self.archive.address else ()
        if archives and present(data, archives) and not any((place / "train").is_dir() for place in places):
            unpack(verified(data, self.archive), places[0], re.compile(self.members))
        return first_with_train(self.name, places, "the folders train and val of the unpacked set", archives)

    def list_test(self, root: Path, classes: list[str]) -> Listing:
        """See `AbstractFolderDataset`; by `val/val_annotations.txt` where there is one, else by class folders."""
        annotations = root / "val" / "val_annotations.txt"
        return list_annotated(annotations, classes) if annotations.is_file() else list_classes(root, "val", classes)


def list_annotated(annotations: Path, classes: list[str]) -> Listing:
    """The images that a text names, each line IMAGE, tab, CLASS and more; they are in `images` beside it.

    Raises:
        UserError: a line names no class, or a path.
    """
    labels, listing = {name: label for label, name in enumerate(classes)}, []
    for number, line in enumerate(annotations.read_text(encoding="utf-8", errors="replace").splitlines(), start=1):
        image, name = [*line.split("\t"), ""][:2]
        if name not in labels or image != Path(image).name:
            raise UserError(f"{annotations}, line {number}: {line[:60]!r} does not begin with IMAGE, tab, CLASS")
        listing.append((f"{annotations.parent.name}/images/{image}", labels[name]))
    named = {Path(path).name for path, _ in listing}
    images = annotations.parent / "images"
    _say_left_out(images, [path for path in _files_below(images) if path not in named])
    return listing


@dataclass(frozen=True)
class TinyImageNet(AbstractImageNet):
    """Tiny-ImageNet: 200 classes, 100,000 training images of 64 × 64 pixels; its 10,000 validation images are the test part.

    Source: Stanford, CS231n, Tiny ImageNet Challenge; the images are a part of ImageNet, reduced.
    """

    name: ClassVar[str] = "tiny_imagenet"
    classes: ClassVar[int] = 200
    sizes: ClassVar[tuple[int, int]] = (100_000, 10_000)
    unpacked: ClassVar[str] = "tiny-imagenet-200"
    archive: ClassVar[Source] = Source(
        "tiny-imagenet-200.zip", "md5:90528d7ca1a48142e341f4ef8d21d0de", "http://cs231n.stanford.edu/tiny-imagenet-200.zip"
    )
    members: ClassVar[str] = (
        r"tiny-imagenet-200/(train/n\d{8}/images/n\d{8}_\d+\.JPEG|val/images/val_\d+\.JPEG|val/val_annotations\.txt)"
    )
    side: int = 64


@dataclass(frozen=True)
class ImageNet(AbstractImageNet):
    """ImageNet (ILSVRC 2012): 1000 classes in train/CLASS/ and val/CLASS/; its 50,000 validation images are the test part.

    Source: Russakovsky et al., ImageNet Large Scale Visual Recognition Challenge, IJCV 2015.
    """

    name: ClassVar[str] = "imagenet"
    classes: ClassVar[int] = 1000
    sizes: ClassVar[tuple[int, int]] = (1_281_167, 50_000)
    unpacked: ClassVar[str] = "imagenet"
