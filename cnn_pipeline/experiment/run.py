"""A whole sweep without Prefect."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor

from cnn_pipeline.base.home import Home, cache_dir
from cnn_pipeline.experiment import steps
from cnn_pipeline.experiment.decide import deciding
from cnn_pipeline.experiment.outcome import Outcome
from cnn_pipeline.experiment.preflight import check_sweep
from cnn_pipeline.experiment.sweep_run import SweepRun
from cnn_pipeline.settings.sweep import Sweep


def run_sweep(sweep: Sweep, home: Home, *, workers: int = 0, force: bool = False) -> Outcome:
    """Run a whole sweep without Prefect: fetch, train, evaluate, compare.

    Trials that were trained before with the same data, settings, code and libraries are verified
    and reused. If all of an earlier sweep can be, its outcome is returned and nothing is written.

    Args:
        sweep: the variants, seeds, training settings and data.
        home: folder that holds all state.
        workers: trainers at a time; 0 is one per core, at most one per trial.
        force: retrain even if identical runs exist.

    Raises:
        InvalidInput: the sweep does not fit the data; nothing was written.
        DataError: the data are not available.
    """
    checked = check_sweep(sweep, cache_dir(os.environ))  # before trainers start and write logs
    with deciding(sweep, home, workers=workers, force=force, checked=checked) as decide:
        decision = decide()
        if decision.unchanged is not None:
            return decision.unchanged
        with steps.ending(steps.begin(decision, tags={})) as sweep_run:
            steps.announce(sweep_run)
            for trial in decision.reused:
                steps.reuse_trial(sweep_run, trial, tags={})
            if decision.remaining:
                _train(sweep_run)
            return steps.finish(sweep_run)


def _train(sweep_run: SweepRun) -> None:
    """Train the remaining trials, as many at a time as there are trainers."""
    with steps.trainer_pool(sweep_run.decision) as pool, ThreadPoolExecutor(pool.count) as executor:
        futures = [
            executor.submit(steps.run_trial, sweep_run, trial, pool, {})
            for trial in sweep_run.decision.remaining
        ]
        try:
            for future in futures:
                future.result()
        except BaseException:
            executor.shutdown(wait=False, cancel_futures=True)
            pool.close()
            raise
