"""The lease on a registered model where it cannot be had; tests/faults takes one, and kills."""

from __future__ import annotations

import pytest
from prefect.settings import PREFECT_API_URL, temporary_settings

from cnn_pipeline.services.lease import NoLease, leased


def test_a_dead_server_lets_nobody_change_a_model(monkeypatch: pytest.MonkeyPatch) -> None:
    api = "http://ann:secret@127.0.0.1:1/api"
    monkeypatch.setenv("PREFECT_API_URL", api)
    with (
        temporary_settings({PREFECT_API_URL: api}),
        pytest.raises(NoLease) as told,
        leased(api, "toy-cnn"),
    ):
        pytest.fail("somebody changes it")
    assert told.value.exit_code == 1
    text = str(told.value)
    assert "must answer, because it lets one machine at a time change toy-cnn" in text
    assert "Nothing was changed. Start it, or correct or unset PREFECT_API_URL." in text
    assert "secret" not in text
