"""Find what killed processes have left behind: temporary files, and checkpoints nobody needs."""

from __future__ import annotations

import shlex
import time
from collections.abc import Iterator
from pathlib import Path

from cnn_pipeline.base.home import Home
from cnn_pipeline.base.quantities import counted
from cnn_pipeline.services.doctor.finding import Finding, ok, warn

# By where they are: `base.files`, `base.file_cache`, `data.fetching` and `tracking.store`.
_IN_STATE = ("**/.*.tmp", "checkpoints/*/*.tmp.*")
_IN_MLRUNS = (".new-store-*", ".*.tmp")
_IN_CACHE = ("made/.new-*", "*/.*.part", "*/.*.packed", "*/.scratch", "**/.*.tmp")
_OLD_SECONDS = 3600
_SHOWN = 5
_NEWEST = 1000


def check_leftovers(home: Home, cache: Path) -> Finding:
    """Name temporary files that nobody has written to for an hour, and needless checkpoints."""
    found = sorted(
        {
            path
            for folder, patterns in (
                (home.state, _IN_STATE),
                (home.mlruns, _IN_MLRUNS),
                (cache, _IN_CACHE),
            )
            for path in _old(folder, patterns)
        }
        | _needless_checkpoints(home)
    )
    if not found:
        return ok("leftovers", "none")
    shown = " ".join(shlex.quote(str(path)) for path in found[:_SHOWN])
    again = ", then run doctor again" if len(found) > _SHOWN else ""
    return warn(
        "leftovers",
        f"{counted(len(found), 'temporary file')} or checkpoints of processes that are gone",
        f"delete them: rm -r {shown}{again}",
    )


def _needless_checkpoints(home: Home) -> set[Path]:
    """Checkpoints of trials that are complete, which a kill right after that leaves."""
    from mlflow.exceptions import MlflowException

    from cnn_pipeline.base.errors import UserError
    from cnn_pipeline.tracking.intact import store_fault
    from cnn_pipeline.tracking.reader import Reader
    from cnn_pipeline.tracking.store import Store

    # Their folder has the content key of the trial as name.
    found = set(_old(home.state, ("checkpoints/*/ckpt-*",)))
    if not found or store_fault(home) or not home.database.exists():
        return set()
    reader = Reader(Store(home.database_uri, home.artifacts_uri))
    try:
        complete = {result.content_key for result in reader.finished_trials(_NEWEST)}
    except (MlflowException, UserError):
        return set()
    return {path for path in found if path.parent.name in complete}


def _old(folder: Path, patterns: tuple[str, ...]) -> Iterator[Path]:
    for pattern in patterns:
        for path in folder.glob(pattern):
            try:
                old = time.time() - path.lstat().st_mtime > _OLD_SECONDS
            except OSError:  # deleted since, or of another user
                continue
            if old:
                yield path
