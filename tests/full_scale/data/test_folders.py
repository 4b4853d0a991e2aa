"""Class folders in the layouts of Tiny-ImageNet, of ImageNet and in general."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from full_scale.data.base import AbstractDataset
from full_scale.data.folders import ImageFolder, ImageNet, TinyImageNet
from mechanisms.system.context import RunContext
from mechanisms.validation import InvalidValue, UserError

CLASSES = ("n01443537", "n01629819", "n02056570")


def picture(path: Path, colour: tuple[int, int, int] = (10, 200, 30)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (64, 64), colour).save(path, "JPEG")


@pytest.fixture
def tiny(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A Tiny-ImageNet of three classes, four training images each and six validation images, as it is when unpacked."""
    monkeypatch.setattr(TinyImageNet, "classes", 3)
    monkeypatch.setattr(TinyImageNet, "sizes", (12, 6))
    root = folder / "tiny-imagenet-200"
    for name in CLASSES:
        for number in range(4):
            picture(root / "train" / name / "images" / f"{name}_{number}.JPEG")
        (root / "train" / name / f"{name}_boxes.txt").write_text("n01443537_0.JPEG\t0\t10\t63\t58\n")
    lines = []
    for number in range(6):
        picture(root / "val" / "images" / f"val_{number}.JPEG", (40 * number, 0, 0))
        lines.append(f"val_{number}.JPEG\t{CLASSES[(2 * number) % 3]}\t0\t32\t44\t62\n")
    (root / "val" / "val_annotations.txt").write_text("".join(lines))
    return root


