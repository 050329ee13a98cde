"""The history of a model as a plot: what happened, what is drawn, and what is not claimed."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from xml.etree import ElementTree

import pytest
from PIL import Image

from cnn_pipeline.champion.registry import Decision, ModelVersion
from cnn_pipeline.champion.registry.version import Action
from cnn_pipeline.champion.story import Moment, story_of
from cnn_pipeline.champion.story_chart import story_html, story_png, story_svg
from cnn_pipeline.champion.story_text import story_text

START = datetime(2026, 11, 2, 3, tzinfo=UTC)
# Action, version, champion before and after.
DECISIONS: tuple[tuple[Action, int, int | None, int | None], ...] = (
    ("promote", 1, None, 1),
    ("refuse", 2, 1, 1),
    ("promote", 3, 1, 3),
    ("rollback", 1, 3, 1),
)
ACCURACIES = {1: 0.80, 2: 0.78, 3: 0.90}


def decision(number: int, action: Action, version: int, *moved: int | None) -> Decision:
    at = START + timedelta(weeks=number)
    why = f"<b>reason {number}</b>"
    return Decision(number, action, version, moved[0], moved[1], why, at.isoformat())


def version(number: int, accuracy: float | None, digest: str = "d1") -> ModelVersion:
    tags = {} if accuracy is None else {"test_accuracy": repr(accuracy)}
    return ModelVersion(
        "pets-cnn", number, "r", "m", "s", (), tags, "pets", digest, ("cat", "dog"), (8, 8, 1)
    )


@pytest.fixture
def moments() -> tuple[Moment, ...]:
    return story_of(
        [decision(number, *fields) for number, fields in enumerate(DECISIONS)],
        [version(number, accuracy) for number, accuracy in ACCURACIES.items()],
    )


def test_each_decision_has_its_accuracy_and_the_champions(moments: tuple[Moment, ...]) -> None:
    assert [one.accuracy for one in moments] == [0.80, 0.78, 0.90, 0.80]
    assert [one.champion for one in moments] == [1, 1, 3, 1]
    assert [one.champion_accuracy for one in moments] == [0.80, 0.80, 0.90, 0.80]
    assert not any(one.other_data for one in moments)


def test_other_data_are_marked_once() -> None:
    decisions = [decision(number, *fields) for number, fields in enumerate(DECISIONS[:3])]
    versions = [version(1, 0.8), version(2, 0.78, "d2"), version(3, 0.9, "d2")]
    moments = story_of(decisions, versions)
    assert [one.other_data for one in moments] == [False, True, False]
    assert story_text("pets-cnn", moments).count("not comparable") == 1
    assert story_svg("pets-cnn", moments, START).count(">other data<") == 1
    assert "(other data)" in story_html("pets-cnn", moments, START)


def test_a_version_that_was_deleted_or_has_no_accuracy_is_unknown() -> None:
    decisions = [decision(number, *fields) for number, fields in enumerate(DECISIONS[:3])]
    moments = story_of(decisions, [version(1, None), version(3, 0.9)])
    assert [one.accuracy for one in moments] == [None, None, 0.9]
    assert not any(one.other_data for one in moments)
    lines = story_text("pets-cnn", moments).splitlines()
    assert lines[3].endswith(" -") and lines[4].endswith(" -") and "*" in lines[5]
    assert "no version has recorded" in story_text("pets-cnn", moments[:2])
    ElementTree.fromstring(story_svg("pets-cnn", moments, START))


def test_the_terminal_shows_the_champions_way(moments: tuple[Moment, ...]) -> None:
    text = story_text("pets-cnn", moments)
    assert text.isascii() and max(map(len, text.splitlines())) <= 80
    axis, first, refused, promoted, back = text.splitlines()[2:7]
    assert axis.split() == ["78.0", "%", "90.0", "%"]
    low, high = axis.index("78.0"), len(axis) - 1
    champion = first.index("*")
    assert low < champion < high
    assert (refused.index("x"), refused.index("|")) == (low, champion)
    assert promoted.index("+") == champion and promoted.index("*") == high
    assert back.index("*") == champion and back.index("+") == high
    assert refused.startswith("2026-11-09 03:00     2  refused")
    assert back.startswith("2026-11-23 03:00     1  rolled back") and back.endswith("80.0 %")


def test_equal_accuracies_are_drawn(moments: tuple[Moment, ...]) -> None:
    assert story_text("pets-cnn", moments[:1]).splitlines()[3].count("*") == 1


def test_the_picture_has_every_mark_and_lasts_until_now(moments: tuple[Moment, ...]) -> None:
    short = story_svg("pets-cnn", moments, START + timedelta(weeks=4))
    root = ElementTree.fromstring(short)
    drawn = [element.get("aria-roledescription") for element in root.iter()]
    assert drawn.count("point") == len(moments) and "line mark container" in drawn
    words = [element.text for element in root.iter() if element.tag.endswith("}text")]
    assert {"promoted", "rolled back", "refused", "test accuracy", "time (UTC)"} <= set(words)
    later = story_svg("pets-cnn", moments, START + timedelta(weeks=40))
    assert "2027" in later and "2027" not in short
    size = Image.open(io.BytesIO(story_png("pets-cnn", moments, START + timedelta(weeks=4)))).size
    assert size[0] > 1600


def test_the_page_has_picture_and_reasons_and_no_address(moments: tuple[Moment, ...]) -> None:
    page = story_html("pets-cnn", moments, START + timedelta(weeks=4))
    assert "<svg" in page and "&lt;b&gt;reason 1&lt;/b&gt;" in page and "<b>" not in page
    assert page.index("reason 3") < page.index("reason 0")
    assert "src=" not in page and "href=" not in page.replace("xlink:href", "")
