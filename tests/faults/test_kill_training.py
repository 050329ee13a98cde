"""Trainers that are killed with SIGKILL; the next one goes on and ends with the same bits."""

from __future__ import annotations

import os
import random
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd
import psutil
import pytest
from mlflow.entities import LoggedModelStatus
from mlflow.tracking import MlflowClient

from cnn_pipeline.base import events
from cnn_pipeline.base.home import Home
from cnn_pipeline.experiment import trials
from cnn_pipeline.experiment.sweep_run import SweepRun
from cnn_pipeline.settings.sweep import Sweep
from cnn_pipeline.settings.trial import DataSettings, Training, Variant
from cnn_pipeline.tracking import names
from cnn_pipeline.tracking.store import Store
from cnn_pipeline.tracking.writer import Tracker
from cnn_pipeline.trainers.launching import ForkServer, can_fork
from cnn_pipeline.trainers.local_pool import TrainerPool
from cnn_pipeline.trainers.messages import Job, Reply
from tests.faults.commands import seconds_since
from tests.recording import Recorded
from tests.running import begin, wait_until

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not can_fork(), reason="its trainers are forked"),
]

EPOCHS = 4
SWEEP = Sweep(
    name="killed",
    variant=Variant(filters=2, dense_units=16, dropout=0.25),
    training=Training(epochs=EPOCHS, batch_size=16, threads=1, precision="float32"),
    data=DataSettings(source="fashion-mnist-sample", validation_size=500, train_limit=600),
)
SAVING_STEPS = range(1, 8)


@dataclass
class Life:
    """One trainer process with the trial."""

    reply: Reply | None = None
    told: list[events.Event] = field(default_factory=list)
    arrays: bytes = b""
    """All variables of the model and the optimizer after the last step."""

    @property
    def notes(self) -> list[str]:
        return [event.text for event in self.told if isinstance(event, events.TrialNote)]

    @property
    def trained_images(self) -> int:
        """Images trained by this process, as far as it told."""
        images = [event.images for event in self.told if isinstance(event, events.TrialProgress)]
        return max(images) - min(images) if images else 0


class Laboratory:
    """A sweep of one trial, and trainers for it that can be killed."""

    def __init__(self, sweep_run: SweepRun, pool: TrainerPool, server: psutil.Process, kill: Path):
        self.sweep_run, self.pool, self.server = sweep_run, pool, server
        self.kill_file = kill
        self.tracker = Tracker(Store(sweep_run.store_uri, sweep_run.artifacts_uri))
        self.client = MlflowClient(sweep_run.store_uri)
        [self.trial] = sweep_run.decision.sweep.trials()

    def new_job(self) -> Job:
        """The trial, in a new run; a checkpoint after each call of the engine."""
        run_id = trials.start_trial(self.tracker, self.sweep_run, self.trial, {})
        job = trials.job_of(self.sweep_run, self.trial, run_id)
        return Job(**{**vars(job), "checkpoint_seconds": 0.0})

    def live(
        self,
        job: Job,
        *,
        step: str = "",
        at: Callable[[events.Event], bool] = lambda event: False,
        after: float = 0.0,
    ) -> Life:
        """Run the job until it ends or is killed: at a step, or some seconds after an event."""
        life, over = Life(), threading.Event()
        last = Path(job.checkpoints, f"ckpt-{EPOCHS:05d}-00000000", "arrays.npy")
        self.kill_file.write_text(step)

        def kill() -> None:
            if not over.wait(after):
                for trainer in self.server.children():
                    trainer.kill()

        def hear(event: events.Event) -> None:
            life.told.append(event)
            if event == events.TrialPhase(self.trial.name, "evaluating"):
                wait_until(last.exists, "the last checkpoint", 20)
                life.arrays = last.read_bytes()
            if at(event):
                threading.Thread(target=kill).start()

        with events.listening(hear):
            life.reply = self.pool.run(job)
        over.set()
        self.kill_file.write_text("")
        return life

    def results(self, job: Job, life: Life) -> dict[str, object]:
        """Everything that must not depend on kills; the run must be whole, with one of each."""
        assert life.reply is not None and life.reply.status == "FINISHED", life.reply
        assert not Path(job.checkpoints).exists()
        run = self.client.get_run(job.run_id)
        assert run.data.tags[names.COMPLETE] == "true"
        models = self.client.search_logged_models(
            [run.info.experiment_id], f"source_run_id = '{job.run_id}'"
        )
        assert [model.status for model in models] == [LoggedModelStatus.READY]
        for curve in ("loss", "val_accuracy", "epoch_seconds"):
            points = self.client.get_metric_history(job.run_id, curve)
            assert [point.step for point in points] == list(range(EPOCHS)), curve
        history = pd.read_csv(self.client.download_artifacts(job.run_id, names.HISTORY_FILE))
        answers = pd.read_parquet(
            self.client.download_artifacts(job.run_id, names.PREDICTIONS_FILE)
        )
        return {
            "variables": life.arrays,
            "curves": history.drop(columns="epoch_seconds").to_csv(),
            "answers": answers.to_numpy().tobytes(),
            "test accuracy": run.data.metrics["test_accuracy"],
        }


