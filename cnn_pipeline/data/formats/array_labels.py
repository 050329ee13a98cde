"""Turn labels, as people save them, into classes 0 to k-1 with names.

Whole numbers that start at 1 or have gaps, whole floats, booleans, text and one-hot rows have one
meaning. They are converted, and a note says so.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cnn_pipeline.data.arrays import MAX_CLASSES, Labels

_LARGEST_WHOLE = 2**53
"""Above it floats skip whole numbers."""
_SIGNS = [-1, 1]


class LabelsError(ValueError):
    """The array has no one meaning as labels; the message says what to do."""


@dataclass(frozen=True)
class ClassLabels:
    """`labels` by name of the array; `class_names` if the labels give them.

    `notes` and `faults` begin with the name of the array.
    """

    labels: Mapping[str, Labels]
    class_names: tuple[str, ...] | None
    notes: tuple[str, ...] = ()
    faults: tuple[str, ...] = ()


def to_classes(
    arrays: Mapping[str, NDArray[np.generic]], class_names: tuple[str, ...] | None
) -> ClassLabels:
    """Convert the labels of one data set. The first array, of training, decides the classes.

    Args:
        arrays: by name, which the messages use.
        class_names: names that the user has given, in the order of the classes.
    """
    notes: list[str] = []
    faults: list[str] = []
    read: dict[str, Labels | list[str]] = {}
    for name, array in arrays.items():
        try:
            read[name], note = _read(name, array)
        except LabelsError as error:
            faults.append(f"{name}: {error}")
            continue
        notes += [f"{name}: {note}"] if note else []
    words = {name for name, labels in read.items() if isinstance(labels, list)}
    if words and len(words) < len(read):
        faults += [
            f"{name}: labels must be text as in {', '.join(sorted(words))}, received numbers"
            for name in read
            if name not in words
        ]
    if faults or not read:
        return ClassLabels({}, None, (), tuple(faults))
    if words:
        found = _from_words(read, class_names)  # type: ignore[arg-type]
    else:
        if class_names is None and all(
            a.dtype == np.bool_ and a.ndim == 1 for a in arrays.values()
        ):
            class_names = ("False", "True")
        found = _from_numbers(read, class_names)  # type: ignore[arg-type]
    return ClassLabels(found.labels, found.class_names, (*notes, *found.notes), found.faults)


def _read(name: str, array: NDArray[np.generic]) -> tuple[Labels | list[str], str]:
    """Whole numbers `[n]` or text, and what was done."""
    received = f"received {array.dtype} of shape {list(array.shape)}"
    if array.ndim == 2 and array.shape[1] == 1:
        array = array[:, 0]
    if array.ndim == 2 and array.shape[1] > 1 and array.dtype.kind in "buif":
        if _is_one_hot(array):
            return array.argmax(axis=1), "one-hot rows became the numbers of their columns"
        raise LabelsError(
            "labels must be whole numbers of shape [n], one per image, or one-hot rows, "
            f"{received}; where the largest value of a row is its class, use "
            f"{name} = {name}.argmax(axis=1)"
        )
    if array.ndim != 1:
        raise LabelsError(f"labels must be whole numbers of shape [n], {received}")
    kind = array.dtype.kind
    if kind in "US":
        words = _text(array)
        if empty := [at for at, word in enumerate(words) if not word.strip()]:
            raise LabelsError(
                f"labels must not be empty text, received {len(empty):,} of {len(words):,} that "
                f"are, the first at position {empty[0]}; give them a class, or keep only labels "
                f"and images where {name} != ''"
            )
        return words, ""
    if kind == "b":
        return array.astype(np.int64), "False and True became classes"
    if kind == "f":
        if missing := int((~np.isfinite(array)).sum()):
            raise LabelsError(
                f"labels must be whole numbers, {received} with {missing:,} that are NaN or "
                f"infinite; keep only labels and images where np.isfinite({name})"
            )
        whole = (array == np.floor(array)) & (np.abs(array) < _LARGEST_WHOLE)
        if not whole.all():
            raise LabelsError(
                f"labels must be whole numbers, {received} with {array[~whole][0]:g}; for classes "
                f"of measurements, use {name} = np.digitize({name}, [limit, ...])"
            )
        return array.astype(np.int64), f"whole {array.dtype} became whole numbers"
    if kind not in "iu":
        raise LabelsError(f"labels must be whole numbers of shape [n], {received}")
    if kind == "u" and array.size and int(array.max()) > np.iinfo(np.int64).max:
        raise LabelsError(f"labels must be below 2**63, received {array.max()}")
    return array.astype(np.int64), ""


def _is_one_hot(rows: NDArray[np.generic]) -> bool:
    ones = rows == 1
    return bool(len(rows)) and bool((ones.sum(axis=1) == 1).all() and ((rows == 0) | ones).all())


def _text(array: NDArray[np.generic]) -> list[str]:
    try:
        words = array.tolist()
        return [word.decode() if isinstance(word, bytes) else word for word in words]
    except ValueError as error:  # of bytes that are no text, too
        raise LabelsError(
            f"labels must be text in UTF-8, received {array.dtype}: {error}"
        ) from None


def _from_words(read: Mapping[str, list[str]], class_names: tuple[str, ...] | None) -> ClassLabels:
    train = next(iter(read))
    names = class_names or tuple(sorted(set(read[train]), key=_number_or_word))
    at = {name: label for label, name in enumerate(names)}
    faults = [
        f"{name}: labels must be among {'the class names' if class_names else f'those of {train}'}"
        f", {_listed(names)}, received {_listed(unknown)}"
        for name, words in read.items()
        if (unknown := sorted(set(words) - at.keys()))
    ]
    if len(names) > MAX_CLASSES:
        faults = [
            f"{train}: there must be at most {MAX_CLASSES:,} classes, received {len(names):,} "
            f"different labels, {_listed(names)}"
        ]
    if faults:
        return ClassLabels({}, None, (), tuple(faults))
    labels = {
        name: np.array([at[word] for word in words], dtype=np.int64) for name, words in read.items()
    }
    return ClassLabels(labels, names)


def _number_or_word(word: str) -> tuple[bool, int, str]:
    """'9' stands before '10', and numbers before words."""
    number = word.isascii() and word.isdigit() and len(word) < 20
    return not number, int(word) if number else 0, word


def _from_numbers(read: Mapping[str, Labels], class_names: tuple[str, ...] | None) -> ClassLabels:
    """Numbers become positions among the numbers of training, where they are not already."""
    train = next(iter(read))
    known = np.unique(read[train])
    count = len(known)
    plain = np.array_equal(known, np.arange(count))
    signed = bool(count) and known[0] < 0 and known.tolist() != _SIGNS
    if plain or signed or not 2 <= count <= MAX_CLASSES:
        # What is no data set is refused where parts are compared.
        return ClassLabels(read, class_names)
    if class_names is not None and len(class_names) != count:
        return ClassLabels(read, class_names)
    faults = [
        f"{name}: labels must be among those of {train}, {_listed(known.tolist())}, received "
        f"{_listed(unknown.tolist())}"
        for name, labels in read.items()
        if len(unknown := np.setdiff1d(labels, known))
    ]
    if faults:
        return ClassLabels({}, None, (), tuple(faults))
    note = f"{train}: labels {_listed(known.tolist())} became classes 0 to {count - 1}"
    labels = {name: np.searchsorted(known, labels) for name, labels in read.items()}
    names = class_names or tuple(map(str, known.tolist()))
    note += "" if class_names else ", named as the labels"
    return ClassLabels(labels, names, (note,))


def _listed(values: Sequence[object], most: int = 10) -> str:
    """'1, 2, 3', and of runs of whole numbers '1 to 26'."""
    if len(values) > 2 and all(isinstance(value, int) for value in values):
        first, last = values[0], values[-1]
        if last - first == len(values) - 1:  # type: ignore[operator]
            return f"{first} to {last}"
    more = f" and {len(values) - most:,} more" if len(values) > most else ""
    return ", ".join(map(str, values[:most])) + more
