"""The sweeps of a store as a list. Nothing is compared again: their runs say how they ended."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Literal, get_args

from mlflow.entities import Run
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from pydantic import BaseModel, ConfigDict

from cnn_pipeline.base import metric_names
from cnn_pipeline.base.errors import InvalidInput, did_you_mean
from cnn_pipeline.base.metric_names import Metric
from cnn_pipeline.settings.sweep import Sweep
from cnn_pipeline.settings.trial import Trial
from cnn_pipeline.tracking import names
from cnn_pipeline.tracking.artifacts import read_artifact
from cnn_pipeline.tracking.reaper import gone_reason, is_gone
from cnn_pipeline.tracking.store import Store, unreachable

State = Literal["running", "finished", "failed", "stopped"]
STATES: dict[str, State] = {"FINISHED": "finished", "FAILED": "failed", "KILLED": "stopped"}
"""By MLflow's status; a run with another one has not ended."""
_MOST_TRIALS = 50_000  # MLflow returns no more in one answer


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)


class TrialCounts(_Record):
    """The trials of a sweep by their state; those that are missing have not ended."""

    total: int
    """While a sweep with seeds 'auto' runs: of the rounds that have begun."""
    finished: int
    failed: int
    """FAILED or KILLED."""


class Best(_Record):
    """The variant that was chosen on validation; accuracies are means over seeds, from 0 to 1.

    They are the sweep's `metric`.
    """

    variant: str
    metric: Metric = "accuracy"
    validation_accuracy: float | None
    test_accuracy: float | None


class SweepSummary(_Record):
    """A sweep in a few numbers and one sentence."""

    sweep_id: str
    name: str
    data: str
    state: State
    started: datetime
    ended: datetime | None
    """None while it runs."""
    last_record: datetime | None
    """While it runs: when one of its trials last wrote something. A sweep of another machine whose
    process was killed runs for ever in MLflow; this shows it."""
    variants: int
    round: int
    """While it runs with seeds 'auto': the round that runs, from 1; else 0."""
    trials: TrialCounts
    best: Best | None
    """None until the sweep is compared, and if nothing finished."""
    verdict: str
    """The headline; empty until the sweep is compared."""
    reason: str
    """Why it stopped or which trials failed; empty if it finished."""
    experiment_id: str
    run_id: str
    """The sweep's run in MLflow."""


class SweepList(_Record):
    """Sweeps, newest first."""

    sweeps: tuple[SweepSummary, ...]
    more: bool
    """Whether there are older ones."""


def list_sweeps(
    store: Store, limit: int, *, data: str | None = None, name: str | None = None
) -> SweepList:
    """The newest sweeps of a store.

    Args:
        store: where to look.
        limit: how many to return at most.
        data: only sweeps on the data set with this name.
        name: only sweeps whose name contains this text, in any case.

    Raises:
        InvalidInput: there is no data set of that name in the store.
        StoreError: the store does not answer.
    """
    client = MlflowClient(store.uri)
    try:
        experiments = {one.name: one.experiment_id for one in client.search_experiments()}
        if data is not None:
            experiments = _only(experiments, data)
        condition = f"tags.{names.KIND} = '{names.SWEEP_KIND}'"
        if name:
            condition += f" and tags.{names.SWEEP} ILIKE '%{name.replace(chr(39), '')}%'"
        runs = client.search_runs(
            list(experiments.values()), condition, max_results=limit + 1,
            order_by=["attributes.start_time DESC"],
        )  # fmt: skip
        found = tuple(_summary(client, store, run) for run in runs[:limit])
    except MlflowException as error:
        raise unreachable(store, error) from None
    return SweepList(sweeps=found, more=len(runs) > limit)


def trial_runs(client: MlflowClient, experiment_id: str, sweep_id: str) -> list[Run]:
    """The runs of a sweep's trials."""
    return list(
        client.search_runs(
            [experiment_id],
            f"tags.{names.SWEEP_ID} = '{sweep_id}' and tags.{names.KIND} = '{names.TRIAL_KIND}'",
            max_results=_MOST_TRIALS,
        )
    )


