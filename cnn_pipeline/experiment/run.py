"""A whole sweep without Prefect."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable, Generator, Sequence
from concurrent.futures import ThreadPoolExecutor

from cnn_pipeline.base.home import Home, cache_dir
from cnn_pipeline.experiment import steps
from cnn_pipeline.experiment.decide import deciding
from cnn_pipeline.experiment.outcome import Outcome
from cnn_pipeline.experiment.preflight import check_sweep
from cnn_pipeline.experiment.run_rounds import run_rounds
from cnn_pipeline.experiment.sweep_run import SweepRun
from cnn_pipeline.experiment.trials import reuse_trial, run_trial
from cnn_pipeline.network.results import TrialResult
from cnn_pipeline.settings.engine import LOCAL, Engine
from cnn_pipeline.settings.resuming import Resuming
from cnn_pipeline.settings.sweep import Sweep
from cnn_pipeline.settings.trial import Trial
from cnn_pipeline.trainers.protocol import Gate, Trainers


def run_sweep(
    sweep: Sweep,
    home: Home,
    *,
    workers: int = 0,
    force: bool = False,
    resuming: Resuming = Resuming(),  # noqa: B008 - frozen
    engine: Engine = LOCAL,
    search: str = "",
) -> Outcome:
    """Run a whole sweep without Prefect: fetch, train, evaluate, compare.

    Trials that were trained before with the same data, settings, code and libraries are verified
    and reused. If all of an earlier sweep can be, its outcome is returned and nothing is written.
    If an identical sweep was stopped, it goes on.

    With seeds 'auto', rounds are added until the sweep is decided. Ctrl-C then concludes with the
    rounds that are complete, if there are any; a second one stops.

    Args:
        sweep: the variants, seeds, training settings and data.
        home: folder that holds all state.
        workers: trainers at a time; 0 is one per core, at most one per trial.
        force: retrain even if identical runs exist.
        resuming: how what was stopped goes on.
        engine: where trainers run.
        search: id of the search that chose the variants; empty if none did.

    Raises:
        InvalidInput: the sweep does not fit the data or the cluster; nothing was written.
        DataError: the data are not available.
    """
    checked = check_sweep(sweep, cache_dir(os.environ))  # before trainers start and write logs
    with deciding(
        checked.sweep,
        home,
        workers=workers,
        force=force,
        checked=checked,
        resuming=resuming,
        engine=engine,
        search=search,
    ) as decide:
        decision = decide()
        if decision.unchanged is not None:
            return decision.unchanged
        with steps.running(decision, tags={}) as sweep_run:
            with steps.late_pool(decision) as pool:
                train = functools.partial(train_trials, pool)
                run_rounds(sweep_run, reuse_trial, train, conclude=True)
            return steps.finish(sweep_run)


def train_trials(
    pool_of: Callable[[], Trainers], sweep_run: SweepRun, trials: Sequence[Trial]
) -> Generator[TrialResult]:
    """Train as many trials at a time as there are trainers."""
    pool = pool_of()
    gate = Gate(pool)
    with ThreadPoolExecutor(pool.count, initializer=gate.enter) as executor:
        futures = [executor.submit(run_trial, sweep_run, trial, pool) for trial in trials]
        try:
            for future in futures:
                yield future.result()
        except BaseException:
            executor.shutdown(wait=False, cancel_futures=True)
            pool.close()
            raise
        finally:
            gate.open()
