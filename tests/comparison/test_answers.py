"""Predictions in every file that is accepted, and in some that are not."""

from __future__ import annotations

import io
import json

import numpy as np
import pandas as pd
import pytest

from cnn_pipeline.comparison.answers import ImageAnswers, by_class, other_images, read_answers

LABELS = [2, 0, 1, 1]
PREDICTED = [2, 1, 1, 1]
RIGHT = [True, False, True, True]
TABLE = pd.DataFrame({"label": LABELS, "prediction": PREDICTED})


def csv(table: pd.DataFrame) -> bytes:
    return table.to_csv(index=False).encode()


def parquet(table: pd.DataFrame) -> bytes:
    file = io.BytesIO()
    table.to_parquet(file)
    return file.getvalue()


def npy(array: object) -> bytes:
    file = io.BytesIO()
    np.save(file, np.asarray(array))
    return file.getvalue()


def npz(**arrays: object) -> bytes:
    file = io.BytesIO()
    np.savez(file, **{name: np.asarray(array) for name, array in arrays.items()})
    return file.getvalue()


def logged_table(table: pd.DataFrame) -> bytes:
    """What `mlflow.log_table` writes."""
    return json.dumps(table.to_dict(orient="split", index=False)).encode()


PROBABILITIES = pd.DataFrame(np.eye(3)[PREDICTED], columns=["p0", "p1", "p2"])


@pytest.mark.parametrize(
    ("path", "content"),
    [
        ("a.csv", csv(TABLE)),
        ("deep/a.PARQUET", parquet(TABLE)),
        ("a.json", logged_table(TABLE)),
        ("a.npz", npz(label=LABELS, prediction=PREDICTED)),
        ("a.npy", npy(np.stack([LABELS, PREDICTED], axis=1))),
        ("a.npy", npy(RIGHT)),
        ("a.csv", csv(pd.DataFrame({"correct": RIGHT}))),
        ("a.npz", npz(correct=[1, 0, 1, 1])),
        ("a.csv", csv(TABLE.replace({0: "shirt", 1: "coat", 2: "bag"}))),
        ("a.parquet", parquet(PROBABILITIES.assign(label=LABELS))),
        ("a.csv", csv(TABLE.assign(index=range(4)).iloc[::-1])),
    ],
)
def test_every_form_gives_the_same_answers(path: str, content: bytes) -> None:
    assert read_answers(path, content).correct.tolist() == RIGHT


@pytest.mark.parametrize(
    ("path", "content", "why"),
    [
        ("a.pkl", b"", "must end with"),
        ("a.npy", npy(np.array([{}], dtype=object)), "pickle"),
        ("a.npz", npz(label=np.array(["a", {}], dtype=object)), "pickle"),
        ("a.npy", npy([0.5, 1.0]), "bool \\[n\\]"),
        ("a.csv", csv(TABLE[["label"]]), "'label' and 'prediction'"),
        ("a.csv", csv(PROBABILITIES.drop(columns="p1").assign(label=LABELS)), "p0, p1"),
        ("a.csv", b"label,prediction\n", "no rows"),
        ("a.csv", csv(TABLE.assign(index=[0, 1, 1, 2])), "twice"),
        ("a.csv", csv(pd.DataFrame({"correct": [0.2, 0.9]})), "true and false"),
        ("a.npz", npz(label=LABELS, prediction=[1]), "one length"),
        ("a.parquet", b"no parquet", "arquet"),
    ],
)
def test_what_cannot_be_read_is_refused(path: str, content: bytes, why: str) -> None:
    with pytest.raises(ValueError, match=why):
        read_answers(path, content)


def test_classes_are_counted_over_all_runs() -> None:
    first = read_answers("a.csv", csv(TABLE))
    second = read_answers("a.csv", csv(TABLE.assign(prediction=[10, 0, 1, 1])))
    found = by_class({"first": first, "second": second})
    assert found["first"].class_names == ("0", "1", "2", "10")
    assert found["second"].predictions.tolist() == [3, 0, 1, 1]
    assert found["second"].correct.tolist() == [False, True, True, True]
    assert by_class({"first": first, "other": read_answers("a.npy", npy(RIGHT))}) == {}


def test_answers_to_other_images_are_named() -> None:
    def answers(table: pd.DataFrame) -> ImageAnswers:
        return read_answers("a.csv", csv(table))

    same = {"a": answers(TABLE), "b": answers(TABLE.assign(prediction=0)), "c": answers(TABLE)}
    assert other_images(same) == []
    other = {
        **same,
        "shorter": answers(TABLE[:3]),
        "shuffled": answers(TABLE.iloc[::-1]),
    }
    (fault,) = other_images(other)
    assert "those of a are not those of shorter (3 images instead of 4)" in fault
    assert "shuffled (other labels or another order)" in fault
