"""Cores, memory, GPU, processor name and Keras' backend, without importing the backend."""

from __future__ import annotations

import contextlib
import os
import platform
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

BACKENDS = ("tensorflow", "jax")


def available_cores() -> int:
    """Processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def available_memory() -> int:
    """Bytes of memory that a new process can get without swapping."""
    import psutil

    return int(psutil.virtual_memory().available)


def has_gpu(drivers: Path = Path("/proc/driver/nvidia/gpus")) -> bool:
    """Whether an NVIDIA driver has a GPU that is not hidden."""
    if os.environ.get("CUDA_VISIBLE_DEVICES", "0").strip() in ("", "-1"):
        return False
    return drivers.is_dir() and any(drivers.iterdir())


def backend_name() -> str:
    """Keras' backend from KERAS_BACKEND; 'tensorflow' by default."""
    return os.environ.get("KERAS_BACKEND") or "tensorflow"


def backend_faults(installed: Callable[[str], object | None] = find_spec) -> list[str]:
    """Error messages if KERAS_BACKEND is unknown or not installed; else empty."""
    backend = backend_name()
    if backend not in BACKENDS:
        return [f"KERAS_BACKEND must be one of {', '.join(BACKENDS)}, received {backend!r}"]
    if installed(backend) is None:
        return [
            f"KERAS_BACKEND is {backend!r}, which is not installed: "
            f'pip install --editable ".[{backend}]", or unset KERAS_BACKEND'
        ]
    return []


def processor_name(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The processor's name, as 'AMD EPYC'."""
    return _cpuinfo_field("model name", cpuinfo) or platform.processor() or platform.machine()


def _cpuinfo_field(field: str, cpuinfo: Path) -> str:
    with contextlib.suppress(OSError):
        for line in cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == field:
                return value.strip()
    return ""
