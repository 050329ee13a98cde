"""Environment variables of a trainer: what is fixed, what is removed, what the content key holds.

Every variable that can move a number is in one of the three. The fixed and removed ones give each
trainer the same start whatever the user's shell has set. The others may be set for a reason (a
processor's instruction set, a flag of XLA's), so a trial trained with one has another content key.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from cnn_pipeline.base.machine import backend_name, has_gpu
from cnn_pipeline.base.startup import KERAS_ENVIRONMENT

_DEFAULTS = {"TF_CPP_MIN_LOG_LEVEL": "2"}  # TensorFlow's start-up notes are noise in a failure log
FIXED = {
    **KERAS_ENVIRONMENT,
    # A convolution computes its products on its own thread (`network.device`), so OpenBLAS needs
    # no threads. Its threads spin while they wait, and a fork does not copy them.
    "OPENBLAS_NUM_THREADS": "1",
    # By default glibc returns large arrays to the system when they are freed, and each step gets
    # new zeroed pages: a quarter of a step of two threads. The first value is glibc's maximum.
    "MALLOC_MMAP_THRESHOLD_": str(32 * 2**20),
    "MALLOC_TRIM_THRESHOLD_": str(4 * 2**30),
}
# Thread counts come from the settings, and compiled code is cached on disk without regard to
# Numba's options: one run with NUMBA_OPT=0 would change the runs after it.
REMOVED = (
    "GOTO_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_",
    "OMP_NUM_THREADS",
    "TF_NUM_INTEROP_THREADS",
    "TF_NUM_INTRAOP_THREADS",
)
_KEPT = ("NUMBA_CACHE_DIR", "NUMBA_CACHE_LOCATOR_CLASSES")
# First letters of variables that can move a number. A new option of a library is in the key before
# anybody has heard of it; the price is a needless training where it moves nothing.
NUMERIC = {
    "": ("CUBLAS", "CUDNN_", "GLIBC_TUNABLES", "MKL_", "NPY_", "NVIDIA_TF32_", "OPENBLAS_",
         "XLA_FLAGS"),
    "tensorflow": ("DNNL_", "ONEDNN_", "TENSORFLOW_", "TF_", "ZENDNN_"),
    "jax": ("JAX_",),
}  # fmt: skip
_GPU_CHOICE = ("CUDA_DEVICE_ORDER", "CUDA_VISIBLE_DEVICES")
_HARMLESS = ("ONEDNN_VERBOSE", "OPENBLAS_VERBOSE", "TF_CPP_", "TF_FORCE_GPU_ALLOW_GROWTH",
             "TF_GPU_ALLOCATOR")  # fmt: skip
# Numba reads options from this file in the current folder, too.
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
    """What a trainer inherits that can move a number, by name; empty unless the user set any.

    `folder` is where the trainer starts: the current folder.
    """
    prefixes = NUMERIC[""] + NUMERIC.get(backend_name(), ()) + (_GPU_CHOICE if has_gpu() else ())
    found = {
        name: value
        for name, value in trainer_environment(environ).items()
        if name.startswith(prefixes) and not name.startswith(_HARMLESS) and name not in FIXED
    }
    file = folder / NUMBA_FILE
    return {**found, NUMBA_FILE: file.read_text(encoding="utf-8")} if file.exists() else found
