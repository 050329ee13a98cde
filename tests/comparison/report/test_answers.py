"""The report's parts without charts: matrices, scores, galleries, journeys, settings."""

from __future__ import annotations

import base64
import io

import numpy as np
import pytest
from PIL import Image

from cnn_pipeline.comparison.report import confusions, journeys
from cnn_pipeline.comparison.report.data import TrialData
from cnn_pipeline.comparison.report.galleries import Panel
from cnn_pipeline.comparison.report.pictures import picture as embedded
from cnn_pipeline.comparison.report.pictures import thumbnail
from cnn_pipeline.comparison.report.setup import set_up
from cnn_pipeline.network.evaluation import Evaluation
from tests.comparison.report.scripted import picture, trial, whole
from tests.comparison.scripted import clear_grid, outcome

NAMES = ("a", "b", "c")


def said(labels: list[int], given: list[int], sureness: list[float] | None = None) -> Evaluation:
    """An evaluation with these answers."""
    high = np.array(sureness or [0.8] * len(labels), dtype=np.float32)
    probabilities = np.repeat((1 - high[:, None]) / 2, 3, axis=1)
    probabilities[np.arange(len(labels)), given] = high
    return Evaluation(NAMES, np.array(labels), probabilities)


def kept(label: str, answers: Evaluation, seed: int = 0) -> TrialData:
    return TrialData(
        f"{label}-s{seed}", label, seed, f"run-{label}-{seed}", answers=answers.answers
    )


def test_counts_are_those_of_the_evaluation_summed_over_seeds() -> None:
    one, two = said([0, 0, 1, 2], [0, 1, 1, 0]), said([0, 0, 1, 2], [0, 0, 1, 2])
    (found,) = confusions.confusions([kept("v", one), kept("v", two, 1)], ["v", "gone"])
    assert found.seeds == 2
    np.testing.assert_array_equal(found.counts, one.confusion + two.confusion)


def test_scores_are_those_of_the_evaluation() -> None:
    answers = said([0, 0, 0, 1, 1, 2], [0, 0, 1, 1, 0, 0])
    (found,) = confusions.confusions([kept("v", answers)], ["v"])
    for kind in ("recall", "precision", "f1"):
        expected = [scores[kind] for scores in answers.per_class]  # type: ignore[literal-required]
        np.testing.assert_allclose(found.scores(kind), expected)  # type: ignore[arg-type]


def test_a_difference_is_per_seed_and_says_its_direction() -> None:
    ours = [kept("a", said([0, 0, 1, 1], [0, 0, 1, 1]), seed) for seed in (0, 1)]
    theirs = kept("b", said([0, 0, 1, 1], [0, 1, 1, 1]))
    a, b = confusions.confusions([*ours, theirs], ["a", "b"])
    cells = confusions.difference_cells(a, b)
    assert [(cell.text, cell.tone) for cell in cells[0]] == [
        ("+1", "more"),
        ("−1", "less"),
        ("", ""),
    ]
    assert cells[0][0].shade == 1.0 and cells[1][1].shade == 0.0


def test_the_most_frequent_mistakes_are_listed_first() -> None:
    found = confusions.confusions(
        [kept("v", said([0, 0, 0, 1, 2], [1, 1, 0, 2, 2])), kept("w", said([0, 1], [0, 2]))],
        ["v", "w"],
    )
    listed = confusions.listed(found, NAMES)
    assert [(row.true, row.answer, row.counts) for row in listed] == [
        ("a", "b", (2, 0)),
        ("b", "c", (1, 1)),
    ]


def test_the_best_of_a_class_is_marked_unless_all_are_equal() -> None:
    found = confusions.confusions(
        [kept("v", said([0, 0, 1], [0, 1, 1])), kept("w", said([0, 0, 1], [0, 0, 1]))], ["v", "w"]
    )
    a, b, c = confusions.class_rows(found, NAMES, "recall", range(3))
    assert (a.images, a.scores, a.shades, a.best) == (2, (0.5, 1.0), (0.0, 1.0), {1})
    assert b.best == c.best == frozenset()
    assert confusions.hardest(found, 2) == [0, 2] and confusions.hardest(found, 0) == [2]