@pytest.fixture
def imagenet(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An ImageNet of three classes, two training images and one validation image each."""
    monkeypatch.setattr(ImageNet, "classes", 3)
    monkeypatch.setattr(ImageNet, "sizes", (6, 3))
    root = folder / "imagenet"
    for name in CLASSES:
        for number in range(2):
            picture(root / "train" / name / f"{name}_{number}.JPEG")
        picture(root / "val" / name / "ILSVRC2012_val_00000001.JPEG")
    return root


def refused(dataset: AbstractDataset, text: str) -> None:
    """Loading is refused in one line with that text."""
    with pytest.raises(UserError, match=text) as caught:
        dataset.load()
    assert "\n" not in str(caught.value)


def test_tiny_imagenet_as_unpacked(tiny: Path) -> None:
    dataset = TinyImageNet()
    data = dataset.load()
    assert (len(data.train), len(data.test)) == (dataset.train_size, dataset.test_size) == (12, 6)
    assert data.train.labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4
    assert data.test.labels.tolist() == [0, 2, 1, 0, 2, 1]
    images, labels = next(data.test.batches([np.array([0, 5])]))
    assert tuple(images.shape) == (2, *dataset.shape)
    assert labels.tolist() == [0, 1]
    red = images[:, 0].mean(dim=(1, 2)) * 0.229 + 0.485
    torch.testing.assert_close(red, torch.tensor([0.0, 200 / 255]), rtol=0, atol=0.02)  # JPEG


def test_the_data_folder_may_be_that_of_the_set_itself(tiny: Path) -> None:
    assert len(TinyImageNet().load_for(RunContext(data=tiny, decoders=0)).train) == 12


def test_imagenet_in_class_folders(imagenet: Path) -> None:
    data = ImageNet(side=32).load()
    assert data.train.labels.tolist() == [0, 0, 1, 1, 2, 2]
    assert data.test.labels.tolist() == [0, 1, 2]
    assert tuple(next(data.train.batches([np.arange(3)]))[0].shape) == (3, 3, 32, 32)
    assert ImageNet().shape == (3, 224, 224)


@pytest.mark.parametrize("part", ["test", "val"])
def test_any_folder(part: str, folder: Path) -> None:
    for name in ("b", "a"):
        picture(folder / "mine" / "train" / name / "x.jpg")
        picture(folder / "mine" / part / name / "y.PNG")
        (folder / "mine" / part / name / "notes.txt").write_text("no image")
    dataset = ImageFolder(folder="mine", classes=2, side=8)
    assert (dataset.train_size, dataset.test_size) == (None, None)
    assert dataset.load().test.labels.tolist() == [0, 1]
    refused(ImageFolder(folder="mine", classes=3), "has 2 class folders and not 3: set data.classes to their number")


def stored(folder: Path, *names: str) -> None:
    """A picture of every name in both classes of both parts."""
    for part in ("train", "test"):
        for name in ("cat", "dog"):
            for file in names:
                picture(folder / "mine" / part / name / file)


def test_every_image_is_found_however_deep_and_of_every_kind(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stored(folder, "b.png", "a.TIF", "day/2/c.tiff", "day.jpg/d.pgm", "images/e.webp", "f.ppm")
    data = ImageFolder(folder="mine", classes=2, side=8).load()
    assert data.train.labels.tolist() == [0] * 6 + [1] * 6
    names = [name.decode() for name in data.train.names[:6]]  # type: ignore[attr-defined]
    below = ["a.TIF", "b.png", "day.jpg/d.pgm", "day/2/c.tiff", "f.ppm", "images/e.webp"]
    assert sorted(names) == [f"train/cat/{name}" for name in below]
    assert len(list(data.test.batches([np.arange(12)]))) == 1
    assert capsys.readouterr().err == ""


def test_hidden_files_are_passed_over_and_other_kinds_are_counted(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stored(folder, "a.png", "._a.png", ".thumbs/a.png", "b.gif", "deep/c.jfif", "deep/d.GIF", "deep/list", "e.jfif")
    picture(folder / "mine" / "train" / "lost.png")
    assert len(ImageFolder(folder="mine", classes=2, side=8).load().train) == 2
    said = capsys.readouterr().err.splitlines()
    train, test = (str(folder / "mine" / part) for part in ("train", "test"))
    assert len(said) == 2
    for place, line in zip((train, test), said, strict=True):
        assert line.startswith(f"{place}: left out ")
        assert all(counted in line for counted in ("4 .gif", "4 .jfif", "2 without a suffix"))
    assert ["1 .png" in line for line in said] == [True, False]


def test_a_link_to_a_folder_is_followed_once(folder: Path) -> None:
    stored(folder, "a.png")
    picture(folder / "elsewhere" / "b.png")
    (folder / "mine" / "train" / "cat" / "more").symlink_to(folder / "elsewhere")
    (folder / "elsewhere" / "back").symlink_to(folder / "mine" / "train" / "cat")
    assert ImageFolder(folder="mine", classes=2, side=8).load().train.labels.tolist() == [0, 0, 1]


def test_a_validation_folder_beside_the_test_folder_is_named(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    stored(folder, "a.png")
    picture(folder / "mine" / "val" / "cat" / "a.png")
    ImageFolder(folder="mine", classes=2, side=8).load()
    assert f"{folder / 'mine' / 'val'} is left out: the test part is" in capsys.readouterr().err


def test_images_that_a_list_does_not_name_are_counted(tiny: Path, capsys: pytest.CaptureFixture[str]) -> None:
    picture(tiny / "val" / "images" / "val_99.JPEG")
    assert len(TinyImageNet().load().test) == 6
    assert f"{tiny / 'val' / 'images'}: left out 1 .jpeg;" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("dataset", "where"), [(TinyImageNet(), "tiny-imagenet-200"), (ImageNet(), "imagenet"), (ImageFolder(folder="mine"), "mine")]
)
def test_missing_folders_are_named(dataset: AbstractDataset, where: str, folder: Path) -> None:
    refused(dataset, f"data={dataset.name}: nothing in {folder / where}/: put .* or name their folder by --data DIR")


def test_an_empty_class_folder_is_named(imagenet: Path) -> None:
    for image in (imagenet / "train" / CLASSES[1]).iterdir():
        image.unlink()
    refused(ImageNet(), f"train/{CLASSES[1]} is an empty class folder: put images")


def test_other_numbers_of_classes_or_images_are_refused(imagenet: Path) -> None:
    (imagenet / "train" / CLASSES[0] / f"{CLASSES[0]}_0.JPEG").unlink()
    refused(ImageNet(), "data=imagenet: 5 images in .* and not 6: unpack the whole set, or use data=image_folder")
    (imagenet / "train" / "n09999999").mkdir()
    refused(ImageNet(), "has 4 class folders and not 3: unpack the whole set")


def test_a_validation_part_with_other_classes_is_refused(imagenet: Path) -> None:
    (imagenet / "val" / CLASSES[0]).rename(imagenet / "val" / "other")
    refused(ImageNet(), "val has other class folders than .*train, such as n01443537")


@pytest.mark.parametrize("line", ["val_0.JPEG\tn99999999\t0", "../../secret.JPEG\tn01443537\t0", "val_0.JPEG"])
def test_strange_annotations_are_refused(line: str, tiny: Path) -> None:
    annotations = tiny / "val" / "val_annotations.txt"
    annotations.write_text(annotations.read_text() + line + "\n")
    refused(TinyImageNet(), "val_annotations.txt, line 7: .* does not begin with IMAGE, tab, CLASS")


def test_unreadable_images_are_refused_when_met_or_skipped_by_name(imagenet: Path, capsys: pytest.CaptureFixture[str]) -> None:
    broken = imagenet / "train" / CLASSES[1] / f"{CLASSES[1]}_0.JPEG"
    broken.write_bytes(broken.read_bytes()[:-50])
    data = ImageNet().load()
    with pytest.raises(UserError, match=f"{broken} is no readable image"):
        next(data.train.batches([np.array([2])]))
    skipping = dataclasses.replace(ImageNet(), unreadable="skip")
    assert skipping.train_size is None
    data = skipping.load()
    assert data.train.labels.tolist() == [0, 0, 1, 2, 2]
    assert len(list(data.train.batches([np.arange(5)]))) == 1
    assert f"skipped {broken}" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("kind", "fields"),
    [
        (ImageNet, {"side": 0}),
        (ImageNet, {"unreadable": "maybe"}),
        (ImageFolder, {"classes": 1}),
        (ImageFolder, {"side": 10**6}),
        (ImageFolder, {"folder": "../above"}),
        (ImageFolder, {"folder": "/etc"}),
    ],
)
def test_impossible_values_are_refused_by_name(kind: type[Any], fields: dict[str, Any]) -> None:
    with pytest.raises(InvalidValue, match=f"data.{next(iter(fields))}"):
        kind(**fields)
