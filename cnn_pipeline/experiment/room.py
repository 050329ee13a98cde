"""Whether the disks have room for what a sweep will write."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from cnn_pipeline.base.home import TRACKING_VARIABLE, Home
from cnn_pipeline.base.quantities import counted
from cnn_pipeline.base.space import Need, require_room
from cnn_pipeline.network.plan import Plan
from cnn_pipeline.settings.trial import Trial

_WEIGHT = 4
"""Bytes of a parameter."""
# A checkpoint has the weights, two moments of Adam and a moving average. Two are kept while the
# next one is written.
_CHECKPOINT = 3 * 4 * _WEIGHT
# MLflow writes a model to the temporary folder first, and it is read back there.
_SCRATCH = 2 * _WEIGHT
_TRIAL = 3_000_000
"""Bytes of a trial besides weights and predictions: pictures, tables, rows in the database."""
_ANSWER = 8
"""Bytes of a test image's label, and of one of its probabilities."""
_SWEEP = 64_000_000
"""Bytes of a sweep: report, logs, Prefect's database, journals of SQLite."""


def check_room(
    trials: Sequence[Trial],
    plans: Mapping[str, Plan],
    num_test: int,
    workers: int,
    home: Home,
    environ: Mapping[str, str] = os.environ,
) -> None:
    """Check that there is room to train `trials`, as many at a time as there are `workers`.

    Raises:
        NoRoom: there is not.
    """
    each = [plans[trial.label].num_params for trial in trials]
    at_once = sum(sorted(each)[-workers:])
    answers = sum(num_test * (plans[trial.label].classes + 1) * _ANSWER for trial in trials)
    needs = [
        Need(home.mlruns, _SWEEP, "reports and logs"),
        Need(home.state / "checkpoints", at_once * _CHECKPOINT, "checkpoints"),
        Need(Path(tempfile.gettempdir()), at_once * _SCRATCH, "temporary files"),
    ]
    if not environ.get(TRACKING_VARIABLE, "").strip():  # of another store nothing is known
        runs = sum(each) * _WEIGHT + answers + len(trials) * _TRIAL
        needs.append(Need(home.artifacts, runs, f"{counted(len(trials), 'run')} with models"))
    require_room(
        needs,
        "Make room, or give another folder with --home DIR (temporary files: TMPDIR), and run the "
        "same command again.",
    )
