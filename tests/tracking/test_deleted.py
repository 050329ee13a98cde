"""An experiment that was deleted in MLflow's UI is named, with the command that restores it."""

from __future__ import annotations

import pytest
from mlflow.tracking import MlflowClient

from cnn_pipeline.base.errors import UserError
from cnn_pipeline.base.home import Home
from cnn_pipeline.cli.app import status_of
from cnn_pipeline.tracking.reader import Reader
from cnn_pipeline.tracking.store import Store, StoreError, open_store
from cnn_pipeline.tracking.writer import Tracker

NAME = "fashion-mnist-cnn"


@pytest.fixture
def store(home: Home) -> Store:
    """A store whose experiment was deleted."""
    made = open_store(home, {})
    MlflowClient(made.uri).delete_experiment(Tracker(made).experiment(NAME))
    return made


def test_nothing_is_written_to_a_deleted_experiment(store: Store) -> None:
    for ask in (Tracker(store).experiment, Reader(store).experiment):
        with pytest.raises(StoreError) as refused:
            ask(NAME)
        said = str(refused.value)
        assert said.startswith(f"the experiment {NAME} in {store.uri} must not be deleted")
        command = f"MLFLOW_TRACKING_URI={store.uri!r} mlflow experiments restore --experiment-id 1"
        assert command in said
        assert f"mlflow gc --backend-store-uri {store.uri!r} --experiment-ids 1" in said


def test_the_remedy_works(store: Store) -> None:
    MlflowClient(store.uri).restore_experiment("1")
    assert Tracker(store).experiment(NAME) == Reader(store).experiment(NAME) == "1"


def test_on_a_server_the_command_has_no_address(store: Store) -> None:
    with pytest.raises(StoreError, match=r"its runs: mlflow experiments restore") as refused:
        Tracker(Store(store.uri, None)).experiment(NAME)
    assert "MLFLOW_TRACKING_URI" not in str(refused.value) and " gc " not in str(refused.value)


def test_who_finds_no_sweep_is_told_where_it_may_be(store: Store) -> None:
    for word in (None, "pooling-20260901-101500-4f1c"):
        with pytest.raises(UserError, match=rf"deleted experiment: {NAME} \(id 1\)") as refused:
            Reader(store).sweep(word)
        assert "experiments restore --experiment-id ID." in str(refused.value)


def test_the_list_says_where_they_may_be(
    store: Store, home: Home, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    assert status_of(["list", "--home", str(home.root)]) == 0
    told = capsys.readouterr()
    assert told.err.startswith(f"It may be in a deleted experiment: {NAME} (id 1). Restore ")
    assert "there is no sweep yet" in told.out


def test_without_a_deleted_one_nothing_is_said_of_it(home: Home) -> None:
    with pytest.raises(UserError) as refused:
        Reader(open_store(home, {})).sweep(None)
    assert "deleted experiment" not in str(refused.value)
