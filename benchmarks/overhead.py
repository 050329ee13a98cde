"""What Prefect and MLflow add to one variant.

    .venv/bin/python -m benchmarks.overhead                  # about 2 minutes

Prefect: the same steps with a trainer that answers at once, as tasks of a flow on a server of their
own, and called directly. MLflow: one trial in a trainer's process, writing to a store, and writing
nowhere. In turn, and each pair's difference is counted. Writes `benchmarks/results/overhead.md`.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from benchmarks.machine import this_machine
from benchmarks.tables import markdown, spread
from cnn_pipeline.base.home import Home, cache_dir
from cnn_pipeline.experiment import data_card
from cnn_pipeline.experiment import steps as sweep_steps
from cnn_pipeline.settings.sweep import Sweep
from cnn_pipeline.settings.trial import DataSettings, Training, Trial, Variant
from cnn_pipeline.trainers.messages import Reply

if TYPE_CHECKING:
    from cnn_pipeline.network.device import Device

RESULTS = Path(__file__).parent / "results"
_TRIALS = 20
_DATA = DataSettings(train_limit=512, validation_size=128)
_TRAINING = Training(epochs=1)
_MLFLOW = (Variant(filters=64, pooling="max"), Variant(filters=64, pooling="none"))


def main() -> int:
    """Measure both and write the table."""
    parser = argparse.ArgumentParser(prog="overhead", description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    given = parser.parse_args()
    prefect = _prefect(given.rounds)
    rows = [["Prefect", "a trainer that answers at once", str(given.rounds), _text(prefect)]]
    from cnn_pipeline.network.device import configure

    device = configure(threads=1)
    for variant in _MLFLOW:
        seconds = _mlflow(variant, device, given.rounds)
        rows.append(["MLflow", variant.name, str(given.rounds), _text(seconds)])
    text = f"{this_machine().in_words()}.\n\n" + markdown(
        ["what", "variant", "pairs", "adds to a variant"], rows
    )
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / "overhead.md").write_text(text, encoding="utf-8")
    print(text)
    return 0


def _text(seconds: list[float]) -> str:
    return spread(seconds).text(2, " s")


class _InstantPool:
    """Stands where a `TrainerPool` does; the job is done before it is given."""

    count = 1
    threads = 1

    def run(self, job: object) -> Reply:
        return Reply("FINISHED", metrics={"val_accuracy_final": 0.9, "test_accuracy": 0.9})

    def close(self) -> None:
        pass


def _prefect(rounds: int) -> list[float]:
    from cnn_pipeline.cli.launch import prefect_ready

    sweep = Sweep(
        name="overhead",
        variant=Variant(filters=2, dense_units=8),
        seeds=tuple(range(_TRIALS)),
        data=_DATA,
    )
    pool: Any = _InstantPool()
    with tempfile.TemporaryDirectory() as folder:
        home = Home(Path(folder))
        card = data_card.prepare_data(_DATA, cache_dir(os.environ))
        differences = []
        with prefect_ready(home):
            from prefect import flow

            from flows.tasks import train_all

            inside = flow(name="overhead", validate_parameters=False)(train_all)
            for index in range(rounds + 1):
                run = sweep_steps.begin(sweep, card, home, {})
                started = time.perf_counter()
                inside(run, pool)
                with_prefect = time.perf_counter() - started
                started = time.perf_counter()
                for trial in sweep.trials():
                    sweep_steps.run_trial(run, trial, pool, {})
                if index:  # the first round imports and warms up
                    direct = time.perf_counter() - started
                    differences.append((with_prefect - direct) / _TRIALS)
        return differences


class _Nowhere:
    """Stands where a `Tracker` does and writes nothing."""

    def log_model(self, *args: object, **kwargs: object) -> Any:
        from cnn_pipeline.tracking.writer import ModelRecord

        return ModelRecord("none", "none", 0, "")

    def __getattr__(self, name: str) -> Any:
        return lambda *args, **kwargs: None


def _mlflow(variant: Variant, device: Device, rounds: int) -> list[float]:
    """Seconds more a trial with a store; the trial ends with everything that a sweep writes."""
    from cnn_pipeline.data.dataset import load_dataset
    from cnn_pipeline.tracking.store import open_store
    from cnn_pipeline.tracking.writer import Tracker
    from cnn_pipeline.trainers.trial import run_trial

    dataset = load_dataset(_DATA, cache_dir(os.environ))
    differences = []
    with tempfile.TemporaryDirectory() as folder:
        tracker = Tracker(open_store(Home(Path(folder)), {}))
        parent = tracker.experiment("overhead")
        for index in range(rounds + 1):
            trial = Trial(variant=variant, label=variant.name, training=_TRAINING, seed=index)
            taken = []
            for kept in (True, False) if index % 2 else (False, True):
                started = time.perf_counter()
                if kept:
                    run_id = tracker.start_trial(parent, "none", "overhead", trial, {})
                    run_trial(trial, _DATA, dataset, device, tracker, run_id)
                    tracker.end(run_id, "FINISHED")
                else:
                    nowhere: Any = _Nowhere()
                    run_trial(trial, _DATA, dataset, device, nowhere, "none")
                taken.append((kept, time.perf_counter() - started))
            if index:
                seconds = dict(taken)
                differences.append(seconds[True] - seconds[False])
    return differences


if __name__ == "__main__":
    sys.exit(main())
