"""A stored run is trained again: equal bit for bit here, explained where the machine differs."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from mlflow.tracking import MlflowClient

from cnn_pipeline.base.errors import UserError
from cnn_pipeline.base.home import Home, cache_dir
from cnn_pipeline.champion import reproduce as module
from cnn_pipeline.champion.find_model import find_run
from cnn_pipeline.champion.reproduce import (
    Compared,
    Reason,
    Reproduction,
    errors_apart,
    reproduce,
)
from cnn_pipeline.cli.app import status_of
from cnn_pipeline.cli.commands.reproduce import text
from cnn_pipeline.experiment.outcome import Outcome
from cnn_pipeline.tracking import names
from cnn_pipeline.tracking.reader import Reader
from cnn_pipeline.tracking.store import Store

KERNEL = np.linspace(-1, 1, 6, dtype=np.float32).reshape(2, 3)
LABELS = np.arange(100) % 2
CONFIG = {
    "device": {"kind": "cpu", "name": "A", "processor": "A", "instructions": ["avx", "fma"]},
    "versions": {"python": "3.12.1", "keras": "3.15.1"},
    "environment": {},
}


def record(*, loss: float = 2.0, wrong: int = 10, kernel: np.ndarray = KERNEL) -> module._Record:
    probabilities = np.zeros((100, 2), np.float32)
    probabilities[np.arange(100), np.where(np.arange(100) < wrong, 1 - LABELS, LABELS)] = 1
    return module._Record(
        config=CONFIG,
        tags={names.CODE_DIGEST: "c" * 64, names.KERAS_BACKEND: "tensorflow"},
        curves={"loss": np.asarray([loss, 1.0])},
        weights={"0 kernel": kernel},
        labels=LABELS,
        probabilities=probabilities,
    )


def compared(then: module._Record, now: module._Record, *reasons: Reason) -> Reproduction:
    return module._compare("1" * 32, "f2-s0", then, now, reasons=reasons, began=0.0)


PROCESSOR = Reason("processor", "A", "B")


def test_equal_records_are_identical() -> None:
    found = compared(record(), record())
    assert found.outcome == "identical" and found.ok
    assert found.weights == (Compared("0 kernel", 6, 0, 0.0),)
    # Other circumstances do not matter then.
    assert compared(record(), record(), PROCESSOR).outcome == "identical"


def test_a_single_bit_is_a_difference_without_a_reason() -> None:
    flipped = KERNEL.copy()
    flipped.view(np.uint32)[0, 1] ^= 1
    found = compared(record(), record(kernel=flipped))
    assert found.outcome == "different" and not found.ok
    (kernel,) = found.weights
    assert (kernel.differing, kernel.largest) == (1, pytest.approx(6e-8, abs=2e-8))
    # The sign of a zero is a bit, too.
    zero = KERNEL * 0
    assert compared(record(kernel=zero), record(kernel=-zero)).outcome == "different"


def test_small_differences_have_their_reason() -> None:
    found = compared(record(), record(loss=2.01, wrong=14), PROCESSOR)
    assert found.outcome == "within tolerance" and found.ok
    assert found.errors_apart == 2.0
    assert found.first_loss_change == pytest.approx(0.005)


@pytest.mark.parametrize("now", [record(loss=2.03), record(wrong=30)])
def test_large_differences_are_not_excused(now: module._Record) -> None:
    assert compared(record(), now, PROCESSOR).outcome == "different"


def test_another_shape_is_a_difference() -> None:
    found = compared(record(), record(kernel=np.ones(7, np.float32)), PROCESSOR)
    assert found.weights == (Compared("0 kernel", 6, 7, None),)
    assert "another shape" in "\n".join(text(found))


def test_only_what_one_of_two_has_right_counts() -> None:
    right = np.asarray([True, True, False, False])
    assert errors_apart(right, right) == 0
    assert errors_apart(right, ~right) == 0
    assert errors_apart(right, np.asarray([True, True, True, False])) == 1


def test_what_differs_is_named() -> None:
    config = json.loads(json.dumps(CONFIG))
    config["device"] |= {"processor": "B", "threads": 2, "instructions": ["avx", "avx2"]}
    config["versions"]["keras"] = "3.15.2"
    config["environment"] = {"TF_ENABLE": "1"}
    now = module._Record(**{**vars(record()), "config": config})
    assert module._reasons(record(), now) == (
        Reason("threads", "not recorded", "2"),
        Reason("processor", "A", "B"),
        Reason("instructions", "fma", "avx2"),
        Reason("keras", "3.15.1", "3.15.2"),
        Reason("TF_ENABLE", "not set", "1"),
    )


def test_the_words_say_what_came_out() -> None:
    said = "\n".join(text(compared(record(), record())))
    assert "f2-s0 (run 11111111111111111111111111111111) is reproduced bit for bit." in said
    assert "weights       6 numbers, all identical" in said
    said = "\n".join(text(compared(record(), record(loss=2.01), PROCESSOR)))
    assert "within the tolerance, not bit for bit" in said
    assert "curves        2 numbers, 1 differ" in said
    assert "loss: 1 of 2, at most 0.01 apart" in said
    assert "the first epoch's loss changed by 0.50% (at most 1%)" in said
    assert "processor: A then, B now" in said
    said = "\n".join(text(compared(record(), record(loss=2.01))))
    assert "is NOT reproduced" in said and "Nothing is known to differ" in said


def snapshot(home: Home) -> dict[str, str]:
    return {
        str(path): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in home.mlruns.rglob("*")
        if path.is_file()
    }


@pytest.mark.slow
def test_a_run_is_reproduced_bit_for_bit(tiny: tuple[Home, Outcome]) -> None:
    """The one with dropout; nothing is written into its store."""
    home, outcome = tiny
    result = outcome.results[1]
    before = snapshot(home)
    found = reproduce(result.run_id[:8], home, cache_dir({}))
    assert (found.run_id, found.name) == (result.run_id, result.name)
    assert found.outcome == "identical"
    assert found.reasons == ()
    assert sum(part.count for part in found.weights) == result.metrics["num_params"]
    assert {part.name for part in found.curves} == {"loss", "accuracy", "val_loss", "val_accuracy"}
    assert found.predictions.count == 10 * 1000
    assert found.test_accuracy_now == result.metrics["test_accuracy"]
    assert snapshot(home) == before


@pytest.mark.slow
def test_another_record_is_not_reproduced(
    tiny: tuple[Home, Outcome], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A seed that was changed in the record afterwards."""
    home = Home(tmp_path / "copy")
    shutil.copytree(tiny[0].root, home.root)
    result = tiny[1].results[0]
    client = MlflowClient(home.database_uri)
    config = next(home.artifacts.rglob(f"{result.run_id}/artifacts/config.json"))
    config.write_text(config.read_text().replace('"seed": 0', '"seed": 1'))
    client.set_tag(result.run_id, names.CONTENT_KEY, "that of seed 1")
    assert status_of(["reproduce", result.name, "--home", str(home.root), "--json"]) == 1
    said = json.loads(capsys.readouterr().out)
    assert said["outcome"] == "different"
    assert all(part["differing"] for part in said["weights"] if part["name"].endswith("kernel"))


@pytest.mark.slow
def test_a_run_is_found_by_id_beginning_or_name(tiny: tuple[Home, Outcome]) -> None:
    home, outcome = tiny
    reader = Reader(Store(home.database_uri, home.artifacts_uri))
    result = outcome.results[0]
    for word in (result.run_id, result.run_id[:6], result.name, result.label):
        assert find_run(reader, word) == result.run_id
    for word in ("abc", "feedbeef", "f9-max"):
        with pytest.raises(UserError, match="RUN: must be a run's id"):
            find_run(reader, word)


@pytest.mark.slow
def test_what_cannot_be_reproduced_is_refused(
    tiny: tuple[Home, Outcome], capsys: pytest.CaptureFixture[str]
) -> None:
    home, outcome = tiny
    for words, said in (
        ((), "RUN: name a run to reproduce"),
        (("a", "b"), "unexpected argument 'b': one run at a time"),
        (("diverging-s0",), "has no model: its status is FAILED"),
        ((outcome.parent_run_id,), "has no model"),
        (("0" * 32,), "no run '0"),
    ):
        assert status_of(["reproduce", *words, "--home", str(home.root)]) == 2
        assert said in capsys.readouterr().err
