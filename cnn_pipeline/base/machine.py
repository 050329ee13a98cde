"""Cores, memory, GPU, processor name and Keras' backend, without importing the backend."""

from __future__ import annotations

import contextlib
import os
import platform
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

BACKENDS = ("tensorflow", "jax")


CONTAINER = Path("/sys/fs/cgroup")
"""Where Linux shows a container its own limits (control groups, version 2)."""


def available_cores(container: Path = CONTAINER) -> int:
    """Processor cores that this process may use, and at least 1.

    A container's limit on processor time counts in whole cores.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    with contextlib.suppress(OSError, ValueError):  # no container, or 'max'
        quota, period = (container / "cpu.max").read_text().split()
        cores = min(cores or 1, int(quota) // int(period))
    return cores or 1


def available_memory(container: Path = CONTAINER) -> int:
    """Bytes of memory that a new process can get without swapping, or a container's limit."""
    import psutil

    available = int(psutil.virtual_memory().available)
    with contextlib.suppress(OSError, ValueError):  # no container, or 'max'
        limit = int((container / "memory.max").read_text())
        used = int((container / "memory.current").read_text())
        statistics = dict(map(str.split, (container / "memory.stat").read_text().splitlines()))
        cached = int(statistics["inactive_file"])  # given back when a process asks
        available = min(available, max(0, limit - used + cached))
    return available


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
