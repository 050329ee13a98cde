"""A CSV that names picture files and their classes: `path,label[,split,group]`."""

from __future__ import annotations

import csv
import io
import itertools
import re
from dataclasses import dataclass
from pathlib import Path

from cnn_pipeline.base.files import open_file
from cnn_pipeline.data.formats.collection import ROLES, Collection, Picture, role_named, some
from cnn_pipeline.data.formats.listing import MAX_FILES, is_picture

MAX_BYTES = 256 * 2**20
"""Limit for the file."""

_REQUIRED = ("path", "label")
_OPTIONAL = ("split", "group")
_DELIMITERS = ",;\t"


@dataclass(frozen=True)
class _Line:
    number: int
    path: str
    label: str
    split: str
    group: str


def read_table(path: Path, class_names: tuple[str, ...] | None) -> Collection:
    """The pictures that a CSV lists, and all faults with their lines.

    Paths are relative to the folder of the CSV, or absolute. Classes are in the order of
    `class_names`, or sorted: as numbers if all are whole numbers.
    """
    try:
        text = _read_text(path)
        lines, other = _parse(text, str(path))
    except _TableError as error:
        return Collection((), (), {}, faults=(str(error),))
    split = any(line.split for line in lines)
    names = class_names or _sorted_names({line.label for line in lines})
    faults: list[str] = []
    pictures = []
    seen: dict[str, int] = {}
    for line in lines:
        picture, found = _picture(line, path, names, split, seen)
        faults += found
        if picture is not None:
            pictures.append(picture)
    train = {picture.label for picture in pictures if picture.role == "train"}
    if not faults:
        faults += [
            f"{path}: there must be at least one training image of each class, "
            f"received none of {name}"
            for name in names
            if name not in train
        ]
    order = {name: at for at, name in enumerate(names)}
    pictures.sort(key=lambda picture: (ROLES.index(picture.role), order[picture.label]))
    notes = (f"ignored the columns {some(other)}",) if other else ()
    places = dict.fromkeys(ROLES, str(path))
    return Collection(tuple(pictures), names, places, notes, tuple(faults))


class _TableError(ValueError):
    pass


def _read_text(path: Path) -> str:
    with open_file(path) as file:
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise _TableError(f"{path}: must have at most {MAX_BYTES >> 20} MiB")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        fault = f"{path}: must be UTF-8 text, received a bad byte at {error.start:,}"
        raise _TableError(fault) from None
    if "\0" in text:
        raise _TableError(f"{path}: must be UTF-8 text, received a zero byte")
    return text


def _parse(text: str, where: str) -> tuple[list[_Line], list[str]]:
    """The lines, and the names of columns that mean nothing here."""
    first = text.partition("\n")[0]
    delimiter = max(_DELIMITERS, key=first.count)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    try:
        header = [name.strip().lower() for name in next(rows, [])]
        missing = [name for name in _REQUIRED if name not in header]
        twice = [name for name in (*_REQUIRED, *_OPTIONAL) if header.count(name) > 1]
        if missing or twice:
            raise _TableError(
                f"{where}:1: the first line must be path,label or path,label,split,group, "
                f"received {first.strip()[:80]!r}"
            )
        numbered = [(rows.line_num, cells) for cells in itertools.islice(rows, MAX_FILES + 1)]
    except csv.Error as error:
        raise _TableError(f"{where}: must be a CSV: {error}") from None
    lines = [_line(number, header, cells) for number, cells in numbered if any(cells)]
    if not 0 < len(lines) <= MAX_FILES:
        received = f"more than {MAX_FILES:,}" if lines else "none"
        raise _TableError(f"{where}: there must be 1 to {MAX_FILES:,} images, received {received}")
    return lines, [name for name in header if name not in (*_REQUIRED, *_OPTIONAL)]


def _line(number: int, header: list[str], cells: list[str]) -> _Line:
    cell = dict(zip(header, map(str.strip, cells), strict=False))
    return _Line(number, *(cell.get(name, "") for name in (*_REQUIRED, *_OPTIONAL)))


def _picture(
    line: _Line, table: Path, names: tuple[str, ...], split: bool, seen: dict[str, int]
) -> tuple[Picture | None, list[str]]:
    where = f"{table}:{line.number}"
    faults = []
    if not line.label:
        faults.append(f"{where}: label must not be empty")
    elif line.label not in names:
        faults.append(f"{where}: label must be one of {some(names, 20)}, received {line.label!r}")
    role = role_named(line.split) if split else "train"
    if role is None:
        faults.append(
            f"{where}: split must be train, validation or test in every line or in none, "
            f"received {line.split!r}"
        )
    path = table.parent / line.path
    if not line.path:
        faults.append(f"{where}: path must not be empty")
    elif not is_picture(path):
        faults.append(f"{where}: path must be that of a picture file, received {line.path!r}")
    elif not path.is_file():
        faults.append(f"{where}: path must be that of a file, received {line.path!r}, not there")
    elif (before := seen.setdefault(str(path), line.number)) != line.number:
        faults.append(f"{where}: path must be listed once, received {line.path!r} of line {before}")
    if faults or role is None:
        return None, faults
    return Picture(path, line.path, line.label, role, line.group), []


def _sorted_names(labels: set[str]) -> tuple[str, ...]:
    labels = labels - {""}
    if all(re.fullmatch(r"[0-9]{1,18}", label) for label in labels):
        return tuple(sorted(labels, key=lambda label: (int(label), label)))
    return tuple(sorted(labels))
