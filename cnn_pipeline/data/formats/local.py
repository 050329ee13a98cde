"""Read the user's own data, whatever form they have."""

from __future__ import annotations

import hashlib
import os
import re
from dataclasses import dataclass
from pathlib import Path

from cnn_pipeline.base.errors import InvalidInput
from cnn_pipeline.base.files import read_file
from cnn_pipeline.base.quantities import counted
from cnn_pipeline.data.arrays import Part, Parts, pair_faults
from cnn_pipeline.data.catalog import CATALOGS
from cnn_pipeline.data.formats.by_kind import by_kind
from cnn_pipeline.data.formats.idx_folder import holds_idx, read_idx_folder
from cnn_pipeline.data.formats.image_folder import read_image_folder, read_image_table
from cnn_pipeline.data.formats.layout import CLASSES_FILE, holds_classes, may_list, tables
from cnn_pipeline.data.formats.listing import is_picture
from cnn_pipeline.data.formats.npz import read_npz
from cnn_pipeline.data.preparation import AS_IS, Preparation
from cnn_pipeline.data.prepare_arrays import prepare_arrays
from cnn_pipeline.settings.trial import DataSettings

_FORMS = (
    "a folder of images in folders of classes (<class>/*.png, or train/<class>/*.png, val/ and "
    "test/), a CSV of path,label, an .npz file with x_train, y_train, x_test and y_test, or a "
    "folder with the four IDX files"
)
_MAX_FAULTS = 50
_MAX_CLASS_NAME = 64


@dataclass(frozen=True)
class LocalData:
    """The user's own data, read and checked, but not split.

    Without `test`, test images are drawn from `train`; without `validation`, validation images.
    `notes` say in sentences what was converted or left out.
    """

    name: str
    class_names: tuple[str, ...]
    train: Part
    test: Part | None
    validation: Part | None = None
    notes: tuple[str, ...] = ()
    preparation: Preparation = AS_IS


def read_local(
    path: Path,
    settings: DataSettings = DataSettings(),  # noqa: B008 - frozen
    cache: Path | None = None,
) -> LocalData:
    """Read the data at `path`: folders of images, a CSV of them, an `.npz`, or IDX files.

    Class names are the lines of `classes.txt` in the folder (or beside the `.npz`), or else the
    names of the folders, or '0', '1' and so on. Images are prepared as `settings` declare;
    `cache` keeps what was prepared from picture files.

    Raises:
        InvalidInput: names every bad file with the reason.
    """
    path = local_path(path)
    try:
        return _read(path, settings, cache)
    except OSError as error:
        where = error.filename or path
        raise InvalidInput([f"{where}: cannot be read: {error.strerror or error}"]) from error


def _received(path: Path) -> str:
    """What there is instead of data, and what to do with it."""
    if path.is_file():
        if is_picture(path):
            return "one picture; give the folder of its collection"
        return f"a file {path.suffix}" if path.suffix else "a file without a suffix"
    files = [one.name for one in path.iterdir() if one.is_file()]
    if listed := tables(path):
        return f"a folder with {listed[0].name}; {may_list(listed[0])}"
    if pictures := sum(is_picture(Path(name)) for name in files):
        beside = f"; {may_list(listed[0])}" if (listed := tables(path.parent)) else ""
        return (
            f"a folder with {counted(pictures, 'picture')} in no folder of a class; move those of "
            f"each class into a folder with its name, or list them in a CSV{beside}"
        )
    return "a folder without pictures" if any(path.iterdir()) else "an empty folder"


def local_path(path: Path | str) -> Path:
    """The real path of data, without links and '~'. A link to itself stays as it is."""
    return Path(os.path.realpath(Path(path).expanduser()))


def _read(path: Path, settings: DataSettings, cache: Path | None) -> LocalData:
    if not path.exists():
        raise InvalidInput(
            [f"data must be {', '.join(CATALOGS)} or a path, received {path}, which does not exist"]
        )
    if settings.name in CATALOGS:
        fault = f"name must be another than {settings.name}, which is not your own data"
        raise InvalidInput([fault])
    folder = path if path.is_dir() else path.parent
    names, faults = _read_class_names(folder / CLASSES_FILE)
    result: Parts | tuple[Part, Part] | tuple[Part, Part, tuple[str, ...]] | list[str]
    if path.suffix.lower() == ".npz" and path.is_file():
        result = read_npz(path, names)
    elif path.is_dir() and holds_idx(path):
        result = read_idx_folder(path, names, cache)
    elif path.suffix.lower() == ".csv" and path.is_file():
        result = read_image_table(path, names, settings, cache)
    elif path.is_dir() and holds_classes(path):
        result = read_image_folder(path, names, settings, cache)
    else:
        raise InvalidInput([f"{path}: data must be {_FORMS}; received {_received(path)}"])
    if isinstance(result, list):
        raise InvalidInput(_shortened(faults + result))
    parts = result if isinstance(result, Parts) else _as_parts(*result)
    if parts.class_names is not None:
        names = parts.class_names
        faults += _name_faults(names, parts.train.labels_file)
    if settings.group_by is not None and not parts.train.names:
        faults.append(f"{path}: group_by needs the names of files, which these data do not have")
    faults += pair_faults(parts.train, parts.others, names)
    if faults:
        raise InvalidInput(_shortened(faults))
    if names is None:
        names = tuple(str(label) for label in range(int(parts.train.labels.max()) + 1))
    if parts.preparation is None:
        parts = prepare_arrays(parts, settings)
    return LocalData(
        settings.name or data_set_name(path),
        names,
        parts.train,
        parts.test,
        parts.validation,
        parts.notes,
        parts.preparation or AS_IS,
    )


def _as_parts(train: Part, test: Part, names: tuple[str, ...] | None = None) -> Parts:
    return Parts(train, test, class_names=names)


def _read_class_names(path: Path) -> tuple[tuple[str, ...] | None, list[str]]:
    if not path.exists():
        return None, []
    try:
        lines = read_file(path).decode("utf-8-sig").splitlines()
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


def data_set_name(path: Path) -> str:
    """The name of the file or folder in lower-case ASCII, so that it can be part of a path."""
    stem = path.stem if path.is_file() else path.name
    slug = re.sub(r"[^a-z0-9_-]+", "-", stem.lower()).strip("-_")[:48].rstrip("-_")
    if not slug:
        slug = "data-" + hashlib.sha256(stem.encode()).hexdigest()[:8]
    return f"own-{slug}" if slug in CATALOGS else slug


def _shortened(faults: list[str]) -> list[str]:
    """At most `_MAX_FAULTS` faults, by kind: a wrong folder may have one per image."""
    faults = by_kind(faults)
    more = len(faults) - _MAX_FAULTS
    return [*faults[:_MAX_FAULTS], f"... and {more:,} more faults"] if more > 0 else faults
