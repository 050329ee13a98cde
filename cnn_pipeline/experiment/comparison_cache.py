"""A sweep's comparison as text, the last one kept for as long as nothing it rests on has changed.

MLflow takes seconds to import before it answers anything. So the texts of the last comparison lie
beside the store, under the digest of its database, of this package's source and of the libraries'
versions, and with the digest of each artifact that was read. Where one byte differs, or the store
is another one than the home's own, the comparison is made anew from the runs.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
import os
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

from cnn_pipeline.base import versions as provenance
from cnn_pipeline.base.file_cache import keep_file, kept_content
from cnn_pipeline.base.home import TRACKING_VARIABLE, Home

FORMS = ("table", "csv", "json", "markdown")

_NAME = "comparison"
_ON_DISK = "file://"


def comparison_text(form: str, sweep_id: str | None, home: Home) -> str:
    """The comparison of a sweep, the latest by default, in one of the `FORMS`.

    Raises:
        UserError: there is no such sweep.
    """
    state = _state(home)
    return (_kept(state, sweep_id, home) or _made(state, sweep_id, home))[form]


def keep_latest(home: Home) -> None:
    """Have the latest sweep's comparison at hand for who asks next: while MLflow is imported.

    It only spares time, so nothing that fails here is an error: who asks will hear of it.
    """
    with contextlib.suppress(Exception):
        state = _state(home)
        if state and not _kept(state, None, home):
            _made(state, None, home)


def _state(home: Home) -> str:
    """SHA-256 (hex) of all but artifacts that a comparison follows from; '' where unknown."""
    if os.environ.get(TRACKING_VARIABLE, "").strip():
        return ""
    try:
        database = home.database.resolve()
        # Looked for first: what begins to be written later can only make the digest a new one.
        for end in ("-journal", "-wal"):
            if database.with_name(database.name + end).exists():
                return ""
        with database.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError:
        return ""
    # Not among the recorded versions: what reads the predictions.
    versions = provenance.versions() | {"pyarrow": importlib.metadata.version("pyarrow")}
    content = [digest, provenance.code_digest(), versions]
    return hashlib.sha256(json.dumps(content).encode()).hexdigest()


def _kept(state: str, sweep_id: str | None, home: Home) -> dict[str, str] | None:
    content = kept_content(home.state, _NAME, state) if state else None
    if content is None:
        return None
    kept: dict[str, Any] = json.loads(content)
    if not (kept["latest"] if sweep_id is None else kept["sweep_id"] == sweep_id):
        return None
    if any(_digest(url) != digest for url, digest in kept["artifacts"].items()):
        return None
    return dict(kept["texts"])


def _made(state: str, sweep_id: str | None, home: Home) -> dict[str, str]:
    from cnn_pipeline.comparison import render
    from cnn_pipeline.experiment.stored import read_comparison

    comparison, artifacts = read_comparison(sweep_id, home)
    texts = {
        "table": render.to_text(comparison),
        "csv": render.to_csv(comparison),
        "json": render.to_json(comparison),
        "markdown": render.to_markdown(comparison),
    }
    checkable = artifacts and all(url.startswith(_ON_DISK) for url in artifacts)
    if state and checkable and state == _state(home):  # nobody wrote while it was read
        content = {
            "sweep_id": comparison.sweep.sweep_id,
            "latest": sweep_id is None,
            "texts": texts,
            "artifacts": artifacts,
        }
        text = json.dumps(content)
        keep_file(home.state, _NAME, state, lambda path: path.write_text(text, encoding="utf-8"))
    return texts


def _digest(url: str) -> str | None:
    """SHA-256 (hex) of an artifact on a disk; None where it cannot be read."""
    try:
        return hashlib.sha256(Path(unquote(urlsplit(url).path)).read_bytes()).hexdigest()
    except OSError:
        return None
