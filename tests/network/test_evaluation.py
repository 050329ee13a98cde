"""Scores compared with numbers computed by hand and with scikit-learn."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import confusion_matrix, log_loss, precision_recall_fscore_support

from cnn_pipeline.base.errors import InvalidInput
from cnn_pipeline.network.evaluation import (
    Evaluation,
    evaluate,
    predictions_table,
    read_predictions,
)

NAMES = ("cat", "dog", "owl")


def evaluation(labels: list[int], rows: list[list[float]]) -> Evaluation:
    return Evaluation(NAMES, np.array(labels, np.int64), np.array(rows, np.float32))


@pytest.fixture
def small() -> Evaluation:
    """Two cats, one taken for a dog; two dogs, both right; no owl."""
    return evaluation(
        [0, 0, 1, 1],
        [[0.7, 0.2, 0.1], [0.3, 0.6, 0.1], [0.1, 0.8, 0.1], [0.0, 1.0, 0.0]],
    )


def softmax(rng: np.random.Generator, n: int, k: int) -> np.ndarray:
    rows = np.exp(rng.normal(size=(n, k)) * 2)
    return (rows / rows.sum(axis=1, keepdims=True)).astype(np.float32)


def test_accuracy_and_predictions(small: Evaluation) -> None:
    assert small.predictions.tolist() == [0, 1, 1, 1]
    assert small.predictions.dtype == np.int64
    assert small.correct.tolist() == [True, False, True, True]
    assert small.accuracy == 0.75


def test_answers_are_the_most_probable_classes_and_how_probable(small: Evaluation) -> None:
    answers = small.answers
    np.testing.assert_array_equal(answers.predictions, small.predictions)
    np.testing.assert_array_equal(answers.correct, small.correct)
    np.testing.assert_array_equal(answers.confidences, small.probabilities.max(axis=1))
    assert answers.predictions.itemsize == 1 and answers.confidences.dtype == np.float32


def test_more_classes_than_a_byte_counts_keep_their_numbers() -> None:
    names = tuple(f"class {number}" for number in range(300))
    answers = Evaluation(
        names, np.array([299, 0]), np.eye(300, dtype=np.float32)[[299, 256]]
    ).answers
    assert answers.predictions.tolist() == [299, 256]
    assert answers.correct.tolist() == [True, False]


def test_loss_is_the_mean_cross_entropy_clipped_as_keras_does(small: Evaluation) -> None:
    of_truth = np.array([0.7, 0.3, 0.8, 1 - 1e-7])
    assert small.loss == pytest.approx(-np.log(of_truth).mean(), rel=1e-6)
    wrong = evaluation([1], [[1.0, 0.0, 0.0]])
    assert wrong.loss == pytest.approx(-np.log(1e-7))


def test_confusion_has_rows_of_true_classes(small: Evaluation) -> None:
    assert small.confusion.tolist() == [[1, 1, 0], [0, 2, 0], [0, 0, 0]]
    assert small.confusion.dtype == np.int64


def test_per_class_scores(small: Evaluation) -> None:
    cat, dog, owl = small.per_class
    assert cat == {
        "name": "cat",
        "precision": 1.0,
        "recall": 0.5,
        "f1": pytest.approx(2 / 3),
        "support": 2,
    }
    assert dog == {
        "name": "dog",
        "precision": pytest.approx(2 / 3),
        "recall": 1.0,
        "f1": pytest.approx(0.8),
        "support": 2,
    }
    assert owl == {"name": "owl", "precision": 0.0, "recall": 0.0, "f1": 0.0, "support": 0}


def test_calibration_error_by_hand() -> None:
    # Bins are 1/15 wide: 0.93 falls into (14/15 - 1/15, 14/15], 0.95 and 0.97 into the last.
    scores = evaluation(
        [0, 0, 1, 1],
        [[0.93, 0.04, 0.03], [0.95, 0.03, 0.02], [0.97, 0.02, 0.01], [0.1, 0.5, 0.4]],
    )
    first, last, half = abs(0.93 - 1), abs((0.95 + 0.97) / 2 - 0.5) * 2, abs(0.5 - 1)
    assert scores.calibration_error == pytest.approx((first + last + half) / 4, abs=1e-6)


def test_calibration_error_is_zero_when_always_sure_and_right() -> None:
    assert evaluation([0, 1], [[1, 0, 0], [0, 1, 0]]).calibration_error == 0.0
    assert evaluation([1, 0], [[1, 0, 0], [0, 1, 0]]).calibration_error == 1.0


def test_top_confusions_are_the_most_frequent_mistakes() -> None:
    rows = np.eye(3)
    scores = evaluation([0, 0, 1, 1, 1, 2], [*rows[[1, 0]].tolist(), *rows[[2, 2, 0, 2]].tolist()])
    assert scores.top_confusions(2) == [("dog", "owl", 2), ("cat", "dog", 1)]
    assert scores.top_confusions(9) == [("dog", "owl", 2), ("cat", "dog", 1), ("dog", "cat", 1)]
    assert scores.top_confusions(0) == []


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 70), st.integers(1, 80), st.integers(0, 2**32 - 1))
def test_every_image_is_scored_once_in_order(n: int, batch_size: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    images = np.arange(n, dtype=np.uint8).reshape(n, 1, 1, 1)
    answers, labels = softmax(rng, n, 3), rng.integers(0, 3, n)
    batches: list[int] = []

    def predict(batch: np.ndarray) -> np.ndarray:
        assert batch.dtype == np.uint8
        batches.append(len(batch))
        return answers[batch[:, 0, 0, 0]]

    scores = evaluate(predict, SimpleNamespace(images=images, labels=labels), NAMES, batch_size)
    assert sum(batches) == n
    assert max(batches) <= batch_size
    np.testing.assert_array_equal(scores.probabilities, answers)
    assert scores.accuracy == np.mean(answers.argmax(axis=1) == labels)
    exact = answers.astype(np.float64)
    expected = log_loss(labels, exact / exact.sum(axis=1, keepdims=True), labels=[0, 1, 2])
    assert scores.loss == pytest.approx(expected, rel=1e-5, abs=1e-6)
    given = answers.argmax(axis=1)
    np.testing.assert_array_equal(
        scores.confusion, confusion_matrix(labels, given, labels=[0, 1, 2])
    )
    assert [
        [one["precision"], one["recall"], one["f1"], one["support"]] for one in scores.per_class
    ] == np.transpose(
        precision_recall_fscore_support(labels, given, labels=[0, 1, 2], zero_division=0)
    ).tolist()
    assert 0 <= scores.calibration_error <= 1


def split(n: int) -> SimpleNamespace:
    return SimpleNamespace(images=np.zeros((n, 2, 2, 1), np.uint8), labels=np.zeros(n, np.uint8))


def test_labels_become_int64() -> None:
    scores = evaluate(lambda batch: np.tile([1.0, 0, 0], (len(batch), 1)), split(5), NAMES, 2)
    assert scores.labels.dtype == np.int64
    assert scores.probabilities.dtype == np.float32


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ([[0.5, 0.5]] * 4, r"shape \(4, 3\).*received \(4, 2\).*3 classes"),
        ([[1.0, 0.0, 0.0]], r"shape \(4, 3\).*received \(1, 3\)"),
        (
            [[1.0, 0.0, 0.0]] * 3 + [[np.nan, 0.0, 1.0]],
            "1 of 4 rows are not, first row 3.*diverged",
        ),
        ([[1.0, np.inf, 0.0]] * 4, "must be finite; 4 of 4"),
        ([[2.0, 1.0, 3.0]] * 4, "sum 6, lowest 1.*softmax, not in logits"),
        ([[1.5, -0.5, 0.0]] * 4, "sum 1, lowest -0.5"),
    ],
)
def test_answers_that_are_no_probabilities_are_refused(
    answer: list[list[float]], message: str
) -> None:
    with pytest.raises(InvalidInput, match=message):
        evaluate(lambda batch: np.array(answer), split(4), NAMES, 4)


def test_probabilities_rounded_to_bfloat16_are_accepted() -> None:
    rows = softmax(np.random.default_rng(0), 1000, 3)
    rounded = ((rows.view(np.uint32) + 0x8000) & 0xFFFF0000).view(np.float32)
    assert np.abs(rounded.sum(axis=1) - 1).max() > 1e-3
    assert Evaluation(NAMES, np.zeros(1000, np.int64), rounded).accuracy > 0


def test_wrong_records_are_refused() -> None:
    row = [[1.0, 0.0, 0.0]]
    with pytest.raises(InvalidInput, match="at least one image"):
        evaluation([], [])
    with pytest.raises(InvalidInput, match="labels must be 0 to 2, received 3 to 3"):
        evaluation([3], row)
    with pytest.raises(InvalidInput, match="labels must be 0 to 2, received -1 to -1"):
        evaluation([-1], row)
    with pytest.raises(InvalidInput, match=r"received labels \[2\] and probabilities \[1, 3\]"):
        evaluation([0, 1], row)
    with pytest.raises(InvalidInput, match="batch_size must be 1 or more, received 0"):
        evaluate(lambda batch: batch, split(4), NAMES, 0)
    with pytest.raises(InvalidInput) as caught:
        evaluation([3], [[0.0, 0.0, 0.0]])
    assert len(caught.value.faults) == 2


def test_the_predictions_table_and_back(small: Evaluation) -> None:
    table = predictions_table(small)
    assert list(table.columns) == ["index", "label", "p0", "p1", "p2"]
    assert [str(dtype) for dtype in table.dtypes] == ["int64", "int64", *["float32"] * 3]
    for shown in (table, table.sample(frac=1, random_state=1), table[table.columns[::-1]]):
        labels, probabilities = read_predictions(shown)
        assert labels.dtype == np.int64
        assert probabilities.dtype == np.float32
        np.testing.assert_array_equal(labels, small.labels)
        np.testing.assert_array_equal(probabilities, small.probabilities)


def test_tables_that_cannot_be_paired_are_refused(small: Evaluation) -> None:
    table = predictions_table(small)
    for wrong in (table.drop(columns="p1"), table.drop(columns="label"), table[["index", "label"]]):
        with pytest.raises(InvalidInput, match="must have the columns"):
            read_predictions(wrong)
    for wrong in (table.drop(index=1), table.assign(index=0)):
        with pytest.raises(InvalidInput, match="missing or repeated"):
            read_predictions(wrong)
