"""What tests share that run real sweeps and real processes."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

import psutil

from cnn_pipeline.base.home import Home
from cnn_pipeline.experiment import steps
from cnn_pipeline.experiment.data_card import prepare_data
from cnn_pipeline.experiment.decide import decide
from cnn_pipeline.experiment.sweep_run import SweepRun
from cnn_pipeline.experiment.trials import run_trial
from cnn_pipeline.network.results import TrialResult
from cnn_pipeline.settings.sweep import Entry, Sweep
from cnn_pipeline.settings.trial import DataSettings, Training, Trial, Variant
from cnn_pipeline.trainers.local_pool import TrainerPool
from cnn_pipeline.trainers.messages import Job, Reply
from cnn_pipeline.trainers.pool import crew_for

SAMPLE = DataSettings(source="fashion-mnist-sample", validation_size=500, train_limit=600)
# Threads and precision are fixed, so that equal trials give equal numbers on every machine's run.
QUICK = Training(epochs=1, batch_size=64, threads=1, precision="float32")
# Six convolutions and steps of 10: the loss leaves float32's range within the first epoch.
DIVERGING = Entry(
    variant=Variant(filters=8, conv_layers=6, padding="same", pooling="none", dense_units=64),
    label="diverging",
    training={"epochs": 1, "optimizer": "sgd", "learning_rate": 10.0},
)
# Far more epochs than any test waits for: something to be killed in the middle of.
ENDLESS = QUICK.model_copy(update={"epochs": 10_000})

TINY = Sweep(
    name="tiny",
    description="Two networks that train and one that cannot.",
    entries=(
        Entry(variant=Variant(filters=2, dense_units=16), hypothesis="Two filters are enough."),
        Entry(variant=Variant(filters=2, dense_units=16, pooling="none", dropout=0.25)),
        DIVERGING,
    ),
    seeds=(0,),
    training=QUICK.model_copy(update={"epochs": 2}),
    data=SAMPLE,
    baseline="f2-max-d16",
)

DEADLINE = 120  # seconds: only a hang takes so long


def one_trial(training: Training = QUICK, data: DataSettings = SAMPLE) -> Sweep:
    """A sweep of a single small network."""
    return Sweep(
        name="one",
        variant=Variant(filters=2, dense_units=16),
        training=training,
        data=data,
    )


def begin(sweep: Sweep, home: Home, cache: Path, *, force: bool = True) -> SweepRun:
    """The sweep's parent run, begun as `run_sweep` and the flow do, for one trainer."""
    card = prepare_data(sweep.data, cache)
    return steps.begin(decide(sweep, card, home, crew_for(sweep, 1), force=force), tags={})


def run_trials(
    sweep_run: SweepRun, pool: TrainerPool, trials: tuple[Trial, ...] | None = None
) -> list[TrialResult]:
    """Trials of a sweep on trainers that are there already."""
    chosen = sweep_run.decision.sweep.trials() if trials is None else trials
    return [run_trial(sweep_run, trial, pool, {}) for trial in chosen]


class Untrained:
    """Stands where a pool of trainers does. Its jobs fail at once."""

    started: ClassVar[list[Untrained]] = []

    def __init__(self, count: int, threads: int, log_folder: Path, launcher: None = None) -> None:
        self.count, self.now, self.threads = count, count, threads
        self.jobs: list[str] = []
        self.stopped = ""
        self.started.append(self)

    def run(self, job: Job) -> Reply:
        self.jobs.append(job.trial.name)
        return Reply("FAILED", "not trained in this test")

    def close(self, why: str = "") -> None:
        pass


# What a decision holds, by the module and the function that compute it.
COMPUTED = [
    "cnn_pipeline.experiment.data_card prepare_data",
    "cnn_pipeline.experiment.content_key content_key",
    "cnn_pipeline.network.plan plan_layers",
    "cnn_pipeline.trainers.pool workers_for",
    "cnn_pipeline.trainers.pool threads_for",
]
# The start of a script that counts how often they are called in its process. They must be its
# first argument, as JSON; it is taken away.
COUNTING = """
import importlib, json, sys
counts = {}
def count(place):
    module, name = place.split()
    module = importlib.import_module(module)
    counted = getattr(module, name)
    def counting(*args, **kwargs):
        counts[place] += 1
        return counted(*args, **kwargs)
    counts[place] = 0
    setattr(module, name, counting)
for place in json.loads(sys.argv.pop(1)):
    count(place)
"""


def counts_of_a_decision(trials: int) -> dict[str, int]:
    """What `COUNTING` counts where each thing is computed once: keys and plans once per trial."""
    each = ("content_key", "plan_layers")
    return {place: trials if place.endswith(each) else 1 for place in COMPUTED}


def wait_until(condition: Callable[[], bool], what: str, seconds: float = DEADLINE) -> None:
    """Return as soon as `condition` holds; fail at the deadline."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, f"waited {seconds} s for: {what}"
        time.sleep(0.05)


def processes() -> dict[int, tuple[int, str]]:
    """Parent and command line of every process that is no zombie, by id."""
    return {
        process.pid: (process.info["ppid"], " ".join(process.info["cmdline"] or ()))
        for process in psutil.process_iter(["ppid", "cmdline", "status"])
        if process.info["status"] != psutil.STATUS_ZOMBIE
    }


def descendants(root: int) -> dict[int, str]:
    """Command lines of all processes below `root`, by id."""
    everyone = processes()
    below = psutil.Process(root).children(recursive=True) if root in everyone else []
    return {process.pid: everyone[process.pid][1] for process in below if process.pid in everyone}


def trainers_below(root: int) -> set[int]:
    """Ids of the trainer processes below `root`, forked or started on their own."""
    family = descendants(root)
    servers = {pid for pid, words in family.items() if "cnn_pipeline.trainers.fork_server" in words}
    forked = {pid for pid, (parent, _) in processes().items() if parent in servers}
    return forked | {pid for pid in family if "cnn_pipeline.trainers.trainer" in family[pid]}


def gone(pids: set[int] | dict[int, str]) -> bool:
    """Whether none of these processes runs any more."""
    return not set(pids) & set(processes())


def stop(process: subprocess.Popen[str]) -> None:
    """End a process that was started with `start_new_session`, and all that it has started."""
    family = [process.pid, *descendants(process.pid)]
    process.send_signal(signal.SIGINT)
    with suppress(subprocess.TimeoutExpired):
        process.communicate(timeout=30)
    for pid in family:
        if not gone({pid}):
            os.kill(pid, signal.SIGKILL)
    process.wait()


def files_below(folder: Path) -> Iterator[tuple[Path, bytes]]:
    """Every file with its content, where servers may be writing and deleting meanwhile."""
    for root, _, names in os.walk(folder):
        for name in names:
            path = Path(root, name)
            with suppress(FileNotFoundError):
                if path.is_file():
                    yield path, path.read_bytes()