@pytest.fixture(scope="module")
def laboratory(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Laboratory]:
    """Trainers are forked from one server, so that each kill costs a fork and not an import."""
    folder = tmp_path_factory.mktemp("killed")
    kill = folder / "kill"
    kill.write_text("")
    with pytest.MonkeyPatch.context() as patch, (folder / "server.log").open("ab") as log:
        own = str(Path(__file__).parent / "killing")
        patch.setenv("PYTHONPATH", os.pathsep.join([own, os.environ.get("PYTHONPATH", "")]))
        patch.setenv("KILL_FILE", str(kill))
        launcher = ForkServer(log)
        sweep_run = begin(SWEEP, Home(folder / "home"), folder / "cache")
        pool = TrainerPool(1, 1, folder / "logs", launcher)
        yield Laboratory(sweep_run, pool, psutil.Process(launcher._process.pid), kill)
        pool.close()
        launcher.close()


@pytest.fixture(scope="module")
def wanted(laboratory: Laboratory) -> dict[str, object]:
    """The results of the trial without a kill."""
    job = laboratory.new_job()
    return laboratory.results(job, laboratory.live(job))


def is_phase(phase: str) -> Callable[[events.Event], bool]:
    return lambda event: isinstance(event, events.TrialPhase) and event.phase == phase


def test_kills_at_each_step_of_saving_change_no_bit(
    laboratory: Laboratory, wanted: dict[str, object], recorded: Recorded
) -> None:
    """Each trainer saves once and is killed while it saves for the second time."""
    with recorded("kill -9", "each numbered step of a checkpoint", "I5 I7") as row:
        job = laboratory.new_job()
        for step in SAVING_STEPS:
            killed = laboratory.live(job, step=f"{step} 2")
            assert killed.reply is not None and "SIGKILL" in killed.reply.reason, step
            assert bool(killed.notes) is (step > 1), killed.notes
            assert all(note.startswith("goes on ") for note in killed.notes), killed.notes
        since = time.monotonic()
        assert laboratory.results(job, laboratory.live(job)) == wanted
        row.recovered(seconds_since(since))


def test_a_trial_that_is_killed_after_training_trains_nothing_again(
    laboratory: Laboratory, wanted: dict[str, object], recorded: Recorded
) -> None:
    with recorded("kill -9", "a trial is scored, and logged", "I5 I7") as row:
        job = laboratory.new_job()
        laboratory.live(job, at=is_phase("evaluating"))
        logging = laboratory.live(job, at=is_phase("logging"), after=0.2)
        since = time.monotonic()
        ended = laboratory.live(job)
        row.recovered(seconds_since(since))
        for life in (logging, ended):
            assert life.notes == [f"goes on after epoch {EPOCHS} of {EPOCHS}"]
            assert life.trained_images == 0
        assert laboratory.results(job, ended) == wanted


def test_a_flipped_bit_is_told_and_the_checkpoint_before_is_used(
    laboratory: Laboratory, wanted: dict[str, object], recorded: Recorded
) -> None:
    with recorded("flipped bit", "in the newest checkpoint", "I5 I7") as row:
        job = laboratory.new_job()
        laboratory.live(job, at=is_phase("evaluating"))
        newest = max(Path(job.checkpoints).glob("ckpt-*"))
        content = bytearray((newest / "arrays.npy").read_bytes())
        content[len(content) // 3] ^= 4
        (newest / "arrays.npy").write_bytes(content)
        since = time.monotonic()
        ended = laboratory.live(job)
        row.recovered(seconds_since(since))
        assert ended.notes == [
            f"checkpoint {newest.name} is not used: it is damaged: arrays.npy is not what was "
            "written",
            f"goes on in epoch {EPOCHS} of {EPOCHS}",
        ]
        assert laboratory.results(job, ended) == wanted


@pytest.mark.parametrize("kills", [3, pytest.param(30, marks=pytest.mark.long)])
def test_kills_at_random_moments_change_no_bit(
    laboratory: Laboratory, wanted: dict[str, object], recorded: Recorded, kills: int
) -> None:
    moments = random.Random(kills)
    with recorded("kill -9", f"{kills} random moments of a training", "I5 I7") as row:
        job, killed = laboratory.new_job(), 0
        while killed < kills:
            after = moments.uniform(0, 1.5)
            life = laboratory.live(job, at=is_phase("training"), after=after)
            assert life.reply is not None
            if life.reply.status == "FINISHED":
                assert laboratory.results(job, life) == wanted
                job = laboratory.new_job()
            else:
                assert "SIGKILL" in life.reply.reason
                killed += 1
        since = time.monotonic()
        assert laboratory.results(job, laboratory.live(job)) == wanted
        row.recovered(seconds_since(since))
