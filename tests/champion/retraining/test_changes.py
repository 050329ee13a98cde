"""What triggers a retraining, and what does not."""

from __future__ import annotations

import pytest

from cnn_pipeline.base import versions as provenance
from cnn_pipeline.champion.registry import ModelVersion
from cnn_pipeline.champion.requirements import GateSettings
from cnn_pipeline.champion.retraining.changes import (
    CODE,
    Content,
    content_of,
    find_change,
)
from cnn_pipeline.champion.retraining.settings import NotifySettings, RetrainSettings
from cnn_pipeline.settings.sweep import Sweep
from cnn_pipeline.settings.trial import DataSettings, Training
from cnn_pipeline.tracking import names
from tests.champion.retraining.stored import CLASSES, DATASET


def version(number: int, content: Content | None) -> ModelVersion:
    return ModelVersion(
        name=f"{DATASET}-cnn",
        version=number,
        run_id="r",
        model_id="m",
        sha256="s",
        aliases=(),
        tags={} if content is None else {names.CONTENT: content.to_json()},
        dataset=DATASET,
        data_digest="d",
        class_names=CLASSES,
        image_shape=(4, 4, 1),
    )


def content(settings: RetrainSettings | None = None, digest: str = "d") -> Content:
    return content_of(digest, settings or RetrainSettings())


def test_without_a_decision_everything_is_new() -> None:
    change = find_change(content(), [version(1, None)], force=False)
    assert change.calls_for_training
    assert change.sentence == "no model has been decided on yet"


def test_equal_content_calls_for_nothing() -> None:
    change = find_change(content(), [version(1, content(digest="old")), version(2, content())],
                         force=False)  # fmt: skip
    assert not change.calls_for_training
    assert change.sentence == "nothing changed since version 2"


def test_the_last_decision_counts_also_where_it_was_a_refusal() -> None:
    """Version 3 was registered and never decided on: its run was killed."""
    versions = [version(1, content(digest="d")), version(2, content(digest="e")), version(3, None)]
    assert find_change(content(digest="d"), versions, force=False).since == 2


def test_force_trains_and_still_says_that_nothing_changed() -> None:
    change = find_change(content(), [version(1, content())], force=True)
    assert change.calls_for_training
    assert change.what == ()


def test_new_data_call_for_training() -> None:
    change = find_change(content(digest="new"), [version(4, content())], force=False)
    assert change.sentence == "changed since version 4: data"


@pytest.mark.parametrize(
    "settings",
    [
        RetrainSettings(sweep=Sweep(training=Training(epochs=6))),
        RetrainSettings(sweep=Sweep(data=DataSettings(split_seed=1))),
        RetrainSettings(gate=GateSettings(margin=0.01)),
        RetrainSettings(champion_variant=False),
    ],
)
def test_settings_that_move_a_number_or_a_decision_call_for_training(
    settings: RetrainSettings,
) -> None:
    change = find_change(content(settings), [version(1, content())], force=False)
    assert change.what == ("configuration",)


@pytest.mark.parametrize(
    "settings",
    [
        RetrainSettings(notify=NotifySettings(blocks=("slack-webhook/team",))),
        RetrainSettings(stale_after_minutes=5),
        RetrainSettings(sweep=Sweep(name="other", description="words")),
    ],
)
def test_settings_that_move_nothing_do_not(settings: RetrainSettings) -> None:
    assert content(settings) == content()


def test_another_library_calls_for_training(monkeypatch: pytest.MonkeyPatch) -> None:
    before = content()
    versions = {**provenance.versions(), "keras": "3.99.0"}
    monkeypatch.setattr(provenance, "versions", lambda: versions)
    change = find_change(content(), [version(1, before)], force=False)
    assert "libraries" in change.sentence and "keras 3.99.0" in change.sentence


def test_the_code_that_counts_is_there() -> None:
    """A renamed module must not fall out of the digest in silence."""
    empty = provenance.code_digest(())
    for unit in CODE:
        assert provenance.code_digest((unit,)) != empty, unit
