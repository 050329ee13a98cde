"""The user's own data: three forms, and every bad file refused by name and reason."""

from __future__ import annotations

import gzip
import io
import pickle
import re
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnn_pipeline.base.errors import InvalidInput
from cnn_pipeline.data.formats import image_files
from cnn_pipeline.data.formats.local import LocalData, read_local

RNG = np.random.default_rng(0)
X_TRAIN = RNG.integers(0, 256, (12, 6, 5), dtype=np.uint8)
Y_TRAIN = np.arange(12) % 3
X_TEST = RNG.integers(0, 256, (6, 6, 5), dtype=np.uint8)
Y_TEST = np.arange(6) % 3


def idx(values: np.ndarray) -> bytes:
    header = bytes([0, 0, 8, values.ndim]) + np.array(values.shape, dtype=">u4").tobytes()
    return header + values.astype(np.uint8).tobytes()


def write_idx(folder: Path, **changes: bytes) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    files = {
        "train_images": idx(X_TRAIN),
        "train_labels": idx(Y_TRAIN),
        "t10k_images": idx(X_TEST),
        "t10k_labels": idx(Y_TEST),
        **changes,
    }
    for name, content in files.items():
        dims = 3 if name.endswith("images") else 1
        (folder / f"{name.replace('_', '-')}-idx{dims}-ubyte").write_bytes(content)
    return folder


def write_npz(path: Path, **changes: np.ndarray | None) -> Path:
    content = {
        "x_train": X_TRAIN,
        "y_train": Y_TRAIN,
        "x_test": X_TEST,
        "y_test": Y_TEST,
        **changes,
    }
    np.savez_compressed(path, **{k: v for k, v in content.items() if v is not None})
    return path


def write_images(
    folder: Path,
    names: tuple[str, ...] = ("ant", "bee", "cow"),
    suffix: str = ".png",
    convert: Callable[[Image.Image], Image.Image] = lambda image: image,
) -> Path:
    for role, images, labels in (("train", X_TRAIN, Y_TRAIN), ("test", X_TEST, Y_TEST)):
        for at, (pixels, label) in enumerate(zip(images, labels, strict=True)):
            path = folder / role / names[label] / f"{at:03}{suffix}"
            path.parent.mkdir(parents=True, exist_ok=True)
            convert(Image.fromarray(pixels)).save(path)
    return folder


def assert_same_content(data: LocalData) -> None:
    """The images and labels above, in any order."""
    for part, images, labels in ((data.train, X_TRAIN, Y_TRAIN), (data.test, X_TEST, Y_TEST)):
        assert part.images.dtype == np.uint8
        assert part.labels.dtype == np.int64
        received = sorted(
            (int(label), pixels.tobytes())
            for pixels, label in zip(part.images, part.labels, strict=True)
        )
        expected = sorted(
            (int(label), pixels.tobytes()) for pixels, label in zip(images, labels, strict=True)
        )
        assert received == expected
        assert part.images.shape == (*images.shape, 1)


def faults_of(path: Path) -> tuple[str, ...]:
    with pytest.raises(InvalidInput) as caught:
        read_local(path)
    return caught.value.faults


# --- what is accepted -----------------------------------------------------------------------


def test_idx_folder(tmp_path) -> None:
    data = read_local(write_idx(tmp_path / "My Clothes (2024)"))

    assert data.name == "my-clothes-2024"
    assert data.class_names == ("0", "1", "2")
    assert_same_content(data)


def test_packed_idx_folder_with_other_usual_names(tmp_path) -> None:
    for path in write_idx(tmp_path).iterdir():
        name = path.name.replace("t10k", "test").replace("-idx", ".idx") + ".gz"
        (tmp_path / name).write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()

    assert_same_content(read_local(tmp_path))


def test_coloured_idx_folder(tmp_path) -> None:
    colour = RNG.integers(0, 256, (12, 6, 5, 3), dtype=np.uint8)
    data = read_local(write_idx(tmp_path, train_images=idx(colour), t10k_images=idx(colour[:6])))

    assert np.array_equal(data.train.images, colour)


