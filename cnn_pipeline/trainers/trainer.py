"""The process that trains: reads jobs from standard input, one at a time.

It is forked by `fork_server` or started as `python -m cnn_pipeline.trainers.trainer THREADS`. A
trial that crashes or runs out of memory ends only this process; the sweep starts another. What was
trained is not lost: the next process with the same job goes on from its checkpoint. When
standard input closes, the sweep is gone: this process ends its runs as KILLED and exits.
"""

from __future__ import annotations

import os
import queue
import signal
import sys
import threading
import time
import traceback
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from cnn_pipeline.base import events
from cnn_pipeline.base.machine import processor_name
from cnn_pipeline.base.redaction import redacted
from cnn_pipeline.base.startup import lean_imports, never_collected
from cnn_pipeline.tracking import names
from cnn_pipeline.trainers.messages import JOBS, TRAINER_MESSAGES, AnyJob, Job, Reply, ScoreJob

if TYPE_CHECKING:
    from cnn_pipeline.data.dataset import Dataset
    from cnn_pipeline.network.checkpoint import Checkpoints
    from cnn_pipeline.network.device import Device

ORPHANED = "the sweep's process is gone"
COMPILING = "compiling the convolutions for this processor: 10 to 30 s the first time"


def main() -> None:
    """Run as a process of its own, without a fork server."""
    ignore_signals()
    serve(threads=int(sys.argv[1]))


def ignore_signals() -> None:
    """Ignore Ctrl-C, a closed terminal and a service's stop, which signal the whole process group.

    The sweep ends its trainers: it kills them, or it dies and their pipes close.
    """
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)


def preload(told: Callable[[str], None]) -> None:
    """Import and load all that a trial needs, including what MLflow imports on its first write.

    `told` is called with the reason if this takes more than a few seconds.
    """
    with never_collected():  # the garbage collector took 0.3 s of each trial
        from cnn_pipeline.tracking.undocumented import preload_store

        preload_store()
        with lean_imports():
            import cnn_pipeline.trainers.trial  # noqa: F401
        from cnn_pipeline.base.machine import backend_name

        if backend_name() == "tensorflow":
            from cnn_pipeline.network.compiled import operations

            operations.load(lambda: told(COMPILING))


def serve(threads: int) -> None:
    """Run jobs until standard input closes, then end the process."""
    out = _claim_stdout()
    jobs: queue.Queue[AnyJob] = queue.Queue()
    threading.Thread(target=_read_jobs, args=(jobs,), daemon=True).start()

    from cnn_pipeline.network.device import configure

    with lean_imports():  # a trainer that was not forked imports TensorFlow here
        device = configure(threads)
    with events.listening(lambda event: _send(out, event)):
        preload(lambda text: events.emit(events.Delay(text)))
        loaded: dict[tuple[object, str], Dataset] = {}
        while True:
            job = jobs.get()
            reply = (
                _score(job, loaded) if isinstance(job, ScoreJob) else _serve(job, device, loaded)
            )
            _send(out, reply)


def _serve(job: Job, device: Device, loaded: dict[tuple[object, str], Dataset]) -> Reply:
    from cnn_pipeline.network.train import Diverged
    from cnn_pipeline.tracking.store import Store, set_client_defaults
    from cnn_pipeline.tracking.writer import Tracker
    from cnn_pipeline.trainers.trial import run_trial

    set_client_defaults()
    tracker = Tracker(Store(job.store_uri, job.artifacts_uri))
    try:
        if job.node:
            tracker.tag(job.run_id, {names.NODE: job.node})
        started = time.perf_counter()
        dataset = _dataset(job, loaded)
        seconds = time.perf_counter() - started
        with _checkpoints(job) as checkpoints:
            metrics = run_trial(
                job.trial,
                job.data,
                dataset,
                device,
                tracker,
                job.run_id,
                data_seconds=seconds,
                checkpoints=checkpoints,
                checkpoint_seconds=job.checkpoint_seconds,
            )
    except Exception as error:
        details = redacted(traceback.format_exc())
        with suppress(OSError):  # a full disk
            sys.stderr.write(details)
            sys.stderr.flush()
        if why := _why_kept(error, job):
            return Reply("KILLED", redacted(why), stops_sweep=True)
        if isinstance(error, Diverged):
            tracker.tag(job.run_id, {names.DIVERGED: "true"})
        tracker.log_files(job.run_id, {names.ERROR_FILE: details})
        reason = redacted(f"{type(error).__name__}: {error}".strip().splitlines()[0])
        return Reply("FAILED", reason)
    return Reply("FINISHED", metrics=metrics)


