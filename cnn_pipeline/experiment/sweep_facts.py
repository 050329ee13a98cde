"""What a stored sweep was run on: its data, code, libraries and machine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from cnn_pipeline.network.results import TrialResult
from cnn_pipeline.settings.spelling import spell
from cnn_pipeline.tracking import names

if TYPE_CHECKING:
    from cnn_pipeline.tracking.reader import Reader, SweepRecord

_SHORT = 12  # characters of a digest or a commit


def sweep_facts(
    reader: Reader, record: SweepRecord, results: Sequence[TrialResult]
) -> tuple[dict[str, str], dict[str, str]]:
    """Facts about the data, and about code, libraries and machine, by name.

    Libraries and machine are those of the first finished trial.
    """
    tags = reader.tags(record.run_id)
    settings = record.sweep.data.model_dump(exclude={"source"})
    data = {
        "set": record.dataset,
        "digest": tags.get(names.DATA_DIGEST, ""),
        "validation images": f"{record.num_validation:,}",
        "test images": f"{record.num_test:,}",
        **{name.replace("_", " "): spell(value) for name, value in settings.items()},
    }
    commit = tags.get(names.GIT_COMMIT, "")[:_SHORT]
    if commit and tags.get(names.GIT_DIRTY) == "true":
        commit += " with uncommitted changes"
    code = {"code digest": tags.get(names.CODE_DIGEST, "")[:_SHORT], "git commit": commit}
    finished = next((result for result in results if result.finished), None)
    if finished is not None:
        own = reader.tags(finished.run_id)
        code |= {
            key.removeprefix(names.VERSION_PREFIX): value
            for key, value in sorted(own.items())
            if key.startswith(names.VERSION_PREFIX)
        }
        code["device"] = own.get(names.DEVICE, "")
        code["precision used"] = str(finished.params.get(names.PRECISION, ""))
    return data, {name: value for name, value in code.items() if value}
