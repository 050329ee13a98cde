"""Read the user's own data in one of three forms."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

from cnn_pipeline.base.errors import InvalidInput
from cnn_pipeline.data.arrays import Part, pair_faults
from cnn_pipeline.data.catalog import CATALOGS
from cnn_pipeline.data.formats.idx_folder import holds_idx, read_idx_folder
from cnn_pipeline.data.formats.image_folder import holds_image_folders, read_image_folder
from cnn_pipeline.data.formats.npz import read_npz

_FORMS = (
    "a folder with the four IDX files, an .npz file with x_train, y_train, x_test and y_test, "
    "or a folder with train/<class>/*.png and test/<class>/*.png (or .jpg)"
)
_MAX_FAULTS = 50
_MAX_CLASS_NAME = 64


@dataclass(frozen=True)
class LocalData:
    """The user's own data, read and checked, but not split."""

    name: str
    class_names: tuple[str, ...]
    train: Part
    test: Part


def read_local(path: Path) -> LocalData:
    """Read the data at `path`: IDX files, an `.npz`, or folders of images.

    Class names are the lines of `classes.txt` in the folder (or beside the `.npz`), or else the
    names of the folders, or '0', '1' and so on.

    Raises:
        InvalidInput: names every bad file with the reason.
    """
    path = path.expanduser().resolve()
    try:
        return _read(path)
    except OSError as error:
        where = error.filename or path
        raise InvalidInput([f"{where}: cannot be read: {error.strerror or error}"]) from error


def _read(path: Path) -> LocalData:
    if not path.exists():
        raise InvalidInput(
            [f"data must be {', '.join(CATALOGS)} or a path, received {path}, which does not exist"]
        )
    folder = path if path.is_dir() else path.parent
    names, faults = _read_class_names(folder / "classes.txt")
    result: tuple[Part, Part] | tuple[Part, Part, tuple[str, ...]] | list[str]
    if path.suffix.lower() == ".npz" and path.is_file():
        result = read_npz(path)
    elif path.is_dir() and holds_idx(path):
        result = read_idx_folder(path)
    elif path.is_dir() and holds_image_folders(path):
        result = read_image_folder(path, names)
    else:
        raise InvalidInput([f"{path}: data must be {_FORMS}; received something else"])
    if isinstance(result, list):
        raise InvalidInput(_shortened(faults + result))
    if len(result) == 3:
        train, test, names = result
        faults += _name_faults(names, str(folder / "train"))
    else:
        train, test = result
    faults += pair_faults(train, test, names)
    if faults:
        raise InvalidInput(_shortened(faults))
    if names is None:
        names = tuple(str(label) for label in range(int(train.labels.max()) + 1))
    return LocalData(_data_set_name(path), names, train, test)


def _read_class_names(path: Path) -> tuple[tuple[str, ...] | None, list[str]]:
    if not path.is_file():
        return None, []
    try:
        lines = path.read_text(encoding="utf-8-sig").splitlines()
    except UnicodeDecodeError as error:
        return None, [f"{path}: must be UTF-8 text, received a bad byte at {error.start:,}"]
    names = tuple(line.strip() for line in lines)
    return names, _name_faults(names, str(path))


def _name_faults(names: tuple[str, ...], where: str) -> list[str]:
    faults = [
        f"{where}: a class name must be 1 to {_MAX_CLASS_NAME} printable characters, "
        f"received {name[: _MAX_CLASS_NAME + 1]!r} for class {label}"
        for label, name in enumerate(names)
        if not (0 < len(name) <= _MAX_CLASS_NAME and name.isprintable())
    ]
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        faults.append(f"{where}: class names must differ, received {', '.join(twice)} repeatedly")
    return faults


def _data_set_name(path: Path) -> str:
    """The name of the file or folder in lower-case ASCII, so that it can be part of a path."""
    stem = path.stem if path.is_file() else path.name
    slug = re.sub(r"[^a-z0-9_-]+", "-", stem.lower()).strip("-_")[:48].rstrip("-_")
    if not slug:
        slug = "data-" + hashlib.sha256(stem.encode()).hexdigest()[:8]
    return f"own-{slug}" if slug in CATALOGS else slug


def _shortened(faults: list[str]) -> list[str]:
    """At most `_MAX_FAULTS` faults: a wrong folder may have one per image."""
    more = len(faults) - _MAX_FAULTS
    return [*faults[:_MAX_FAULTS], f"... and {more:,} more faults"] if more > 0 else faults