def test_npz(tmp_path) -> None:
    data = read_local(write_npz(tmp_path / "clothes.npz"))

    assert data.name == "clothes"
    assert_same_content(data)


def test_npz_as_cifar_has_it(tmp_path) -> None:
    colour = RNG.integers(0, 256, (12, 6, 5, 3), dtype=np.uint8)
    data = read_local(
        write_npz(
            tmp_path / "c.npz",
            x_train=colour,
            x_test=colour[:6],
            y_train=Y_TRAIN[:, None].astype(np.uint8),
            y_test=Y_TEST[:, None].astype(np.uint8),
        )
    )

    assert np.array_equal(data.train.images, colour)
    assert data.train.labels.tolist() == Y_TRAIN.tolist()


def test_npz_with_validation_images_and_names_as_people_write_them(tmp_path) -> None:
    np.savez(
        path := tmp_path / "c.npz",
        train_images=X_TRAIN / 255,
        train_labels=np.array(["ant", "bee", "cow"])[Y_TRAIN],
        val_images=X_TEST[:3] / 255,
        val_labels=np.array(["bee", "ant", "ant"]),
        test_images=X_TEST / 255,
        test_labels=np.array(["ant", "bee", "cow"])[Y_TEST],
        notes=np.array("made by hand"),
    )

    data = read_local(path)

    assert_same_content(data)
    assert data.class_names == ("ant", "bee", "cow")
    assert data.validation is not None
    assert np.array_equal(data.validation.images[..., 0], X_TEST[:3])
    assert data.validation.labels.tolist() == [1, 0, 0]
    assert data.notes == (
        "train_images: float64 of 0 to 1 became pixels of 0 to 255",
        "val_images: float64 of 0 to 1 became pixels of 0 to 255",
        "test_images: float64 of 0 to 1 became pixels of 0 to 255",
        "not used: notes",
    )


def test_npz_without_test_images(tmp_path) -> None:
    np.savez(path := tmp_path / "c.npz", X=X_TRAIN, y=Y_TRAIN + 1)

    data = read_local(path)

    assert data.test is None and data.validation is None
    assert data.train.labels.tolist() == Y_TRAIN.tolist()
    assert data.class_names == ("1", "2", "3")


def test_names_of_the_classes_in_the_npz(tmp_path) -> None:
    path = write_npz(tmp_path / "c.npz", target_names=np.array(["cow", "ant", "bee"]))

    assert read_local(path).class_names == ("cow", "ant", "bee")
    (tmp_path / "classes.txt").write_text("a\nb\nc\n")
    assert read_local(path).class_names == ("a", "b", "c")
    for names in (np.array(["a", "b"]), np.array(["a", "b", ""]), np.array([b"\xff", b"b", b"c"])):
        (tmp_path / "classes.txt").unlink(missing_ok=True)
        assert faults_of(write_npz(tmp_path / "c.npz", target_names=names))


def test_idx_as_emnist_has_it(tmp_path) -> None:
    write_idx(tmp_path, train_labels=idx(Y_TRAIN + 1), t10k_labels=idx(Y_TEST + 1))
    for path in [*tmp_path.iterdir()]:
        name = "emnist-letters-" + path.name.replace("t10k", "test") + ".gz"
        (tmp_path / name).write_bytes(gzip.compress(path.read_bytes()))
        path.unlink()

    data = read_local(tmp_path)

    assert_same_content(data)
    assert data.class_names == ("1", "2", "3")
    labels, turned = data.notes
    assert labels.endswith("labels 1 to 3 became classes 0 to 2, named as the labels")
    assert "rows and columns exchanged" in turned
    (tmp_path / "classes.txt").write_text("a\nb\nc\n")
    assert read_local(tmp_path).class_names == ("a", "b", "c")


def test_idx_files_of_several_sets(tmp_path) -> None:
    write_idx(tmp_path)
    for path in [*tmp_path.iterdir()]:
        for name in ("emnist-letters-", "emnist-digits-"):
            (tmp_path / f"{name}{path.name}").write_bytes(path.read_bytes())

    assert_same_content(read_local(tmp_path))  # those with MNIST's own names
    for path in tmp_path.glob("t*"):
        path.unlink()
    (fault,) = faults_of(tmp_path)
    assert "one set, received those of emnist-digits-, emnist-letters-; move the four" in fault


