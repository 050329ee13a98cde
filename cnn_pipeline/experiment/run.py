"""A whole sweep without Prefect."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING

from cnn_pipeline.base.home import Home, cache_dir
from cnn_pipeline.experiment.preflight import check_fit, check_sweep
from cnn_pipeline.settings.sweep import Sweep

if TYPE_CHECKING:
    pass
from cnn_pipeline.experiment.data_card import prepare_data
from cnn_pipeline.experiment.steps import (
    announce,
    begin,
    ending,
    finish,
    ordered_trials,
    run_trial,
    trainer_pool,
)
from cnn_pipeline.experiment.sweep_run import Outcome


def run_sweep(sweep: Sweep, home: Home, *, workers: int = 0) -> Outcome:
    """Run a whole sweep without Prefect: fetch, train, evaluate, compare. It trains every trial.

    Raises:
        InvalidInput: the sweep does not fit the data; nothing has been written then.
        DataError: the data cannot be had.
    """
    cache = cache_dir(os.environ)
    check_sweep(sweep, cache)  # before trainers start, because they write logs
    with trainer_pool(sweep, home, workers) as pool:
        card = prepare_data(sweep.data, cache)
        plans = check_fit(sweep, card.shape)
        with ending(begin(sweep, card, home, tags={})) as sweep_run:
            announce(sweep_run, plans, pool.count)
            with ThreadPoolExecutor(pool.count) as executor:
                futures = [
                    executor.submit(run_trial, sweep_run, trial, pool, {})
                    for trial in ordered_trials(sweep_run)
                ]
                try:
                    for future in futures:
                        future.result()
                except BaseException:
                    executor.shutdown(wait=False, cancel_futures=True)
                    pool.close()
                    raise
            return finish(sweep_run)
