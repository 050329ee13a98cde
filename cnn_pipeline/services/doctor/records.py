"""Checks of what finished trials have left: their artifacts, predictions and models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cnn_pipeline.base.quantities import counted
from cnn_pipeline.services.doctor.finding import Finding, fail, ok

if TYPE_CHECKING:
    from cnn_pipeline.tracking.store import Store

_NEWEST = 200
_SHOWN = 5
_REMEDY = (
    "restore the artifacts from a backup; or delete the run in MLflow's UI, and the same sweep "
    "trains it again"
)


def check_records(store: Store) -> list[Finding]:
    """Verify the newest finished trials: every file, and the SHA-256 of predictions and model."""
    from cnn_pipeline.tracking.reader import Reader
    from cnn_pipeline.tracking.verify import faults

    reader = Reader(store)
    results = reader.finished_trials(_NEWEST)
    damaged = [
        f"{result.name} ({result.run_id}): {fault}"
        for result in results
        for fault in faults(reader, result)
    ]
    if not damaged:
        newest = "the newest " if len(results) == _NEWEST else ""
        return [ok("records", f"{newest}{counted(len(results), 'finished trial')} verified")]
    found = [fail("records", fault, _REMEDY) for fault in damaged[:_SHOWN]]
    more = len(damaged) - len(found)
    return [*found, fail("records", f"{more} more", _REMEDY)] if more else found