@pytest.fixture
def panel() -> Panel:
    truth = [0, 0, 1, 2, 0]
    return Panel(
        {
            "x": said(truth, [0, 1, 1, 0, 1], [0.9, 0.6, 0.9, 0.9, 0.95]).answers,
            "y": said(truth, [0, 2, 2, 0, 0], [0.9, 0.5, 0.7, 0.8, 0.9]).answers,
            "z": said(truth, [0, 0, 1, 0, 0], [0.9, 0.4, 0.9, 0.7, 0.9]).answers,
        },
        np.arange(5, dtype=np.uint8)[:, None, None, None] * np.ones((5, 4, 4, 1), np.uint8),
    )


def test_the_most_divided_images_come_first(panel: Panel) -> None:
    gallery = panel.disagreements()
    assert gallery.total == 3
    assert [card.index for card in gallery.cards] == [1, 2, 4]  # three answers, then two
    answers = gallery.cards[1].answers
    assert [(a.name, a.right, [v.label for v in a.votes]) for a in answers] == [
        ("b", True, ["x", "z"]),
        ("c", False, ["y"]),
    ]
    assert answers[1].votes[0].probability == pytest.approx(0.7)


def test_images_that_only_one_of_two_gets_right(panel: Panel) -> None:
    assert [card.index for card in panel.only_right("x", "y").cards] == [2]
    assert [card.index for card in panel.only_right("y", "x").cards] == [4]
    assert panel.only_right("x", "x").total == 0


def test_mistakes_are_ordered_by_confidence(panel: Panel) -> None:
    mistakes = panel.mistakes("x")
    assert [card.index for card in mistakes.cards] == [4, 3, 1]
    assert [vote.label for vote in mistakes.cards[0].answers[0].votes] == ["x"]
    assert [card.index for card in panel.wrong_in_all().cards] == [3]


def test_a_card_shows_the_image_of_its_index(panel: Panel) -> None:
    (card,) = panel.wrong_in_all().cards
    assert decoded(card.source).getpixel((0, 0)) == 3
    assert card.true == "c"
    assert [example.true for example in panel.examples()] == ["a", "b", "c"]


def decoded(uri: str) -> Image.Image:
    return Image.open(io.BytesIO(base64.b64decode(uri.partition("base64,")[2])))


def test_small_images_are_kept_pixel_by_pixel_and_large_ones_shrink() -> None:
    small = np.random.default_rng(0).integers(0, 256, (28, 28, 1), dtype=np.uint8)
    np.testing.assert_array_equal(np.asarray(decoded(thumbnail(small))), small[..., 0])
    large = decoded(thumbnail(np.zeros((300, 150, 3), np.uint8)))
    assert large.size == (56, 112) and large.format == "WEBP"
    assert decoded(embedded(picture(300, 200), 150)).size == (150, 100)
    assert decoded(embedded(picture(100, 50), 150)).size == (100, 50)


def test_journeys_stop_at_their_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    trials = [trial(one) for one in clear_grid()]
    labels = ["f64-max", "f16-none", "gone", "f64-none"]
    one = len(journeys.journeys(trials, labels)[0][0].source)
    monkeypatch.setattr(journeys, "BUDGET", 2 * one)
    shown, left_out = journeys.journeys(trials, labels)
    assert [journey.label for journey in shown] == ["f64-max", "f16-none"]
    assert left_out == ("f64-none",)
    assert shown[0].architecture == "28x28x1 > C8 3x3 > 3"


def test_settings_are_split_into_shared_and_own() -> None:
    found = set_up(whole())
    assert found is not None
    assert found.varied == ("filters", "pooling")
    assert dict(found.own)["f64-none"] == {"filters": "64", "pooling": "none"}
    assert found.shared == {
        "seeds": "0",
        "epochs": "3",
        "stop at accuracy": "never",
        "weight decay": "default",
        "source": "fashion-mnist",
    }
    assert found.versions["keras"] == "3.15.1" and found.machine["threads"] == "2"
    assert found.networks[0].rows == (("conv1", "convolution", "26x26x8", "80", "48,672", "3"),)


def test_a_variant_is_described_by_the_seed_that_has_a_record() -> None:
    lost = trial(outcome("f64-max", seed=0), config={}, plan={})
    data = whole(trials=(lost, trial(outcome("f64-max", seed=1))))
    found = set_up(data)
    assert found is not None and found.shared["seeds"] == "0, 1"
    assert set_up(whole(trials=(lost,))) is None
