"""The promises of docs/reliability.md, as checks of a home folder."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

import numpy as np
from mlflow.entities import Run, ViewType
from mlflow.tracking import MlflowClient

from cnn_pipeline.base import metric_names
from cnn_pipeline.base.home import Home
from cnn_pipeline.champion.register import open_registry
from cnn_pipeline.champion.registry import CHAMPION, ModelVersion
from cnn_pipeline.data.dataset import load_dataset
from cnn_pipeline.network.load import load_verified
from cnn_pipeline.settings.trial import DataSettings
from cnn_pipeline.tracking import names


def all_runs(home: Home) -> list[Run]:
    """Every run of the home's store; none if there is no store."""
    if not home.database.exists():
        return []
    client = MlflowClient(home.database_uri)
    experiments = [one.experiment_id for one in client.search_experiments()]
    return list(client.search_runs(experiments, run_view_type=ViewType.ALL)) if experiments else []


def unfinished(runs: Sequence[Run]) -> list[str]:
    """Names of the runs that are RUNNING (I3)."""
    return [run.info.run_name for run in runs if run.info.status == "RUNNING"]


def newest_sweep(runs: Sequence[Run]) -> tuple[Run, dict[str, list[Run]]]:
    """The parent run that ended last, and the runs below it by trial."""
    parents = [run for run in runs if names.PARENT not in run.data.tags]
    parent = max(parents, key=lambda run: run.info.end_time or 0)
    trials: dict[str, list[Run]] = {}
    for run in runs:
        if run.data.tags.get(names.PARENT) == parent.info.run_id:
            trials.setdefault(run.data.tags[names.TRIAL], []).append(run)
    return parent, trials


def assert_converged(home: Home, trials: set[str]) -> None:
    """I3 and I7: no run is left RUNNING, and the newest sweep has each trial once, complete."""
    runs = all_runs(home)
    assert unfinished(runs) == []
    parent, found = newest_sweep(runs)
    assert parent.info.status == "FINISHED"
    whole = {
        trial: [run for run in ran if run.data.tags.get(names.COMPLETE) == "true"]
        for trial, ran in found.items()
    }
    assert {trial: len(ran) for trial, ran in whole.items()} == dict.fromkeys(trials, 1)
    assert {run.info.status for ran in whole.values() for run in ran} == {"FINISHED"}


def assert_one_champion(home: Home, model: str, source: str) -> ModelVersion:
    """I1 and I6: the champion's file is the registered one, and answers as its tags say.

    Each decision follows from the one before, and no version was promoted twice.

    Args:
        home: folder of all state.
        model: name of the registered model.
        source: a data set that needs no download, whose test images it answers again.
    """
    registry = open_registry(home)
    champion = registry.by_alias(model, CHAMPION)
    assert champion is not None
    registry.verify(champion)
    test = load_dataset(DataSettings(source=source), home.root / "no-cache").test
    with tempfile.TemporaryDirectory() as folder:
        path = registry.model_file(champion, Path(folder))
        network = load_verified(path, champion.sha256, champion.shown)
    answers = np.argmax(network.predict(test.images, verbose=0), axis=1)
    accuracy = float(np.mean(answers == test.labels))
    # Kernels differ in the last digit between batches, which can move one image.
    assert abs(accuracy - float(champion.tags[metric_names.TEST_ACCURACY])) < 1.5 / len(test)
    decisions = registry.history(model)
    assert decisions[-1].champion_after == champion.version
    for one, following in pairwise(decisions):
        assert following.champion_before == one.champion_after
    promoted = [one.version for one in decisions if one.action == "promote"]
    assert len(promoted) == len(set(promoted))
    return champion