def test_npz_in_column_order(tmp_path) -> None:
    assert_same_content(
        read_local(write_npz(tmp_path / "c.npz", x_train=np.asfortranarray(X_TRAIN)))
    )


@pytest.mark.parametrize("convert", ["L", "P", "LA", "RGBA"])
def test_grey_and_coloured_images(convert, tmp_path) -> None:
    data = read_local(write_images(tmp_path, convert=lambda image: image.convert(convert)))

    assert data.class_names == ("ant", "bee", "cow")
    if convert in ("L", "LA"):
        assert_same_content(data)
    else:
        repeated = np.repeat(X_TRAIN[Y_TRAIN == 0][..., None], 3, axis=3)
        assert np.array_equal(data.train.images[data.train.labels == 0], repeated)


def test_grey_among_coloured_images_is_repeated(tmp_path) -> None:
    write_images(tmp_path)
    colour = RNG.integers(0, 256, (6, 5, 3), dtype=np.uint8)
    Image.fromarray(colour).save(tmp_path / "train" / "ant" / "000.png")

    images = read_local(tmp_path).train.images

    assert images.shape == (12, 6, 5, 3)
    assert np.array_equal(images[0], colour)
    assert np.array_equal(images[1], np.repeat(X_TRAIN[3][..., None], 3, axis=2))


def test_jpeg_with_capital_suffix_and_hidden_files(tmp_path) -> None:
    write_images(tmp_path, suffix=".JPG")
    (tmp_path / "train" / ".DS_Store").write_bytes(b"x")
    (tmp_path / "train" / "ant" / ".DS_Store").write_bytes(b"x")

    data = read_local(tmp_path)

    with Image.open(tmp_path / "train" / "ant" / "000.JPG") as first:
        assert np.array_equal(data.train.images[0, ..., 0], np.asarray(first))
    assert data.train.labels.tolist() == [0] * 4 + [1] * 4 + [2] * 4


def test_classes_txt_names_classes_of_arrays_and_orders_folders(tmp_path) -> None:
    write_images(tmp_path / "images")
    write_npz(tmp_path / "c.npz")
    for folder in (tmp_path, tmp_path / "images"):
        (folder / "classes.txt").write_text("cow\nant\nbee\n", encoding="utf-8")

    assert read_local(tmp_path / "c.npz").class_names == ("cow", "ant", "bee")
    images = read_local(tmp_path / "images")
    assert images.class_names == ("cow", "ant", "bee")
    cows = images.train.images[images.train.labels == 0][..., 0]
    assert np.array_equal(cows, X_TRAIN[Y_TRAIN == 2])


@pytest.mark.parametrize(
    ("folder", "name"),
    [
        ("fashion-mnist", "own-fashion-mnist"),
        ("__Ünïcode--data__", "n-code--data"),
        ("衣服", "data-3a28422f"),
        ("x" * 100, "x" * 48),
    ],
)
def test_name_is_a_slug(folder, name, tmp_path) -> None:
    assert read_local(write_idx(tmp_path / folder)).name == name


