"""Environment variables of a trainer: fixed, removed, or part of the content key.

Every variable that can change a number is one of the three. Fixed and removed ones make trainers
independent of the user's shell. The others may be set on purpose (a processor's instruction set, a
flag of XLA), so they are part of the content key.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from cnn_pipeline.base.machine import backend_name, has_gpu
from cnn_pipeline.base.startup import KERAS_ENVIRONMENT

_DEFAULTS = {"TF_CPP_MIN_LOG_LEVEL": "2"}  # keep TensorFlow's start-up notes out of the log
FIXED = {
    **KERAS_ENVIRONMENT,
    # A convolution computes its products on its own threads (`network.device`), so OpenBLAS needs
    # none. Its threads spin while they wait, and a fork does not copy them.
    "OPENBLAS_NUM_THREADS": "1",
    # By default glibc returns freed large arrays to the system, so each step gets new zeroed pages:
    # a quarter of the step's time with two threads. The first value is glibc's maximum.
    "MALLOC_MMAP_THRESHOLD_": str(32 * 2**20),
    "MALLOC_TRIM_THRESHOLD_": str(4 * 2**30),
}
# Thread counts come from the settings. Numba's cache on disk ignores Numba's options, so one run
# with NUMBA_OPT=0 would change later runs.
REMOVED = (
    "GOTO_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_",
    "OMP_NUM_THREADS",
    "TF_NUM_INTEROP_THREADS",
    "TF_NUM_INTRAOP_THREADS",
)
_KEPT = ("NUMBA_CACHE_DIR", "NUMBA_CACHE_LOCATOR_CLASSES")
# Prefixes of variables that can change a number, so that a library's new options are in the key
# too. The price: an option without effect also prevents reuse.
NUMERIC = {
    "": ("CUBLAS", "CUDNN_", "GLIBC_TUNABLES", "MKL_", "NPY_", "NVIDIA_TF32_", "OPENBLAS_",
         "XLA_FLAGS"),
    "tensorflow": ("DNNL_", "ONEDNN_", "TENSORFLOW_", "TF_", "ZENDNN_"),
    "jax": ("JAX_",),
}  # fmt: skip
GPU_CHOICE = ("CUDA_DEVICE_ORDER", "CUDA_VISIBLE_DEVICES")
_HARMLESS = ("ONEDNN_VERBOSE", "OPENBLAS_VERBOSE", "TF_CPP_", "TF_FORCE_GPU_ALLOW_GROWTH",
             "TF_GPU_ALLOCATOR")  # fmt: skip
# Numba also reads options from this file in the current folder.
NUMBA_FILE = ".numba_config.yaml"


def trainer_environment(environ: Mapping[str, str]) -> dict[str, str]:
    """Variables of a trainer's process, which inherits `environ`."""
    inherited = {
        name: value
        for name, value in environ.items()
        if name in _KEPT or not name.startswith(REMOVED)
    }
    return {**_DEFAULTS, **inherited, **FIXED}


def numeric_environment(environ: Mapping[str, str], folder: Path = Path()) -> dict[str, str]:
    """Inherited variables that can change a number, by name; empty unless the user set any.

    `folder` is the trainer's current folder.
    """
    prefixes = NUMERIC[""] + NUMERIC.get(backend_name(), ()) + (GPU_CHOICE if has_gpu() else ())
    found = {
        name: value
        for name, value in trainer_environment(environ).items()
        if name.startswith(prefixes) and not name.startswith(_HARMLESS) and name not in FIXED
    }
    file = folder / NUMBA_FILE
    return {**found, NUMBA_FILE: file.read_text(encoding="utf-8")} if file.exists() else found
