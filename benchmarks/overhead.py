"""What Prefect and MLflow add to one variant.

    .venv/bin/python -m benchmarks.overhead                  # about 2 minutes

Prefect: the steps of a sweep with a trainer that answers at once, as tasks of a flow on a server of
their own, and called directly. MLflow: one trial in a trainer's process, writing to a store, and
writing nowhere. Both ways run in turn, and each pair's difference counts. Writes
`benchmarks/results/overhead.md`.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest import mock

from benchmarks.machine import in_words, this_machine
from benchmarks.report import markdown, spread, write
from cnn_pipeline.base.home import Home, cache_dir
from cnn_pipeline.experiment import steps
from cnn_pipeline.experiment.data_card import prepare_data
from cnn_pipeline.experiment.decide import decide
from cnn_pipeline.experiment.trials import run_trial
from cnn_pipeline.settings.sweep import Sweep
from cnn_pipeline.settings.trial import DataSettings, Training, Trial, Variant
from cnn_pipeline.trainers.messages import Reply
from cnn_pipeline.trainers.pool import Crew

if TYPE_CHECKING:
    from cnn_pipeline.network.device import Device

_TRIALS = 20
_DATA = DataSettings(train_limit=512, validation_size=128)


def main() -> None:
    """Measure both and write the table."""
    parser = argparse.ArgumentParser(prog="overhead", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    measured = [("Prefect", "a trainer that answers at once", _prefect(given.rounds))]
    from cnn_pipeline.network.device import configure

    device = configure(threads=1)
    for variant in (Variant(filters=64, pooling="max"), Variant(filters=64, pooling="none")):
        measured.append(("MLflow", variant.name, _mlflow(variant, device, given.rounds)))
    rows = [
        [what, variant, str(len(seconds)), spread(seconds).text(2, " s")]
        for what, variant, seconds in measured
    ]
    header = ["what", "variant", "pairs", "adds to a variant"]
    write("overhead", in_words(this_machine()), markdown(header, rows))


class _InstantPool:
    """Stands in for a `TrainerPool`; its jobs are done at once."""

    count = 1
    now = 1
    threads = 1
    stopped = ""

    def run(self, job: object) -> Reply:
        return Reply("FINISHED", metrics={"val_accuracy_final": 0.9, "test_accuracy": 0.9})

    def close(self) -> None:
        pass


def _prefect(rounds: int) -> list[float]:
    """Seconds that Prefect adds to a trial; the first round, which imports, is left out."""
    from cnn_pipeline.cli.launch import prefect_ready

    variant = Variant(filters=2, dense_units=8)
    sweep = Sweep(name="overhead", variant=variant, seeds=tuple(range(_TRIALS)), data=_DATA)
    pool: Any = _InstantPool()
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder))
        card = prepare_data(_DATA, cache_dir(os.environ))
        decision = decide(sweep, card, home, Crew(workers=1, threads=1), force=True)
        with prefect_ready(home):
            from prefect import flow

            from flows.tasks import train_all

            inside = flow(name="overhead", validate_parameters=False)(
                lambda run, pool: list(train_all(lambda: pool, run, run.decision.trials))
            )

            def one_round() -> float:
                run = steps.begin(decision, {})
                with_prefect = _seconds(lambda: inside(run, pool))
                direct = _seconds(lambda: [run_trial(run, each, pool) for each in sweep.trials()])
                return (with_prefect - direct) / _TRIALS

            return [one_round() for _ in range(rounds + 1)][1:]


class _Nowhere:
    """Stands in for a `Tracker` and writes nothing."""

    store = None

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **kwargs: None


def _mlflow(variant: Variant, device: Device, rounds: int) -> list[float]:
    """Seconds that a store adds to a trial that ends with all that a sweep writes."""
    from cnn_pipeline.data.dataset import load_dataset
    from cnn_pipeline.tracking.models import ModelRecord
    from cnn_pipeline.tracking.store import open_store
    from cnn_pipeline.tracking.writer import Tracker
    from cnn_pipeline.trainers import trial as trials
    from cnn_pipeline.trainers.trial import run_trial

    def unlogged(*_args: object, **_kwargs: object) -> ModelRecord:
        return ModelRecord("none", "none", 0, "")

    dataset = load_dataset(_DATA, cache_dir(os.environ))
    nowhere: Any = _Nowhere()
    with tempfile.TemporaryDirectory() as folder:
        tracker = Tracker(open_store(Home(Path(folder)), {}))
        parent = tracker.experiment("overhead")

        def stored(trial: Trial) -> None:
            run_id = tracker.start_trial(parent, "none", "overhead", trial, {})
            run_trial(trial, _DATA, dataset, device, tracker, run_id)
            tracker.end(run_id, "FINISHED")

        def forgotten(trial: Trial) -> None:
            with mock.patch.object(trials, "log_model", unlogged):
                run_trial(trial, _DATA, dataset, device, nowhere, "none")

        def one_round(index: int) -> float:
            training = Training(epochs=1)
            trial = Trial(variant=variant, label=variant.name, training=training, seed=index)
            ways = (stored, forgotten) if index % 2 else (forgotten, stored)
            taken = {way: _seconds(lambda way=way: way(trial)) for way in ways}
            return taken[stored] - taken[forgotten]

        return [one_round(index) for index in range(rounds + 1)][1:]


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


if __name__ == "__main__":
    main()
