"""Folders of pictures: `train/<class>/*.png`, `val/`, `test/`; or only `<class>/*.png`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from cnn_pipeline.data.formats.collection import (
    ROLES,
    Collection,
    Picture,
    Role,
    ignored_note,
    role_named,
    some,
)
from cnn_pipeline.data.formats.listing import (
    Listing,
    entries,
    holds_picture,
    is_picture,
    list_files,
)

CLASSES_FILE = "classes.txt"


def holds_classes(folder: Path) -> bool:
    """Whether `folder` holds folders of pictures, with or without `train` and `test`."""
    return bool(_role_folders(folder)) or any(map(holds_picture, _folders(folder)))


def read_layout(folder: Path, class_names: tuple[str, ...] | None) -> Collection:
    """Find the pictures of every class, and all faults.

    Classes are the folders in `train/`, or in `folder` where there is no such folder, in the order
    of `class_names` or sorted. Pictures below them are found at any depth.
    """
    listing = Listing()
    roles = _role_folders(folder)
    if roles:
        faults, beside = _role_faults(folder, roles)
        parts = [(role, roles[role][0]) for role in ROLES if role in roles]
        names = class_names or tuple(
            path.name for first in roles.get("train", [])[:1] for path in _folders(first)
        )
    else:
        faults, beside = [], _other_files(folder)
        parts = [("train", folder)]
        names = class_names or tuple(path.name for path in _folders(folder))
    pictures: list[Picture] = []
    for role, path in parts:
        found = _of_classes(path, role, names, listing, () if roles else (*beside, CLASSES_FILE))
        pictures += found
        faults += listing.faults + _missing(path, role, names, found)
        listing.faults.clear()
    notes = ignored_note(listing.ignored)
    if beside:
        notes = (*notes, f"ignored beside the folders of images: {some(beside)}")
    if len(names) == 1:
        faults.append(
            f"{parts[0][1]}: there must be at least 2 classes, each a folder of images, "
            f"received {names[0]} alone"
        )
    places = {role: str(path) for role, path in parts}
    doubt = _doubt([path for path in _folders(parts[0][1]) if path.name in names])
    doubt += tuple(map(may_list, tables(folder)[:1]))
    return Collection(tuple(pictures), names, places, notes, tuple(faults), doubt)


def tables(folder: Path) -> list[Path]:
    """The CSV files in `folder`."""
    return [path for path in entries(folder, Listing()) if path.suffix.lower() == ".csv"]


def may_list(table: Path) -> str:
    """That a CSV may be what was meant."""
    return f"if {table.name} lists the pictures with their classes, use --data {table}"


def _doubt(classes: Sequence[Path]) -> tuple[str, ...]:
    """Why the folders of the classes may be something else, as the sizes of an icon theme.

    Then most of them hold no picture themselves, but folders of the same names, or of one class
    several folders. The path to use is that of the one with the most of these folders.
    """
    below = {path: entries(path, Listing()) for path in classes}
    own = [path for path, found in below.items() if any(map(is_picture, found))]
    inside = {
        path: {one.name for one in found if one.is_dir() and holds_picture(one)}
        for path, found in below.items()
        if path not in own
    }
    deep = [names for names in inside.values() if names]
    holds = Counter(name for names in deep for name in names)
    least = max(len(deep) / 2, min(2, len(classes)))
    common = sorted(name for name, count in holds.items() if count >= least)
    if len(common) < 2 or len(deep) <= len(own):
        return ()
    meant = max(inside, key=lambda path: len(inside[path].intersection(common)))
    at = [path.name for path in classes]
    every = len(deep) == len(classes) and all(names.issuperset(common) for names in deep)
    who = f"the classes are {some(at)}, and {'each holds' if every else 'most hold'}"
    return (
        f"{who if at[1:] else f'the only class is {at[0]}, which holds'} the folders "
        f"{some(common)}: if those are your classes, use --data {meant}, or list the pictures "
        "in a CSV",
    )


def _folders(folder: Path) -> list[Path]:
    return [path for path in entries(folder, Listing()) if path.is_dir()]


def _other_files(folder: Path) -> list[str]:
    """Names of files beside the classes that are no pictures, as a licence."""
    return [
        path.name
        for path in entries(folder, Listing())
        if not path.is_dir() and not is_picture(path) and path.name != CLASSES_FILE
    ]


def _role_folders(folder: Path) -> dict[Role, list[Path]]:
    """The folders of each role; none where they are classes, as in 'bus', 'car' and 'train'."""
    folders = _folders(folder)
    found: dict[Role, list[Path]] = {}
    for path in folders:
        if role := role_named(path.name):
            found.setdefault(role, []).append(path)
    inside = [path for paths in found.values() for path in paths]
    are_classes = len(folders) > len(inside) and not any(map(_folders, inside))
    return {} if are_classes or not found.keys() & {"train", "test"} else found


def _role_faults(folder: Path, roles: dict[Role, list[Path]]) -> tuple[list[str], list[str]]:
    """Faults of the folders' names, and the names of folders beside them."""
    inside = [path for paths in roles.values() for path in paths]
    beside = [path.name for path in _folders(folder) if path not in inside]
    faults = [
        f"{folder}: there must be one folder of {role} images, received "
        + " and ".join(path.name for path in paths)
        for role, paths in roles.items()
        if len(paths) > 1
    ]
    faults += [
        f"{path}: there must be a folder of this name, received something else"
        for path in entries(folder, Listing())
        if role_named(path.name) and not path.is_dir()
    ]
    # Test images are drawn where there are none; a folder beside may be a misspelt 'test'.
    needed: tuple[Role, ...] = ("train", "test") if beside else ("train",)
    faults += [
        f"{folder / role}: there must be a folder of this name with one folder per class"
        + (f", received {some(beside)}" if beside else "")
        for role in needed
        if role not in roles
    ]
    return faults, beside


def _of_classes(
    folder: Path, role: Role, names: tuple[str, ...], listing: Listing, allowed: Sequence[str]
) -> list[Picture]:
    """The pictures in the folders of the classes; faults go to `listing`.

    Files beside these folders are faults unless their names are `allowed`.
    """
    folders: dict[str, Path] = {}
    for path in entries(folder, listing):
        if path.is_dir() and (path.name in names or not names):
            folders[path.name] = path
        elif path.is_dir():
            listing.faults.append(f"{path}: must be one of the classes {', '.join(names)}")
        elif path.name not in allowed:
            what = "a picture" if is_picture(path) else "another file"
            listing.faults.append(
                f"{path}: must lie in the folder of its class, received {what} beside these folders"
            )
    return [
        Picture(path, path.relative_to(folders[name]).as_posix(), name, role)
        for name in names
        if name in folders
        for path in list_files(folders[name], listing)
    ]


def _missing(
    folder: Path, role: Role, names: tuple[str, ...], found: Sequence[Picture]
) -> list[str]:
    filled = {picture.label for picture in found}
    faults = []
    if role == "train":
        faults += [
            f"{folder / name}: there must be at least one image of each class, received none"
            for name in names
            if name not in filled
        ]
    if not filled and (names or role == "train"):
        faults.append(f"{folder}: there must be at least one image, received none")
    return faults
