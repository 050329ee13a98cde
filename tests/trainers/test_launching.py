"""What a trainer's process is told before it starts."""

from __future__ import annotations

import pytest

from cnn_pipeline.trainers.launching import ONEDNN, trainer_environment


def test_trainers_use_onednn_on_every_processor(monkeypatch: pytest.MonkeyPatch) -> None:
    """By itself TensorFlow leaves it out where there is no AVX-512."""
    monkeypatch.delenv(ONEDNN, raising=False)
    assert trainer_environment()[ONEDNN] == "1"


def test_whoever_turns_onednn_off_has_it_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ONEDNN, "0")
    assert trainer_environment()[ONEDNN] == "0"
