"""A CSV of picture files: path,label[,split,group], and every bad line by its number."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnn_pipeline.base.errors import InvalidInput
from cnn_pipeline.data.formats import table
from cnn_pipeline.data.formats.local import LocalData, read_local
from cnn_pipeline.settings.trial import DataSettings


@pytest.fixture
def csv(tmp_path: Path) -> Path:
    (tmp_path / "img").mkdir()
    for at in range(12):
        shade = np.full((3, 2), at, dtype=np.uint8)
        Image.fromarray(shade).save(tmp_path / "img" / f"{at}.png")
    return tmp_path / "my table.csv"


def write(path: Path, *lines: str, header: str = "path,label") -> Path:
    path.write_text("\n".join([header, *lines]))
    return path


def faults_of(path: Path, settings: DataSettings = DataSettings()) -> tuple[str, ...]:  # noqa: B008
    with pytest.raises(InvalidInput) as caught:
        read_local(path, settings)
    return caught.value.faults


def shades(data: LocalData, role: str) -> list[int]:
    return list(getattr(data, role).images[:, 0, 0, 0])


def test_paths_are_relative_to_the_csv_or_absolute(csv) -> None:
    data = read_local(write(csv, "img/1.png,b", "img/0.png,a", f"{csv.parent}/img/2.png, a "))

    assert data.name == "my-table"
    assert data.class_names == ("a", "b")
    assert data.test is None and data.validation is None
    assert shades(data, "train") == [0, 2, 1]
    assert data.train.labels.tolist() == [0, 0, 1]
    assert data.train.groups is None


def test_numbers_are_sorted_as_numbers(csv) -> None:
    data = read_local(write(csv, *(f"img/{at}.png,{at}" for at in range(12))))

    assert data.class_names == tuple(map(str, range(12)))


def test_splits_and_groups(csv) -> None:
    lines = [
        "img/0.png,a,train,p",
        "img/1.png,b,TRAINING,p",
        "img/2.png,a,val,",
        "img/3.png,b,test,q",
    ]

    data = read_local(write(csv, *lines, header="path,label,split,group"))

    assert shades(data, "train") == [0, 1]
    assert shades(data, "validation") == [2]
    assert shades(data, "test") == [3]
    assert data.train.groups is not None
    assert data.train.groups.tolist() == [0, 0]
    assert data.notes == ("kept 2 groups of images together in the splits",)


def test_other_columns_order_and_delimiters(csv) -> None:
    data = read_local(write(csv, "a;x;img/0.png", "b;y;img/1.png", header="Label;note; Path"))

    assert data.class_names == ("a", "b")
    assert data.notes == ("ignored the columns note",)


def test_classes_file_gives_the_order(csv) -> None:
    (csv.parent / "classes.txt").write_text("b\na\n")

    assert read_local(write(csv, "img/0.png,a", "img/1.png,b")).class_names == ("b", "a")
    assert faults_of(write(csv, "img/0.png,a", "img/1.png,b", "img/2.png,c")) == (
        f"{csv}:4: label must be one of b, a, received 'c'",
    )


def test_every_bad_line_at_once(csv) -> None:
    lines = [
        "img/0.png,a,train,",
        "img/1.png,,train,",
        ",a,train,",
        "img/none.png,a,train,",
        "img/0.png,b,train,",
        "notes.txt,a,train,",
        "img/2.png,b,later,",
        "img/3.png,b,,",
    ]

    assert faults_of(write(csv, *lines, header="path,label,split,group")) == (
        f"{csv}:3: label must not be empty",
        f"{csv}:4: path must not be empty",
        f"{csv}:5: path must be that of a file, received 'img/none.png', not there",
        f"{csv}:6: path must be listed once, received 'img/0.png' of line 2",
        f"{csv}:7: path must be that of a picture file, received 'notes.txt'",
        f"{csv}:8: split must be train, validation or test in every line or in none, "
        "received 'later'",
        f"{csv}:9: split must be train, validation or test in every line or in none, received ''",
    )


def test_many_bad_lines_are_told_by_kind(csv) -> None:
    (fault,) = faults_of(write(csv, *(f"img/x{at}.png,a" for at in range(500))))

    assert fault == (
        f"500 places below {csv.parent}: path must be that of a file; for example "
        "my table.csv:2 (received 'img/x0.png', not there), "
        "my table.csv:3 (received 'img/x1.png', not there) and "
        "my table.csv:4 (received 'img/x2.png', not there)"
    )


def test_a_class_without_training_images(csv) -> None:
    lines = ["img/0.png,a,train", "img/1.png,b,train", "img/2.png,c,test"]

    assert faults_of(write(csv, *lines, header="path,label,split")) == (
        f"{csv}: there must be at least one training image of each class, received none of c",
    )


def test_groups_in_two_splits(csv) -> None:
    lines = ["img/0.png,a,train,p", "img/1.png,b,train,q", "img/2.png,a,test,p"]

    assert faults_of(write(csv, *lines, header="path,label,split,group")) == (
        "group 'p': must be in one split, received train and test",
    )


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "the first line must be path,label"),
        (b"file,class\n1,2\n", "the first line must be path,label.*received 'file,class'"),
        (b"path,label,path\n1,2\n", "the first line must be path,label"),
        (b"path,label\n", "there must be 1 to 1,000,000 images, received none"),
        (b"path,label\n\xff,1\n", "must be UTF-8 text, received a bad byte at 11"),
        (b"path,label\n\0,1\n", "must be UTF-8 text, received a zero byte"),
        (b'path,label\n"x,1\n', "must be a CSV: unexpected end of data"),
        (b"path,label\n" + b"x" * 200_000, "must be a CSV: field larger than field limit"),
    ],
)
def test_what_is_no_such_table(content, reason, csv) -> None:
    csv.write_bytes(content)

    (fault,) = faults_of(csv)

    assert re.search(reason, fault), fault


def test_size_is_bounded(csv, monkeypatch) -> None:
    write(csv, "img/0.png,a", "img/1.png,b", "img/2.png,b")
    monkeypatch.setattr(table, "MAX_FILES", 2)
    assert "1 to 2 images, received more than 2" in faults_of(csv)[0]
    monkeypatch.setattr(table, "MAX_BYTES", 10)
    assert "must have at most" in faults_of(csv)[0]


def test_group_by_works_on_names_and_not_beside_groups(csv) -> None:
    table = write(csv, *(f"img/{at}.png,{'ab'[at % 2]}" for at in range(12)))

    data = read_local(table, DataSettings(group_by=r"(\d)\.png$"))

    assert data.train.groups is not None
    assert len(set(data.train.groups.tolist())) == 10
    write(csv, "img/0.png,a,p", "img/1.png,b,q", header="path,label,group")
    assert "group_by must be left out" in faults_of(csv, DataSettings(group_by="."))[0]


def test_group_by_needs_names_of_files(tmp_path) -> None:
    x, y = np.zeros((4, 2, 2), dtype=np.uint8), np.arange(4) % 2
    np.savez(tmp_path / "a.npz", x_train=x, y_train=y, x_test=x, y_test=y)

    assert faults_of(tmp_path / "a.npz", DataSettings(group_by=".")) == (
        f"{tmp_path}/a.npz: group_by needs the names of files, which these data do not have",
    )
