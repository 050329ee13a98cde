"""Picture files with their labels, as found, before a pixel is read."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

Role = Literal["train", "validation", "test"]
ROLES: tuple[Role, ...] = ("train", "validation", "test")

_SPELLINGS: Mapping[str, Role] = {
    "train": "train",
    "training": "train",
    "val": "validation",
    "valid": "validation",
    "validation": "validation",
    "test": "test",
    "testing": "test",
}


def role_named(name: str) -> Role | None:
    """The role that a folder or a word in a column stands for, in any case; None if none."""
    return _SPELLINGS.get(name.strip().lower())


@dataclass(frozen=True)
class Picture:
    """One file, its class, and where it belongs.

    `name` is how the data set calls the file: its path below the class' folder, or as a CSV writes
    it. `role` is 'train' where none is given. Pictures of one `group` are never split; an empty one
    stands for the picture alone.
    """

    path: Path
    name: str
    label: str
    role: Role = "train"
    group: str = ""


@dataclass(frozen=True)
class Collection:
    """All pictures, by role and class.

    `places` says where the pictures of each role were found; `notes` say what was left out; `doubt`
    says why the classes may not be those that were meant. With `faults` it cannot be used, but its
    pictures can be checked.
    """

    pictures: tuple[Picture, ...]
    class_names: tuple[str, ...]
    places: Mapping[Role, str]
    notes: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()
    doubt: tuple[str, ...] = ()


def grouped_by(collection: Collection, pattern: str) -> Collection:
    """Put pictures into groups by their names; a name without a group is a fault.

    The group is what the expression's first group matches, or else the whole match.
    """
    if any(picture.group for picture in collection.pictures):
        fault = f"group_by must be left out: the data have groups already, received {pattern!r}"
        return replace(collection, faults=(*collection.faults, fault))
    found = re.compile(pattern)
    faults = []
    pictures = []
    for picture in collection.pictures:
        match = found.search(picture.name)
        group = match and (match[1] if found.groups else match[0])
        if not group:
            faults.append(f"{picture.path}: group_by {pattern!r} must match the file's name")
        pictures.append(replace(picture, group=group or ""))
    found_all = (*collection.faults, *faults)
    return replace(collection, pictures=tuple(pictures), faults=found_all)


def straddling(pictures: Sequence[Picture]) -> list[str]:
    """Faults for groups that the data themselves have split."""
    roles: dict[str, set[str]] = {}
    for picture in pictures:
        if picture.group:
            roles.setdefault(picture.group, set()).add(picture.role)
    return [
        f"group {group!r}: must be in one split, received "
        f"{' and '.join(role for role in ROLES if role in found)}"
        for group, found in roles.items()
        if len(found) > 1
    ]


def ignored_note(ignored: Counter[str]) -> tuple[str, ...]:
    """'ignored 3 files or folders: hidden 2, Thumbs.db 1'; nothing for none."""
    if not ignored:
        return ()
    kinds = ", ".join(f"{kind} {count:,}" for kind, count in ignored.most_common())
    what = "file or folder" if ignored.total() == 1 else "files or folders"
    return (f"ignored {ignored.total():,} {what}: {kinds}",)


def some(names: Sequence[str], most: int = 5) -> str:
    """'a, b, c, d, e and 3 more'."""
    more = f" and {len(names) - most:,} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
