"""Folders of pictures: `train/<class>/*.png`, `val/`, `test/`; or only `<class>/*.png`."""

from __future__ import annotations

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
    places = {role: str(path) for role, path in parts}
    doubt = _doubt([path for path in _folders(parts[0][1]) if path.name in names])
    return Collection(tuple(pictures), names, places, notes, tuple(faults), doubt)


def _doubt(classes: Sequence[Path]) -> tuple[str, ...]:
    """Why the folders of the classes may be something else, as the sizes of an icon theme."""
    below = [entries(path, Listing()) for path in classes]
    if len(classes) < 2 or any(is_picture(path) for paths in below for path in paths):
        return ()
    names = [{path.name for path in paths if path.is_dir()} for paths in below]
    if len(common := sorted(set.intersection(*names))) < 2:
        return ()
    return (
        f"the classes are {some([path.name for path in classes])}, and each holds the folders "
        f"{some(common)}: if those are your classes, use --data {classes[0]}, or list the pictures "
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
            listing.faults.append(f"{path}: must be a folder of images, named as their class")
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
