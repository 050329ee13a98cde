"""Where trainers run. No number depends on it, so no hash of settings includes it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from cnn_pipeline.base.redaction import redacted
from cnn_pipeline.settings.faults import Fault, find_faults, split_fields
from cnn_pipeline.settings.trial import Settings


def _check_address(text: str) -> str:
    if text != "auto" and not re.fullmatch(r"[A-Za-z0-9._-]{1,255}:[0-9]{1,5}", text):
        raise ValueError(f"must be auto or HOST:PORT, received {text!r}")
    return text


# A bucket's name and prefix have no '@', ':' or '?', so that no key can be in them.
_BUCKET = re.compile(r"(s3|gs)://[a-z0-9][a-z0-9._-]{1,61}[a-z0-9](/[\w!.*'()/=+-]*)?", re.ASCII)


def _check_place(text: str) -> str:
    if not (_BUCKET.fullmatch(text) or (Path(text).is_absolute() and "\0" not in text)):
        raise ValueError(
            "must be the absolute path of a folder, s3://BUCKET/PREFIX or gs://BUCKET/PREFIX, "
            f"without keys, received {redacted(text.partition('?')[0])!r}"
        )
    return text.rstrip("/") or "/"


class Engine(Settings):
    """Where trainers run: on this machine, or as actors on a Ray cluster.

    Its keys stand beside those of a sweep or a retraining, whose hashes leave them out.
    """

    engine: Literal["local", "ray"] = "local"
    """'local' is this machine. 'ray' is a Ray cluster that this machine is a node of."""
    ray_address: Annotated[str, AfterValidator(_check_address)] = "auto"
    """HOST:PORT of the cluster's head; 'auto' is the cluster that runs on this machine."""
    gpu_share: Annotated[float, Field(ge=0.0, le=1.0)] = 0.0
    """Share of a GPU for each trainer on Ray; 0: a third if this machine has a GPU, else none."""
    retries: Annotated[int, Field(ge=0, le=100)] = 2
    """How often a trial is started again after its node on Ray was lost."""
    checkpoints: Annotated[str, AfterValidator(_check_place)] | None = None
    """Folder or bucket that all nodes of the cluster share; None: the home folder is shared."""

    @model_validator(mode="after")
    def _check(self) -> Self:
        given = sorted(self.model_fields_set - {"engine"})
        # An engine that is not valid is left out, and is a fault of its own.
        if given and self.engine == "local" and "engine" in self.model_fields_set:
            raise ValueError(f"must be ray for {', '.join(given)}, received local")
        return self


LOCAL = Engine()
"""This machine."""


def split_engine(
    document: Mapping[str, Any],
) -> tuple[Engine, dict[str, Any], tuple[Fault, ...]]:
    """Where trainers run, as the keys of a document say; its other keys; and what is wrong."""
    own, rest = split_fields(Engine, document)
    if not own:
        return LOCAL, rest, ()
    found, faults = find_faults(Engine, {"engine": "local", **own})
    faults = tuple(Fault(fault.path or ("engine",), fault.message) for fault in faults)
    return found or LOCAL, rest, faults
