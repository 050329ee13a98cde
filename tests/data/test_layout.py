"""Layouts of folders: roles in any spelling, flat classes, links, rubbish and groups."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnn_pipeline.base.errors import InvalidInput
from cnn_pipeline.data.dataset import Dataset, load_dataset
from cnn_pipeline.data.describe import describe, render
from cnn_pipeline.data.formats import listing
from cnn_pipeline.settings.trial import DataSettings

NOWHERE = Path("/nowhere")


def draw(path: Path, shade: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full((3, 2), shade, dtype=np.uint8)).save(path)
    return path


def flat(folder: Path, count: int = 20) -> Path:
    for at in range(count):
        draw(folder / "ant" / f"{at // 4}-{at}.png", at)
        draw(folder / "bee" / f"{at // 4}-{at}.png", 100 + at)
    return folder


def by_role(folder: Path, **counts: int) -> Path:
    start = 0
    for role, count in counts.items():
        for at in range(start, start + count):
            draw(folder / role / "ant" / f"{at}.png", at)
            draw(folder / role / "bee" / f"{at}.png", 100 + at)
        start += count
    return folder


def load(path: Path, **settings: object) -> Dataset:
    return load_dataset(DataSettings(source=str(path), **settings), NOWHERE)  # type: ignore[arg-type]


def shades(dataset: Dataset, role: str) -> set[int]:
    return set(getattr(dataset, role).images[:][:, 0, 0, 0].tolist())


def faults_of(path: Path, **settings: object) -> tuple[str, ...]:
    with pytest.raises(InvalidInput) as caught:
        load(path, **settings)
    return caught.value.faults


# --- roles ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "spelling",
    [("train", "val", "test"), ("Training", "VALIDATION", "Testing"), ("TRAIN", "valid", "Test")],
)
def test_validation_images_are_those_of_their_folder(spelling, tmp_path) -> None:
    data = load(by_role(tmp_path, **dict(zip(spelling, (10, 3, 4), strict=True))))

    assert shades(data, "train") == {*range(10), *range(100, 110)}
    assert shades(data, "validation") == {10, 11, 12, 110, 111, 112}
    assert shades(data, "test") == {*range(13, 17), *range(113, 117)}
    assert data.class_names == ("ant", "bee")


def test_validation_images_count_in_the_digest(tmp_path) -> None:
    digest = load(by_role(tmp_path, train=10, val=3, test=4)).digest
    draw(tmp_path / "val" / "ant" / "10.png", 77)

    assert load(tmp_path).digest != digest
    shutil.rmtree(tmp_path / "val")
    assert load(tmp_path).digest not in (digest, "")


def test_no_validation_size_beside_validation_images(tmp_path) -> None:
    (fault,) = faults_of(by_role(tmp_path, train=10, val=3, test=4), validation_size=6)

    assert fault.startswith("validation_size must be left out: the data have 6 validation images")


def test_test_images_are_drawn_where_there_are_none(tmp_path) -> None:
    data = load(by_role(tmp_path, train=20, val=3))

    assert [len(part) for part in (data.train, data.validation, data.test)] == [32, 6, 8]
    assert shades(data, "validation") == {20, 21, 22, 120, 121, 122}


def test_a_misspelt_test_folder_is_not_passed_over(tmp_path) -> None:
    (fault,) = faults_of(by_role(tmp_path, train=10, tset=4))

    assert fault == (
        f"{tmp_path}/test: there must be a folder of this name with one folder per class, "
        "received tset"
    )


def test_folders_beside_train_and_test_are_ignored_and_said(tmp_path) -> None:
    assert load(by_role(tmp_path, train=10, test=4, models=2)).notes == (
        "ignored beside the folders of images: models",
    )


def test_two_folders_for_one_role(tmp_path) -> None:
    (fault,) = faults_of(by_role(tmp_path, train=10, training=1, test=4))

    assert (
        fault
        == f"{tmp_path}: there must be one folder of train images, received train and training"
    )


def test_no_test_share_beside_test_images(tmp_path) -> None:
    (fault,) = faults_of(by_role(tmp_path, train=10, test=4), test_share=0.5)

    assert fault == (
        "test_share must be left out: the data have 8 test images of their own, received 0.5"
    )


# --- flat folders ---------------------------------------------------------------------------


def test_a_fifth_of_flat_folders_becomes_the_test(tmp_path) -> None:
    data = load(flat(tmp_path))

    assert np.bincount(data.test.labels).tolist() == [4, 4]
    assert not shades(data, "test") & (shades(data, "train") | shades(data, "validation"))
    assert data.notes == (
        "there are no test images: drew 8 of 40 images for the test, 20 % of each class, always "
        "the same ones (--test-share)",
    )
    assert data.test_drawn == "8 of 40 images, 20 % of each class, with seed 0"
    # The same ones for every seed of the validation images, and wherever the folder lies.
    moved = load(Path(shutil.move(tmp_path, tmp_path.with_name("moved"))), split_seed=5)
    assert moved.digest == data.digest
    assert shades(moved, "validation") != shades(data, "validation")


def test_test_images_of_their_own_are_not_drawn(tmp_path) -> None:
    assert load(by_role(tmp_path, train=10, test=4)).test_drawn == ""


def test_the_share_can_be_set(tmp_path) -> None:
    assert len(load(flat(tmp_path), test_share=0.5).test) == 20


def test_identical_images_are_not_divided(tmp_path) -> None:
    flat(tmp_path)
    for at in range(30):
        os.symlink("0-0.png", tmp_path / "ant" / f"copy{at}.png")

    data = load(tmp_path)

    assert not shades(data, "test") & (shades(data, "train") | shades(data, "validation"))


def test_a_class_may_be_called_train(tmp_path) -> None:
    for at in range(8):
        draw(tmp_path / "train" / f"{at}.png", at)
        draw(tmp_path / "bus" / f"{at}.png", 50 + at)

    assert load(tmp_path).class_names == ("bus", "train")


def test_one_image_of_each_class_cannot_be_divided(tmp_path) -> None:
    (fault,) = faults_of(flat(tmp_path, 1))

    assert "so a class must have at least 2 images" in fault


def test_pictures_beside_the_classes_are_faults_other_files_are_not(tmp_path) -> None:
    draw(flat(tmp_path) / "stray.png", 0)
    (tmp_path / "LICENSE").write_text("x")

    assert faults_of(tmp_path) == (
        f"{tmp_path}/stray.png: must lie in the folder of its class, received a picture beside "
        "these folders",
    )
    (tmp_path / "stray.png").unlink()
    assert load(tmp_path).notes[0] == "ignored beside the folders of images: LICENSE"


def test_sizes_above_the_classes_are_doubted(tmp_path) -> None:
    theme = tmp_path / "theme"
    for size in ("16x16", "32x32"):
        flat(theme / size, 4)
    doubt = (
        "the classes are 16x16, 32x32, and each holds the folders ant, bee: if those are your "
        f"classes, use --data {theme / '16x16'}, or list the pictures in a CSV"
    )
    assert doubt in load(theme).notes
    assert load(theme / "16x16").class_names == ("ant", "bee")

    (theme / "32x32" / "ant" / "add.svg").write_text("<svg/>")

    svg, said = faults_of(theme)
    assert svg.startswith(f"{theme}/32x32/ant/add.svg: must be a picture file")
    assert said == doubt


def test_a_theme_as_it_lies_on_disk_is_doubted(tmp_path) -> None:
    """With contexts that some sizes lack, cursors, drawings, and pictures beside the folders."""
    flat(tmp_path / "16x16", 4)
    flat(tmp_path / "24x24", 4)
    draw(tmp_path / "16x16" / "cow" / "x.png", 0)
    draw(tmp_path / "8x8" / "ant" / "x.png", 0)
    for name in ("scalable/ant/x.svg", "symbolic/bee/x.svg", "cursors/arrow"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text("x")
    draw(tmp_path / "preview.png", 0)

    assert faults_of(tmp_path)[-1] == (
        "the classes are 16x16, 24x24, 8x8, cursors, scalable and 1 more, and most hold the "
        f"folders ant, bee: if those are your classes, use --data {tmp_path / '16x16'}, or list "
        "the pictures in a CSV"
    )


def test_one_folder_is_not_two_classes(tmp_path) -> None:
    draw(tmp_path / "png" / "a.png", 0)
    table = tmp_path / "labels.csv"
    table.write_text("path,label\npng/a.png,ant\n")
    listed = f"if labels.csv lists the pictures with their classes, use --data {table}"

    assert faults_of(tmp_path) == (
        f"{tmp_path}: there must be at least 2 classes, each a folder of images, received png "
        "alone",
        listed,
    )
    assert listed in faults_of(tmp_path / "png")[0]

    table.unlink()
    flat(tmp_path / "png", 4)
    (tmp_path / "png" / "a.png").unlink()

    assert faults_of(tmp_path)[1] == (
        "the only class is png, which holds the folders ant, bee: if those are your classes, use "
        f"--data {tmp_path / 'png'}, or list the pictures in a CSV"
    )


def test_classes_with_pictures_of_their_own_are_not_doubted(tmp_path) -> None:
    for name in ("ant", "bee"):
        for side in ("left", "right"):
            draw(flat(tmp_path) / name / side / "x.png", 50)

    assert not any("the classes are" in note for note in load(tmp_path).notes)


def test_near_duplicates_are_named_by_their_files(tmp_path) -> None:
    noise = np.random.default_rng(0).integers(0, 250, (6, 9, 9)).astype(np.uint8)
    for at, pixels in enumerate(noise):
        path = tmp_path / "train" / ("ant", "bee")[at % 2] / "deep" / f"{at}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
    (tmp_path / "test" / "bee").mkdir(parents=True)
    Image.fromarray(noise[2] + 1).save(tmp_path / "test" / "bee" / "again.png")

    found = describe(load(tmp_path, validation_size=2))

    (pair,) = found.near_duplicates
    assert (pair.name, pair.other_name) == ("again.png", "deep/2.png")
    said = " ".join(render(found).split())
    assert f"test image again.png (bee) and {pair.role} image deep/2.png (ant)" in said


# --- files ----------------------------------------------------------------------------------


def test_nested_folders_and_links_are_read(tmp_path) -> None:
    draw(flat(tmp_path / "data") / "ant" / "deep" / "er" / "x.png", 90)
    for at in range(5):
        draw(tmp_path / "elsewhere" / f"{at}.png", 200 + at)
    os.symlink(tmp_path / "elsewhere", tmp_path / "data" / "cow")
    os.symlink(draw(tmp_path / "one.png", 95), tmp_path / "data" / "ant" / "linked.png")
    os.symlink(tmp_path / "data", tmp_path / "link")

    data = load(tmp_path / "link")

    everything = shades(data, "train") | shades(data, "validation") | shades(data, "test")
    assert everything >= {90, 95, *range(200, 205)}
    assert data.class_names == ("ant", "bee", "cow")


def test_broken_links_and_loops_are_named(tmp_path) -> None:
    ant = flat(tmp_path) / "ant"
    os.symlink("gone.png", ant / "broken.png")
    os.symlink("self.png", ant / "self.png")
    (ant / "deep").mkdir()
    os.symlink(ant, ant / "deep" / "loop")

    assert faults_of(tmp_path) == (
        f"{ant}/broken.png: must be a link to what exists, received 'gone.png'",
        f"{ant}/self.png: must be a link to what exists, received 'self.png'",
        f"{ant}/deep/loop: must not be a link to a folder that holds it, received '{ant}'",
    )


def test_links_that_make_a_small_tree_endless_are_bounded(tmp_path, monkeypatch) -> None:
    monkeypatch.setattr(listing, "MAX_FILES", 1000)
    for depth in range(12):  # two ways into each: 4,096 pictures
        (tmp_path / "trees" / str(depth)).mkdir(parents=True)
        for way in "ab":
            os.symlink(f"../{depth + 1}", tmp_path / "trees" / str(depth) / way)
    draw(tmp_path / "trees" / "12" / "x.png", 0)
    os.symlink(tmp_path / "trees" / "0", flat(tmp_path / "data") / "ant" / "tree")

    assert any(
        "there must be at most 1,000 files" in fault for fault in faults_of(tmp_path / "data")
    )


def test_what_is_no_data_is_ignored_and_counted(tmp_path) -> None:
    digest = load(flat(tmp_path)).digest
    for name in ("Thumbs.db", "desktop.ini", ".hidden.png", "0-0.png~", "0-0.png.bak"):
        (tmp_path / "ant" / name).write_text("x")
    draw(tmp_path / "__MACOSX" / "ant" / "._0.png", 0)

    data = load(tmp_path)

    assert data.digest == digest
    assert data.notes[0].startswith("ignored 6 files or folders: backup 2, ")
    for kind in ("Thumbs.db 1", "desktop.ini 1", "hidden 1", "__MACOSX 1"):
        assert kind in data.notes[0]


@pytest.mark.parametrize(
    "suffix", ["gif", "webp", "bmp", "tif", "tiff", "JPE", "jfif", "jpeg", "PNG"]
)
def test_kinds_of_picture_files(suffix, tmp_path) -> None:
    format_ = {"tif": "TIFF", "jpe": "JPEG", "jfif": "JPEG"}.get(suffix.lower(), suffix.upper())
    for name, shade in (("ant", 40), ("bee", 200)):
        for at in range(4):
            path = draw(tmp_path / name / f"{at}.png", shade + at)
            Image.open(path).save(path.with_suffix(f".{suffix}"), format=format_)
            if suffix != "png" and path.suffix != f".{suffix}":
                path.unlink()

    data = load(tmp_path)

    assert len(data.train) + len(data.validation) + len(data.test) == 8
    assert all(
        abs(int(image[0, 0, 0]) - (40, 200)[label]) < 8
        for image, label in zip(data.train.images, data.train.labels, strict=True)
    )


# --- groups and names -----------------------------------------------------------------------


def test_groups_found_in_names_are_not_divided(tmp_path) -> None:
    data = load(flat(tmp_path), group_by=r"^(\d+)-")

    def groups(role: str) -> set[int]:
        return {shade % 100 // 4 for shade in shades(data, role)}

    parts = [groups(role) for role in ("train", "validation", "test")]
    assert sum(map(len, parts)) == 5 == len(set.union(*parts))
    assert all(parts)
    assert data.notes[0] == "kept 5 groups of images together in the splits"
    assert data.digest != load(tmp_path).digest


def test_names_without_a_group_are_faults(tmp_path) -> None:
    (fault,) = faults_of(flat(tmp_path), group_by="patient")

    assert fault.startswith(f"40 places below {tmp_path}: group_by 'patient' must match the file")


def test_groups_that_folders_have_divided_are_faults(tmp_path) -> None:
    by_role(tmp_path, train=10, test=4)
    draw(tmp_path / "test" / "ant" / "3.png", 3)

    assert faults_of(tmp_path, group_by=r"\d+") == (
        "group '3': must be in one split, received train and test",
    )


def test_one_group_per_class_cannot_be_divided(tmp_path) -> None:
    for at in range(8):
        draw(tmp_path / "ant" / f"a{at}.png", at)
        draw(tmp_path / "bee" / f"b{at}.png", at)

    (fault,) = faults_of(tmp_path, group_by="^.")

    assert "so a class must have at least 2 groups" in fault


def test_the_name_can_be_set(tmp_path) -> None:
    assert load(flat(tmp_path), name="clothes").name == "clothes"
    assert "name must be another than fashion-mnist" in faults_of(tmp_path, name="fashion-mnist")[0]


def test_settings_of_own_data_do_not_fit_a_named_data_set() -> None:
    faults = faults_of(Path("fashion-mnist"), name="a", test_share=0.5, group_by="b")

    assert [fault.split(" must be left out")[0] for fault in faults] == [
        "test_share", "group_by", "name",
    ]  # fmt: skip
