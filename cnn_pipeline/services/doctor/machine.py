"""Checks of installed versions, disk space and data."""

from __future__ import annotations

import importlib.metadata
import shutil
from pathlib import Path

from packaging.requirements import Requirement

from cnn_pipeline.base import versions as provenance
from cnn_pipeline.base.home import Home
from cnn_pipeline.data.catalog import FASHION_MNIST
from cnn_pipeline.data.fetching.payload import is_verified
from cnn_pipeline.services.doctor.finding import Finding, fail, ok, warn

_GIB = 1024**3
# A weekly retraining writes about 20 MB of models, plots and predictions.
_LITTLE_SPACE = 2 * _GIB
_NO_SPACE = _GIB // 4


def check_versions() -> list[Finding]:
    """Check the installed packages against the project's version bounds."""
    faults = []
    for text in importlib.metadata.requires("cnn-pipeline") or ():
        need = Requirement(text)
        if need.marker is not None and not need.marker.evaluate({"extra": ""}):
            continue
        try:
            found = importlib.metadata.version(need.name)
        except importlib.metadata.PackageNotFoundError:
            faults.append(
                f"{need.name} must be installed ({need.specifier or 'any version'}), and is not"
            )
            continue
        if not need.specifier.contains(found, prereleases=True):
            faults.append(f"{need.name} must be {need.specifier}, received {found}")
    if faults:
        remedy = "install the locked versions: make install"
        return [fail("versions", fault, remedy) for fault in faults]
    shown = ("python", "tensorflow", "keras", "mlflow", "prefect")
    versions = provenance.versions()
    return [ok("versions", ", ".join(f"{name} {versions[name]}" for name in shown))]


def check_disk(home: Home, cache: Path) -> Finding:
    """Check the free space for runs, models and data."""
    folders = (_nearest(home.root), _nearest(cache))
    folder, free = min(
        ((folder, shutil.disk_usage(folder).free) for folder in folders), key=lambda item: item[1]
    )
    message = f"{free / _GIB:.1f} GiB free at {folder}"
    remedy = (
        "delete runs in MLflow's UI, then free their space with `mlflow gc` "
        "(docs/operations.md), or move the home folder to a larger disk"
    )
    if free < _NO_SPACE:
        return fail("disk", message, remedy)
    return warn("disk", message, remedy) if free < _LITTLE_SPACE else ok("disk", message)


def check_data(cache: Path) -> Finding:
    """Check whether Fashion-MNIST is in the cache and verified."""
    folder = cache / FASHION_MNIST.name
    there = [file for file in FASHION_MNIST.files if (folder / file.name).exists()]
    damaged = [file.name for file in there if not is_verified(folder / file.name, file)]
    if damaged:
        return warn(
            "data",
            f"{', '.join(damaged)} in {folder} is damaged",
            "nothing: the next run downloads it again, or run `cnn-pipeline data` now",
        )
    if len(there) < len(FASHION_MNIST.files):
        return warn(
            "data",
            f"{FASHION_MNIST.name} is not in {folder} yet",
            "nothing: the first run downloads it, or run `cnn-pipeline data` now",
        )
    return ok("data", f"{FASHION_MNIST.name} is verified in {folder}")


def _nearest(folder: Path) -> Path:
    """The folder, or its closest existing parent."""
    return next(path for path in (folder, *folder.parents) if path.is_dir())