# --- what is refused ------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("changes", "file", "reason"),
    [
        ({"train_images": b"<html>"}, "train-images-idx3", "must start with the bytes 00 00 08"),
        ({"train_images": b""}, "train-images-idx3", "received nothing"),
        ({"t10k_labels": idx(Y_TEST)[:-1]}, "t10k-labels-idx1", "exactly 14 bytes, received 13"),
        ({"t10k_labels": idx(Y_TEST) + b"x"}, "t10k-labels-idx1", "exactly 14 bytes, received 15"),
        (
            {"train_images": gzip.compress(idx(X_TRAIN))[:-9]},
            "train-images-idx3",
            "Compressed file ended",
        ),
        (
            {"train_images": gzip.compress(idx(X_TRAIN)) + b"<html>"},
            "train-images-idx3",
            "the packed data must end with the file, received other bytes behind them",
        ),
        ({"train_images": bytes([0, 0, 0x0D, 3]) + bytes(372)}, "train-images-idx3",
         r"unsigned bytes \(08\), received 32-bit floats \(0d\); save the arrays as an .npz"),
        (
            {"train_images": gzip.compress(idx(X_TRAIN) + bytes(10**7))},
            "train-images-idx3",
            "exactly 376 bytes, received 377",
        ),
        (
            {"train_images": bytes([0, 0, 8, 3]) + b"\xff" * 12},
            "train-images-idx3",
            "the header announces",
        ),
        ({"train_labels": idx(Y_TRAIN[:-1])}, "train-labels-idx1", "received 11 labels for the 12"),
        ({"train_labels": idx(np.full(12, 2))}, "train-labels-idx1", "there is none for 0, 1"),
        ({"t10k_labels": idx(Y_TEST + 1)}, "t10k-labels-idx1", "must be 0 to 2, received 3"),
        ({"train_labels": idx(np.zeros(12)), "t10k_labels": idx(np.zeros(6))},
         "train-labels-idx1", "at least 2 classes, received 1"),
        ({"t10k_images": idx(X_TEST[:, :5])}, "t10k-images-idx3", "6x5x1, received 5x5x1"),
        ({"train_images": idx(X_TRAIN[..., None].repeat(2, 3))}, "train-images-idx3",
         r"received \[12, 6, 5, 2\]"),
    ],
)  # fmt: skip
def test_bad_idx_file(changes, file, reason, tmp_path) -> None:
    faults = faults_of(write_idx(tmp_path, **changes))

    assert len(faults) == 1
    assert f"{tmp_path / file}-ubyte: " in faults[0]
    assert re.search(reason, faults[0]), faults[0]


def test_swapped_images_and_labels(tmp_path) -> None:
    faults = faults_of(write_idx(tmp_path, train_images=idx(Y_TRAIN), train_labels=idx(X_TRAIN)))

    assert len(faults) == 2
    assert all("are the two files swapped?" in fault for fault in faults)


def test_every_bad_idx_file_at_once(tmp_path) -> None:
    write_idx(tmp_path, train_images=b"x", t10k_images=b"y")
    (tmp_path / "train-labels-idx1-ubyte").unlink()
    shutil.copy(tmp_path / "t10k-labels-idx1-ubyte", tmp_path / "test-labels.idx1-ubyte")

    faults = faults_of(tmp_path)

    assert len(faults) == 4
    assert "there must be one file of train labels, received none" in faults[1]
    assert "received t10k-labels-idx1-ubyte and test-labels.idx1-ubyte" in faults[3]


class Explosive:
    def __reduce__(self) -> tuple[Callable[[], None], tuple[()]]:
        return pytest.fail, ("unpickled",)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"x_train": None}, "must hold the array x_train, received x_test, y_test"),
        ({"x_train": X_TRAIN / 255}, "x_train: pixels must have the scale of x_test, .* float64"),
        ({"x_train": X_TRAIN[0]}, "x_train: images must have shape"),
        ({"x_train": X_TRAIN[0, 0]}, "x_train: images must have shape"),
        ({"x_train": X_TRAIN[:0]}, "x_train: images must have shape"),
        ({"x_test": X_TEST[:, :3]}, "x_test: images must have the shape of the training images"),
        ({"y_train": Y_TRAIN + 0.5}, "y_train: labels must be whole numbers"),
        ({"y_train": np.eye(3)[Y_TRAIN] / 2}, "y_train: labels must be whole numbers of shape"),
        (
            {"y_train": Y_TRAIN - 1},
            "y_train: labels .* 0 to k-1 .* received -1 to 1; where -1 means that there is none",
        ),
        ({"y_train": Y_TRAIN * 10**12}, "y_test: labels must be among those of y_train, 0, 10000"),
        ({"y_train": np.full(12, 2**64 - 1, np.uint64)}, "y_train: labels must be below"),
        ({"y_train": Y_TRAIN * 2}, "y_test: labels must be among those of y_train, 0, 2, 4, .* 1"),
        ({"y_train": Y_TRAIN * 0 + 4}, "y_train: every class 0 to 4 .* none for 0, 1, 2, 3"),
        ({"y_test": Y_TEST * 2}, "y_test: labels must be 0 to 2, received 4"),
        (
            {"y_test": Y_TEST + 1, "y_train": Y_TRAIN + 1, "x_val": X_TEST, "y_val": Y_TEST},
            "y_val: labels must be among those of y_train, 1 to 3, received 0",
        ),
        ({"x_val": X_TEST}, "must hold the array y_val, received x_test, x_train, x_val"),
        ({"x_val": X_TEST[:, :3], "y_val": Y_TEST}, "x_val: images must have the shape of the tra"),
        ({"y_test": Y_TEST[:5]}, "y_test: must have one label per image, received 5"),
        ({"y_train": np.array([Explosive()] * 12)}, "never unpickled"),
    ],
)
def test_bad_npz(changes, reason, tmp_path) -> None:
    path = write_npz(tmp_path / "c.npz", **changes)

    (fault,) = faults_of(path)

    assert fault.startswith(f"{path}: ")
    assert re.search(reason, fault), fault


