"""The content key: what changes it, what does not, and that it covers all code."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

import grimp
import pytest

from cnn_pipeline.base import versions as provenance
from cnn_pipeline.champion.retraining.changes import CODE
from cnn_pipeline.experiment import content_key as module
from cnn_pipeline.experiment.content_key import TRIAL_CODE, content_key
from cnn_pipeline.settings.trial import DataSettings, Expectation, Training, Trial, Variant

VARIANTS: Mapping[str, Any] = {
    "filters": 16,
    "conv_layers": 1,
    "kernel_size": 5,
    "pooling": "average",
    "pool_size": 3,
    "padding": "same",
    "dense_units": 32,
    "dropout": 0.5,
    "batch_norm": True,
    "activation": "gelu",
}
TRAININGS: Mapping[str, Any] = {
    "epochs": 9,
    "batch_size": 32,
    "optimizer": "sgd",
    "learning_rate": 0.5,
    "schedule": "cosine",
    "ema_momentum": 0.9,
    "weight_decay": 0.01,
    "precision": "float32",
    "stop_at_accuracy": 0.9,
    "patience": 3,
    "augmentation": "flip",
    "class_weights": "balanced",
}
DATA: Mapping[str, Any] = {
    "validation_size": 100,
    "train_limit": 200,
    "split_seed": 7,
    "image_size": "32x32",
    "fit": "crop",
    "color": "rgb",
    "background": "black",
    "test_share": 0.5,
    "group_by": "a",
}
PACKAGE = Path(module.__file__).parent.parent
# What a trial imports that reports, stores or names its numbers, and makes none.
MAKES_NO_NUMBER = (
    "base/__init__.py",
    "base/empty_database.py",
    "base/errors.py",
    "base/events.py",
    "base/file_cache.py",
    "base/files.py",
    "base/home.py",
    "base/identity.py",
    "base/links.py",
    "base/metric_names.py",
    "base/quantities.py",
    "base/reachable.py",
    "base/redaction.py",
    "base/shell.py",
    "base/space.py",
    "base/versions.py",
    "explain",
    "settings/__init__.py",
    "settings/chosen.py",
    "settings/command_line.py",
    "settings/engine.py",
    "settings/faults.py",
    "settings/files.py",
    "settings/named.py",
    "settings/recipe_names.py",
    "settings/spelling.py",
    "settings/sweep.py",
    "tracking",
)


def key(
    *,
    variant: Variant = Variant(),  # noqa: B008 - frozen
    training: Training = Training(),  # noqa: B008
    data: DataSettings = DataSettings(),  # noqa: B008
    digest: str = "d1",
    seed: int = 0,
    threads: int = 2,
    label: str = "any",
    **words: Any,
) -> str:
    trial = Trial(variant=variant, training=training, seed=seed, label=label, **words)
    return content_key(trial, data, digest, threads)


def test_equal_inputs_have_one_key() -> None:
    assert key() == key()
    assert len(key()) == 64
    assert set(key()) <= set("0123456789abcdef")


@pytest.mark.parametrize("field", VARIANTS)
def test_each_field_of_the_network_counts(field: str) -> None:
    assert key(variant=Variant(**{field: VARIANTS[field]})) != key()


@pytest.mark.parametrize("field", TRAININGS)
def test_each_field_of_the_training_counts(field: str) -> None:
    assert key(training=Training(**{field: TRAININGS[field]})) != key()


@pytest.mark.parametrize("field", DATA)
def test_how_the_data_are_split_counts(field: str) -> None:
    assert key(data=DataSettings(**{field: DATA[field]})) != key()


def test_no_field_is_forgotten() -> None:
    """A new field must be put into one of the tables above."""
    assert VARIANTS.keys() == Variant.model_fields.keys()
    assert TRAININGS.keys() | {"threads"} == Training.model_fields.keys()
    assert DATA.keys() | {"source", "name"} == DataSettings.model_fields.keys()


def test_data_seed_and_the_threads_in_use_count() -> None:
    others = {key(digest="d2"), key(seed=1), key(threads=1)}
    assert len(others | {key()}) == 4
    assert key(training=Training(threads=2), threads=2) == key(training=Training(threads=0))


def test_names_descriptions_and_paths_do_not_count() -> None:
    expected = Expectation(metric="macs", direction="lower", against="other")
    assert key(label="another", hypothesis="It helps.", expect=(expected,)) == key()
    assert key(data=DataSettings(source="/data/elsewhere", name="other")) == key()


@pytest.mark.parametrize("library", provenance.numeric_packages())
def test_another_library_counts(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("KERAS_BACKEND", raising=False)
    before = key()
    versions = {**provenance.versions(), library: "99.0"}
    monkeypatch.setattr(provenance, "versions", lambda: versions)
    assert key() != before


@pytest.mark.parametrize(
    ("name", "value"),
    [("processor_name", "another processor"), ("has_gpu", True), ("backend_name", "other")],
)
def test_another_machine_counts(name: str, value: object, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "has_gpu", lambda: False)
    before = key()
    monkeypatch.setattr(module, name, lambda: value)
    assert key() != before


def test_another_line_of_code_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    before = key()
    asked = []

    def digest(parts: tuple[str, ...] | None = None) -> str:
        asked.append(parts)
        return "another digest"

    monkeypatch.setattr(provenance, "code_digest", digest)
    assert key() != before
    assert asked == [TRIAL_CODE]


def test_all_code_that_makes_a_number_is_in_the_key() -> None:
    """Every module that a trial imports is in the digest or listed as without effect on numbers."""
    graph = grimp.build_graph("cnn_pipeline")
    used = graph.find_upstream_modules("cnn_pipeline.trainers.trainer")
    files = {source_file(name) for name in used - {"cnn_pipeline"}}
    assert {f for f in files if not below(f, TRIAL_CODE) and not below(f, MAKES_NO_NUMBER)} == set()
    assert not set(MAKES_NO_NUMBER) & set(TRIAL_CODE)
    assert set(TRIAL_CODE) <= set(CODE)


def source_file(name: str) -> PurePath:
    """'data/splits.py' for cnn_pipeline.data.splits."""
    path = PurePath(*name.split(".")[1:])
    return path / "__init__.py" if (PACKAGE / path).is_dir() else path.with_suffix(".py")


def below(file: PurePath, parts: tuple[str, ...]) -> bool:
    return any(file.is_relative_to(part) for part in parts)


def test_the_code_that_counts_is_there() -> None:
    """A renamed module must not silently drop out of the digest."""
    for name in CODE:
        assert (PACKAGE / name).exists(), name
