"""The files below a folder: links are followed, what is no data is ignored and counted."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

SUFFIXES = (
    ".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".gif", ".webp", ".bmp", ".tif", ".tiff",
)  # fmt: skip
"""How the name of a picture file ends, in lower case."""

MAX_FILES = 1_000_000
"""Limit for the files of a data set: links can make a small tree endless."""

_OF_SYSTEMS = {"thumbs.db", "ehthumbs.db", "desktop.ini", "__macosx"}
_BACKUPS = ("~", ".bak")


@dataclass
class Listing:
    """What happened while folders were listed: faults, and what was ignored, counted by kind."""

    count: int = 0
    """Files listed so far."""
    faults: list[str] = field(default_factory=list)
    ignored: Counter[str] = field(default_factory=Counter)


def is_picture(path: Path) -> bool:
    """Whether the name is that of a picture file."""
    return path.suffix.lower() in SUFFIXES


def entries(folder: Path, listing: Listing) -> list[Path]:
    """Content of a folder, sorted; what is ignored is counted, a broken link is a fault."""
    kept = []
    for path in sorted(folder.iterdir()):
        if kind := _ignored(path):
            listing.ignored[kind] += 1
        elif path.is_symlink() and not path.exists():
            target = os.readlink(path)
            listing.faults.append(f"{path}: must be a link to what exists, received {target!r}")
        else:
            kept.append(path)
    return kept


def list_files(folder: Path, listing: Listing) -> list[Path]:
    """All files below `folder`, at any depth, sorted by their parts.

    A link to a folder that holds the link is a fault.
    """
    found: list[Path] = []
    todo: list[tuple[Path, frozenset[tuple[int, int]]]] = [(folder, frozenset())]
    while todo:
        at, above = todo.pop()
        if (place := _place(at)) in above:
            listing.faults.append(
                f"{at}: must not be a link to a folder that holds it, "
                f"received {os.path.realpath(at)!r}"
            )
            continue
        for path in entries(at, listing):
            if path.is_dir() and is_picture(path):
                listing.faults.append(f"{path}: must be a picture file, received a folder")
            elif path.is_dir():
                todo.append((path, above | {place}))
            else:
                found.append(path)
        if len(found) + listing.count > MAX_FILES:
            listing.faults.append(f"{folder}: there must be at most {MAX_FILES:,} files")
            break
    listing.count += len(found)
    return sorted(found, key=lambda path: path.parts)


def holds_picture(folder: Path) -> bool:
    """Whether there is a picture file below `folder`."""
    listing = Listing()
    todo = [folder]
    seen = set()
    while todo:
        at = todo.pop()
        if (place := _place(at)) in seen:
            continue
        seen.add(place)
        for path in entries(at, listing):
            if path.is_dir():
                todo.append(path)
            elif is_picture(path):
                return True
    return False


def _place(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_dev, status.st_ino


def _ignored(path: Path) -> str:
    """The kind of what is ignored; empty for data."""
    name = path.name.lower()
    if name in _OF_SYSTEMS:
        return path.name
    if name.startswith("."):
        return "hidden"
    # A class may be called so, and was always read.
    if name.endswith(_BACKUPS) and not path.is_dir():
        return "backup"
    return ""
