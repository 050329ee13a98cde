"""Checks of installed versions, the GPU, disk space and data."""

from __future__ import annotations

import importlib.metadata
import shutil
from collections.abc import Callable
from pathlib import Path

from packaging.requirements import Requirement

from cnn_pipeline.base import versions as provenance
from cnn_pipeline.base.home import Home
from cnn_pipeline.base.machine import backend_name, has_gpu
from cnn_pipeline.base.quantities import counted
from cnn_pipeline.base.shell import MLFLOW, PREFECT, drop_foreign
from cnn_pipeline.base.startup import import_keras_quietly
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


def check_shell() -> list[Finding]:
    """Name the variables of the user's shell that were dropped; nothing without one."""
    dropped = (*drop_foreign(MLFLOW), *drop_foreign(PREFECT))
    names = [name for name in dropped if not name.startswith("_")]  # MLflow's own marks
    if not names:
        return []
    ignored = f"{', '.join(names)} {'is' if len(names) == 1 else 'are'} set, and ignored here"
    return [ok("shell", f"{ignored} (docs/reference/environment.md)")]


def check_gpu(gpus: Callable[[], int] | None = None) -> list[Finding]:
    """Check that Keras' backend uses the GPU that the driver shows; nothing without one.

    `gpus` counts those that it can use; by default it is asked, which takes seconds.
    """
    if not has_gpu():
        return []
    backend = backend_name()
    count = (gpus or _usable_gpus)()
    if count:
        return [ok("gpu", f"{backend} uses {counted(count, 'GPU')}")]
    extra = "gpu" if backend == "tensorflow" else "jax"
    install = f'pip install --editable ".[{extra}]"' + (
        "" if backend == "tensorflow" else " and jax[cuda13]"
    )
    return [
        warn(
            "gpu",
            f"the NVIDIA driver shows a GPU, but {backend} does not use it: "
            "networks train on the processor",
            f"{install} (docs/how-to/gpu.md); or hide it: CUDA_VISIBLE_DEVICES=",
        )
    ]


def _usable_gpus() -> int:
    import_keras_quietly()
    if backend_name() == "jax":
        import jax

        return sum(device.platform != "cpu" for device in jax.devices())
    import tensorflow as tf

    return len(tf.config.list_physical_devices("GPU"))


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
