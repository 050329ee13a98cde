"""Which images a model got right, from the files in which people keep its predictions."""

from __future__ import annotations

import io
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from cnn_pipeline.comparison.variants import natural_key
from cnn_pipeline.network.evaluation import Answers

SUFFIXES = (".csv", ".parquet", ".json", ".npz", ".npy")
_NEEDED = (
    "needs 'label' and 'prediction', or 'label' and the probabilities p0, p1, ..., or 'correct'"
)
_MOST_NAMED = 5


@dataclass(frozen=True, eq=False)
class ImageAnswers:
    """The answers of one run.

    correct: bool `[n]`, in the order of the images.
    images: what identifies the images, as bytes: their labels and numbers as far as known.
    classes: text `[n, 2]`, the true and the predicted class; None where only `correct` is known.
    """

    correct: NDArray[np.bool_]
    images: bytes
    classes: NDArray[np.str_] | None = None


def read_answers(path: str, content: bytes) -> ImageAnswers:
    """Read a file of predictions. No pickle is loaded.

    - `.csv`, `.parquet` or `.json` (of `mlflow.log_table`): a table with one row per image and the
      columns `label` and `prediction`; or `label` and the probabilities `p0`, `p1`, ...; or
      `correct`. A column `index` numbers the images; without it their order counts.
    - `.npz`: the same names, each an array `[n]`, without pickles.
    - `.npy`: bool `[n]`, right or wrong; or integers `[n, 2]`, label and prediction.

    Raises:
        ValueError: it is none of these.
    """
    suffix = PurePosixPath(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise ValueError(f"must end with {', '.join(SUFFIXES)}")
    if suffix == ".npy":
        return _from_array(np.load(io.BytesIO(content), allow_pickle=False))
    return _from_table(_table(suffix, content))


def other_images(answers: Mapping[str, ImageAnswers]) -> list[str]:
    """Faults: runs whose images are not those of most runs, by their name in `answers`."""
    kinds = Counter(one.images for one in answers.values())
    usual = kinds.most_common(1)[0][0]
    like = next(name for name, one in answers.items() if one.images == usual)
    expected = len(answers[like].correct)
    faults = [
        f"{name} ({len(one.correct):,} images instead of {expected:,})"
        if len(one.correct) != expected
        else f"{name} (other labels or another order)"
        for name, one in answers.items()
        if one.images != usual
    ]
    if not faults:
        return []
    more = f" and {len(faults) - _MOST_NAMED} more" if len(faults) > _MOST_NAMED else ""
    return [
        "all runs must predict the same images in the same order; those of "
        f"{like} are not those of {', '.join(faults[:_MOST_NAMED])}{more}"
    ]


def by_class(answers: Mapping[str, ImageAnswers]) -> dict[str, Answers]:
    """The answers as classes, for confusion matrices; without probabilities, which are NaN.

    The classes are all that occur, in natural order. Empty if a run has none.
    """
    known = {name: one.classes for name, one in answers.items() if one.classes is not None}
    if not known or len(known) < len(answers):
        return {}
    names = sorted(
        {str(name) for one in known.values() for name in np.unique(one)}, key=natural_key
    )
    number = pd.Index(names)
    found = {}
    for key, classes in known.items():
        labels, predictions = (number.get_indexer(pd.Index(column)) for column in classes.T)
        found[key] = Answers(
            tuple(names),
            labels.astype(np.int64),
            predictions.astype(np.uint32),
            np.full(len(labels), np.nan, dtype=np.float32),
        )
    return found


def _table(suffix: str, content: bytes) -> pd.DataFrame:
    file = io.BytesIO(content)
    if suffix == ".csv":
        return pd.read_csv(file)
    if suffix == ".parquet":
        return pd.read_parquet(file)
    if suffix == ".json":
        return pd.read_json(file, orient="split")
    with np.load(file, allow_pickle=False) as arrays:
        flat = {name: arrays[name] for name in arrays.files}
    wrong = [f"{name} {list(array.shape)}" for name, array in flat.items() if array.ndim != 1]
    if wrong or len({len(array) for array in flat.values()}) != 1:
        raise ValueError(f"needs arrays [n] of one length, received {', '.join(wrong) or 'others'}")
    return pd.DataFrame(flat)


def _from_table(table: pd.DataFrame) -> ImageAnswers:
    if not len(table):
        raise ValueError("has no rows")
    if "index" in table.columns:
        if table["index"].duplicated().any():
            raise ValueError("numbers an image twice in its column 'index'")
        table = table.sort_values("index")
    probabilities = [name for name in table.columns if str(name)[:1] == "p" and name[1:].isdigit()]
    if "correct" in table.columns:
        return ImageAnswers(_booleans(table["correct"]), _fingerprint(table))
    if "label" not in table.columns or not ("prediction" in table.columns or probabilities):
        raise ValueError(f"{_NEEDED}; received {list(table.columns)}")
    if "prediction" in table.columns:
        predicted = table["prediction"]
    else:
        in_order = [f"p{k}" for k in range(len(probabilities))]
        if set(in_order) != set(probabilities):
            raise ValueError(f"{_NEEDED}; received {list(table.columns)}")
        best = table[in_order].to_numpy().argmax(axis=1)
        predicted = pd.Series(best, index=table.index)
    classes = np.stack([table["label"].astype(str), predicted.astype(str)], axis=1).astype(np.str_)
    correct = (table["label"] == predicted).to_numpy(dtype=bool)
    return ImageAnswers(correct, _fingerprint(table), classes)


def _from_array(array: NDArray[np.generic]) -> ImageAnswers:
    if array.dtype == np.bool_ and array.ndim == 1 and array.size:
        return _from_table(pd.DataFrame({"correct": array}))
    if array.dtype.kind in "iu" and array.ndim == 2 and array.shape[1] == 2 and len(array):
        return _from_table(pd.DataFrame(array, columns=["label", "prediction"]))
    raise ValueError(
        "must be bool [n], right or wrong, or integers [n, 2], label and prediction; received "
        f"{array.dtype} {list(array.shape)}"
    )


def _booleans(column: pd.Series) -> NDArray[np.bool_]:
    if not column.isin([0, 1]).all():
        raise ValueError("needs true and false, or 1 and 0, in its column 'correct'")
    return column.to_numpy(dtype=bool)


def _fingerprint(table: pd.DataFrame) -> bytes:
    known = table[[name for name in ("index", "label") if name in table.columns]]
    hashes = pd.util.hash_pandas_object(known, index=False).to_numpy() if known.size else b""
    return f"{len(table)} {list(known.columns)} ".encode() + bytes(hashes)