def test_every_bad_array_at_once(tmp_path) -> None:
    path = write_npz(tmp_path / "c.npz", x_train=None, x_test=X_TEST / 2, y_test=Y_TEST / 2)

    assert len(faults_of(path)) == 3


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "must be an .npz file"),
        (b"<html>", "must be an .npz file"),
        (pickle.dumps(Explosive()), "must be an .npz file"),
    ],
)
def test_what_is_no_npz(content, reason, tmp_path) -> None:
    path = tmp_path / "c.npz"
    path.write_bytes(content)

    assert reason in faults_of(path)[0]


def npy_header(shape: tuple[int, ...]) -> bytes:
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        stream, {"descr": "|u1", "fortran_order": False, "shape": shape}
    )
    return stream.getvalue()


@pytest.mark.parametrize(
    ("member", "reason"),
    [
        (npy_header((10**6, 10**6)), "x_train: at most [0-9,]+ bytes can be read"),
        (npy_header((12, 6, 5)) + bytes(360 + 10**6), "must end after its 360 bytes"),
        (npy_header((12, 6, 5)) + bytes(359), "x_train: .*359"),
        (b"\x93NUMPY\x03\x00" + bytes(100), "must be version 1.0 or 2.0"),
        (b"not an array", "x_train: .*magic"),
    ],
    ids=["huge", "longer", "shorter", "version", "no array"],
)
def test_npz_whose_header_lies(member, reason, tmp_path) -> None:
    path = write_npz(tmp_path / "c.npz", x_train=None)
    with zipfile.ZipFile(path, "a", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("x_train.npy", member)

    (fault,) = faults_of(path)
    assert re.search(reason, fault), fault


def test_flipped_bit_in_npz(tmp_path) -> None:
    np.savez(path := tmp_path / "c.npz",
             x_train=X_TRAIN, y_train=Y_TRAIN, x_test=X_TEST, y_test=Y_TEST)  # fmt: skip
    content = bytearray(path.read_bytes())
    content[content.index(X_TRAIN.tobytes()) + 7] ^= 1
    path.write_bytes(content)

    (fault,) = faults_of(path)
    assert "x_train: Bad CRC-32" in fault


def test_every_bad_image_at_once(tmp_path) -> None:
    write_images(tmp_path)
    ant = tmp_path / "train" / "ant"
    good = (ant / "003.png").read_bytes()
    (ant / "a.png").write_bytes(b"")
    (ant / "b.png").write_bytes(good[: len(good) // 2])
    (ant / "c.png").write_bytes(b"<html>")
    (ant / "notes.txt").write_text("x")

    faults = dict(fault.removeprefix(f"{ant}/").split(": ", 1) for fault in faults_of(tmp_path))

    assert {name: text.split(",")[0].split(":")[0] for name, text in faults.items()} == {
        "a.png": "the file is empty",
        "b.png": "the picture is damaged",
        "c.png": "this is not a PNG",
        "notes.txt": "must be a picture file with a suffix of .bmp",
    }


def test_bad_layout_of_image_folders(tmp_path) -> None:
    write_images(tmp_path)
    (tmp_path / "test" / "dog").mkdir()
    (tmp_path / "train" / "eel").mkdir()
    (tmp_path / "train" / "stray.png").write_bytes(b"")

    faults = faults_of(tmp_path)

    assert faults == (
        f"{tmp_path}/train/stray.png: must lie in the folder of its class, received a picture "
        "beside these folders",
        f"{tmp_path}/train/eel: there must be at least one image of each class, received none",
        f"{tmp_path}/test/dog: must be one of the classes ant, bee, cow, eel",
    )


def test_missing_training_images(tmp_path) -> None:
    shutil.rmtree(write_images(tmp_path) / "train")

    assert faults_of(tmp_path) == (
        f"{tmp_path}/train: there must be a folder of this name with one folder per class",
    )


def test_too_large_images_are_refused_before_they_are_decoded(tmp_path, monkeypatch) -> None:
    write_images(tmp_path)
    monkeypatch.setattr(image_files, "MAX_BYTES", 18 * 6 * 5 - 1)
    monkeypatch.setattr(Image.Image, "load", lambda _: pytest.fail("decoded"))

    assert faults_of(tmp_path) == (
        "image_size must be smaller: 18 images of 6x5x1 need more than 539 bytes, received none; "
        "use image_size=64x64",
    )


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a\nb\n", "labels must be 0 to 1, received 2"),
        ("a\nb\nc\nd\n", "there is none for 3"),
        ("a\n\nc\n", "received '' for class 1"),
        ("a\nb\na\n", "class names must differ, received a"),
        ("a\nb\n" + "c" * 65, "1 to 64 printable characters"),
        ("a\nb\nc\x1b[31m", "1 to 64 printable characters"),
    ],
)
def test_bad_class_names(text, reason, tmp_path) -> None:
    write_npz(tmp_path / "c.npz")
    (tmp_path / "classes.txt").write_text(text)

    assert any(reason in fault for fault in faults_of(tmp_path / "c.npz"))


def test_class_names_that_are_no_text(tmp_path) -> None:
    write_npz(tmp_path / "c.npz")
    (tmp_path / "classes.txt").write_bytes(b"a\n\xff\n")

    assert faults_of(tmp_path / "c.npz") == (
        f"{tmp_path}/classes.txt: must be UTF-8 text, received a bad byte at 2",
    )


def test_path_that_holds_no_data(tmp_path) -> None:
    for name in ("plain", "empty", "loose", "listed"):
        (tmp_path / name).mkdir()
    for name in ("plain/notes.txt", "loose/a.png", "loose/b.png", "listed/a.png", "listed/all.csv"):
        (tmp_path / name).write_bytes(b"any")

    assert "which does not exist" in faults_of(tmp_path / "fashion-mnst")[0]
    for name, received in {
        "plain": "a folder without pictures",
        "plain/notes.txt": "a file .txt",
        "empty": "an empty folder",
        "loose": "a folder with 2 pictures in no folder of a class; move those of each class",
        "loose/a.png": "one picture; give the folder of its collection",
        "listed": "a folder with all.csv; if all.csv lists the pictures with their classes, use "
        f"--data {tmp_path}/listed/all.csv",
    }.items():
        (fault,) = faults_of(tmp_path / name)
        assert f"IDX files; received {received}" in fault


def test_many_bad_files_are_told_by_kind(tmp_path) -> None:
    ant, bee = (write_images(tmp_path) / "train" / name for name in ("ant", "bee"))
    for at in range(10, 80):
        (ant / f"{at}.txt").write_text("x")
        (bee / f"{at}.png").write_bytes(b"")
    (bee / "one.txt").write_text("x")

    first, second = faults_of(tmp_path)

    assert first == (
        f"71 places below {tmp_path}/train: must be a picture file with a suffix of .bmp, .gif, "
        ".jfif, .jpe, .jpeg, .jpg, .png, .tif, .tiff, .webp; convert it, move it away, or list the "
        "pictures in a CSV; for example ant/10.txt, ant/11.txt and ant/12.txt"
    )
    assert second == (
        f"70 places below {bee}: the file is empty; for example 10.png, 11.png and 12.png"
    )
