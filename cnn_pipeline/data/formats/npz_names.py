"""Which array of an `.npz` is what, by the names that people give."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

Role = Literal["train", "test", "validation"]
Kind = Literal["images", "labels"]
Slot = tuple[Role, Kind]

# Of two in one line, such as scikit-learn's 'images' and 'data', the first is taken.
_KINDS: Mapping[Kind, tuple[tuple[str, ...], ...]] = {
    "images": (
        ("x",),
        ("images", "image", "imgs", "img", "pixels"),
        ("data", "inputs", "features"),
    ),
    "labels": (("y",), ("labels", "label", "lbls", "lbl"), ("targets", "target", "classes")),
}
_ROLES: Mapping[Role, tuple[str, ...]] = {
    "train": ("train", "training", "tr"),
    "validation": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing", "te"),
}
_CLASS_NAMES = ("targetnames", "classnames", "labelnames", "names")
_EXAMPLE = "np.savez('data.npz', x_train=..., y_train=..., x_test=..., y_test=...)"


@dataclass(frozen=True)
class Slots:
    """The names of the arrays of each part, and of the one with the class names."""

    arrays: Mapping[Slot, str]
    class_names: str | None
    unused: tuple[str, ...]
    faults: tuple[str, ...]

    def name(self, role: Role, kind: Kind) -> str:
        """The name of an array that is there."""
        return self.arrays[role, kind]


def find_slots(names: Iterable[str]) -> Slots:
    """The arrays of training, test and validation among `names`; without a role they are training.

    Test images may be missing: they are drawn from the training images then.
    """
    names = sorted(names)
    found: dict[tuple[Role | None, Kind], dict[str, int]] = {}
    for name in names:
        meaning = _MEANINGS.get(_plain(name))
        if meaning is not None:
            role, kind, rank = meaning
            found.setdefault((role, kind), {})[name] = rank
    for kind in _KINDS:  # 'x' beside 'x_test' is training
        alone = found.pop((None, kind), None)
        if alone is not None and ("train", kind) not in found:
            found["train", kind] = alone
    arrays: dict[Slot, str] = {}
    faults: list[str] = []
    for role, kind in itertools.product(_ROLES, _KINDS):  # training first
        candidates = found.get((role, kind))
        if candidates is None:
            continue
        best = [name for name, rank in candidates.items() if rank == min(candidates.values())]
        if len(best) > 1:
            faults.append(f"must hold {kind} of {role} once, received {' and '.join(best)}")
        arrays[role, kind] = best[0]
    faults += _missing(arrays, names)
    class_names = [name for name in names if _plain(name) in _CLASS_NAMES]
    used = {*arrays.values(), *class_names[:1]}
    return Slots(
        arrays,
        class_names[0] if class_names else None,
        tuple(name for name in names if name not in used),
        tuple(faults),
    )


def _plain(name: str) -> str:
    return re.sub(r"[\W_]+", "", name).lower()


def _missing(arrays: Mapping[Slot, str], names: list[str]) -> list[str]:
    received = ", ".join(names[:10]) or "an empty file"
    if not arrays:
        return [
            f"must hold arrays x_train, y_train, x_test and y_test, or images and labels, received "
            f"{received}; write it with {_EXAMPLE}"
        ]
    here = {role for role, _ in arrays} | {"train"}
    short = {"train": "train", "test": "test", "validation": "val"}
    return [
        f"must hold the array {letter}_{short[role]}, received {received}"
        for role in _ROLES
        if role in here
        for kind, letter in (("images", "x"), ("labels", "y"))
        if (role, kind) not in arrays
    ]


def _meanings() -> dict[str, tuple[Role | None, Kind, int]]:
    meanings: dict[str, tuple[Role | None, Kind, int]] = {}
    for kind, ranks in _KINDS.items():
        for rank, words in enumerate(ranks):
            for word in words:
                meanings[word] = (None, kind, rank)
                for role, roles in _ROLES.items():
                    for said in roles:
                        meanings[word + said] = meanings[said + word] = (role, kind, rank)
    return meanings


_MEANINGS = _meanings()