def _only(experiments: dict[str, str], data: str) -> dict[str, str]:
    own = names.experiment_name(data)
    if own in experiments:
        return {own: experiments[own]}
    suffix = names.experiment_name("")
    known = [one.removesuffix(suffix) for one in experiments if one.endswith(suffix)]
    hint = did_you_mean(data, known) or (f"; there are {', '.join(known)}" if known else "")
    raise InvalidInput([f"--data: no sweep on {data!r}{hint}"])


def _summary(client: MlflowClient, store: Store, run: Run) -> SweepSummary:
    tags, info = run.data.tags, run.info
    gone = is_gone(run)  # and the store could not be written
    state = "stopped" if gone else STATES.get(info.status, "running")
    numbers = run.data.metrics
    last, number = None, 0
    if metric_names.NUM_VARIANTS in numbers:
        variants, trials = int(numbers[metric_names.NUM_VARIANTS]), _counts(numbers)
    else:
        variants, trials, last, number = _asked(client, store, run)
    return SweepSummary(
        sweep_id=tags[names.SWEEP_ID],
        name=tags[names.SWEEP],
        data=tags[names.DATASET],
        state=state,
        started=_time(info.start_time),
        ended=None if state == "running" or not info.end_time else _time(info.end_time),
        last_record=last if state == "running" else None,
        variants=variants,
        round=number if state == "running" else 0,
        trials=trials,
        best=_best(numbers, tags.get(names.CHOSEN_VARIANT, "")),
        verdict=tags.get(names.VERDICT, ""),
        reason=gone_reason(run) if gone else " ".join(tags.get(names.REASON, "").split()),
        experiment_id=str(info.experiment_id),
        run_id=str(info.run_id),
    )


def _counts(numbers: Mapping[str, float]) -> TrialCounts:
    total, failed = (
        int(numbers[name]) for name in (metric_names.NUM_TRIALS, metric_names.NUM_FAILED)
    )
    return TrialCounts(total=total, finished=total - failed, failed=failed)


def _best(numbers: Mapping[str, float], chosen: str) -> Best | None:
    if not chosen:
        return None
    known = (one for one in get_args(Metric) if metric_names.chosen("val", one) in numbers)
    metric: Metric = next(known, "accuracy")
    return Best(
        variant=chosen,
        metric=metric,
        validation_accuracy=numbers.get(metric_names.chosen("val", metric)),
        test_accuracy=numbers.get(metric_names.chosen("test", metric)),
    )


def _asked(
    client: MlflowClient, store: Store, run: Run
) -> tuple[int, TrialCounts, datetime | None, int]:
    """Variants, trials, last record and round of a sweep that was not compared, from its runs."""
    planned: tuple[Trial, ...] = ()
    in_rounds = False
    try:
        settings = json.loads(read_artifact(run.info.artifact_uri, names.SWEEP_FILE, store.uri))
        sweep = Sweep.model_validate(settings)
        planned = sweep.trials()
        in_rounds = sweep.in_rounds
    except (MlflowException, OSError, ValueError):
        pass  # missing, or of another version; the runs still tell most
    runs = trial_runs(client, run.info.experiment_id, run.data.tags[names.SWEEP_ID])
    statuses = [one.info.status for one in runs]
    finished = statuses.count("FINISHED")
    begun = {one.data.tags[names.TRIAL] for one in runs}
    counts = TrialCounts(
        total=len({trial.name for trial in planned} | begun),
        finished=finished,
        failed=statuses.count("FAILED") + statuses.count("KILLED"),
    )
    moments = [moment for one in runs for moment in _moments(client, one)]
    labels = {trial.label for trial in planned} | {one.data.tags[names.VARIANT] for one in runs}
    number = max(1, len({name.rpartition("-s")[2] for name in begun})) if in_rounds else 0
    return len(labels), counts, max(moments, default=None), number


def _moments(client: MlflowClient, run: Run) -> list[datetime]:
    """When a trial's run began, ended, or logged an epoch."""
    moments = [run.info.start_time]
    if run.info.status != "RUNNING":  # else the end is that of a run that went on
        moments.append(run.info.end_time)
    if run.info.status == "RUNNING" and metric_names.LOSS in run.data.metrics:
        points = client.get_metric_history(run.info.run_id, metric_names.LOSS)
        moments += [point.timestamp for point in points]
    return [_time(moment) for moment in moments if moment]


def _time(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