def _why_kept(error: Exception, job: Job) -> str:
    """Why no trial can go on, and where this one is kept; empty for an error of its own."""
    from cnn_pipeline.base.space import full_disk
    from cnn_pipeline.tracking.patience import StoreAway

    said = str(error) if isinstance(error, StoreAway) else str(full_disk(error) or "")
    kept = job.checkpoints and any(_folder(job).glob("ckpt-*"))
    place = job.place or job.checkpoints
    where = f" The training of {job.trial.name} is kept in {place}." if kept else ""
    return said and said + where


def _checkpoints(job: Job) -> AbstractContextManager[Checkpoints | None]:
    """The job's checkpoints, for this process alone until the block ends; None if it has none."""
    from cnn_pipeline.network.checkpoint import hold

    if not job.checkpoints:
        return nullcontext()
    folder, name = _folder(job), job.trial.name
    identity = {"content key": folder.name, "processor": processor_name()}
    return hold(folder, identity, lambda text: events.emit(events.TrialNote(name, text)), job.place)


def _folder(job: Job) -> Path:
    """Folder of the job's checkpoints on this machine."""
    folder = Path(job.checkpoints)
    # The home's folder may be on another machine. The cache is on this one.
    return Path(job.cache) / "checkpoints" / folder.name if job.place else folder


def _score(job: ScoreJob, loaded: dict[tuple[object, str], Dataset]) -> Reply:
    from cnn_pipeline.base.errors import UserError
    from cnn_pipeline.trainers.scoring import score_model

    try:
        dataset = _dataset(job, loaded)
        events.emit(events.Stage(f"scoring {job.name}"))
        metrics = score_model(job, dataset)
    except Exception as error:
        sys.stderr.write(redacted(traceback.format_exc()))
        # A `UserError` says what to do, so its type adds nothing.
        kind = "" if isinstance(error, UserError) else f"{type(error).__name__}: "
        return Reply("FAILED", redacted(f"{kind}{error}".strip().splitlines()[0]))
    return Reply("FINISHED", metrics=metrics)


def _dataset(job: AnyJob, loaded: dict[tuple[object, str], Dataset]) -> Dataset:
    from cnn_pipeline.base.errors import DataError
    from cnn_pipeline.data.dataset import load_dataset

    key = (job.data, job.cache)
    if key not in loaded:
        loaded.clear()
        loaded[key] = load_dataset(job.data, Path(job.cache))
    if loaded[key].digest != job.data_digest:
        raise DataError(
            f"the data changed while the sweep ran: its digest must be {job.data_digest}, "
            f"received {loaded[key].digest}. Start the sweep again."
        )
    return loaded[key]


def _claim_stdout() -> BinaryIO:
    """Keep the pipe for messages. Anything else printed to standard output goes to the log."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return out


def _send(out: BinaryIO, message: Any) -> None:
    line = TRAINER_MESSAGES.write(message)
    try:
        out.write(line)
        out.flush()
    except BrokenPipeError:
        # The sweep is gone: the thread that reads standard input ends this process.
        time.sleep(60)


def _read_jobs(jobs: queue.Queue[AnyJob]) -> None:
    """Queue jobs until standard input closes or has an invalid line, then end the process.

    Runs from the start, because the sweep may die while TensorFlow is being imported.
    """
    status = 1
    # Not sys.stdin: Python closes it at exit, and aborts if a thread is reading from it then.
    stdin = open(0, "rb", closefd=False)  # noqa: SIM115
    try:
        given: list[Job] = []
        for line in stdin:
            job = JOBS.read(line)
            if isinstance(job, Job):
                given.append(job)
            jobs.put(job)
        status = _end_orphans(given)
    except BaseException:
        sys.stderr.write(redacted(traceback.format_exc()))
        sys.stderr.flush()
    finally:
        os._exit(status)


def _end_orphans(given: Sequence[Job]) -> int:
    """End the runs of these jobs and their sweep that still run. Returns 1 if one fails, else 0.

    Finished jobs count too: the sweep may have died before it read the reply.
    """
    from mlflow.tracking import MlflowClient

    from cnn_pipeline.tracking.reaper import settle
    from cnn_pipeline.tracking.store import set_client_defaults

    set_client_defaults()
    status = 0
    jobs = {job.run_id: job for job in given} | {job.parent_run_id: job for job in given}
    for run_id, job in jobs.items():
        try:
            client = MlflowClient(job.store_uri)
            run = client.get_run(run_id)
            # Another process may go on with it already.
            if not job.process or run.data.tags.get(names.PROCESS) == job.process:
                settle(client, run, ORPHANED)
        except Exception:  # each kind of store has its own
            sys.stderr.write(redacted(traceback.format_exc()))
            sys.stderr.flush()
            status = 1
    return status


if __name__ == "__main__":
    main()
