"""Tell the faults of many files by kind: a count and three examples, not a line per file."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from dataclasses import dataclass

_EXAMPLES = 3
# What differs between faults of one kind: what was received, or what a decoder says.
_DETAIL = re.compile(r"(, received |: )")


@dataclass(frozen=True)
class _Fault:
    place: str
    kind: str
    detail: str


def by_kind(faults: Sequence[str]) -> list[str]:
    """Faults of the form '<place>: <what is required>, received <what>', shortened.

    Up to three of a kind stay as they are. More become one, with their common folder: '70 places
    below /data/ant: must be a picture file; for example 0.txt, 1.txt and 2.txt'.
    """
    kinds: dict[str, list[_Fault]] = {}
    split = [_split(fault) for fault in faults]
    for one in split:
        kinds.setdefault(one.kind, []).append(one)
    told: dict[str, None] = {}
    for fault, one in zip(faults, split, strict=True):
        few = len(kinds[one.kind]) <= _EXAMPLES
        told[fault if few else _told(one.kind, kinds[one.kind])] = None
    return list(told)


def _split(fault: str) -> _Fault:
    place, found, rest = fault.partition(": ")
    if not found:
        return _Fault("", fault, "")
    kind, *detail = _DETAIL.split(rest, maxsplit=1)
    return _Fault(place, kind, "".join(detail).removeprefix(", ").removeprefix(": "))


def _told(kind: str, faults: Sequence[_Fault]) -> str:
    places = [fault.place for fault in faults]
    folder = _common_folder(places)
    examples = [
        (os.path.relpath(fault.place, folder) if folder else fault.place)
        + (f" ({fault.detail})" if fault.detail else "")
        for fault in faults[:_EXAMPLES]
    ]
    named = f"for example {', '.join(examples[:-1])} and {examples[-1]}"
    if not folder:
        return f"{kind}; {len(faults):,} such faults, {named}"
    return f"{len(faults):,} places below {folder}: {kind}; {named}"


def _common_folder(places: Sequence[str]) -> str:
    """The folder below which all places are; empty if they are no absolute paths."""
    if not all(map(os.path.isabs, places)):
        return ""
    return os.path.commonpath([os.path.dirname(place) for place in places])
