"""Threads and arithmetic of one trainer: the one place that knows the backend's own calls."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Device:
    """What a trainer computes on."""

    kind: str
    """'cpu' or 'gpu'."""
    name: str
    """Name of the processor or GPU."""
    threads: int
    """Processor threads that one operation may use."""
    fast_bfloat16: bool
    """Whether bfloat16 is the faster arithmetic here."""


def available_cores() -> int:
    """Processor cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def configure(threads: int) -> Device:
    """Fix the number of threads before the first operation, and say what the device is.

    The thread count decides the order of floating-point sums and with it the last bits of the
    weights, so it is set, never left to a default, and recorded with the run.

    Raises:
        RuntimeError: TensorFlow has already run an operation in this process.
    """
    import keras

    if keras.backend.backend() != "tensorflow":
        return Device("cpu", processor_name(), threads, fast_bfloat16=False)
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return Device("cpu", processor_name(), threads, "amx_bf16" in processor_flags())
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, True)
    details = tf.config.experimental.get_device_details(gpus[0])
    capability = details.get("compute_capability", (0, 0))
    # Tensor cores take bfloat16 from compute capability 8.0 (Ampere) on.
    return Device("gpu", details.get("device_name", "GPU"), threads, capability >= (8, 0))


def resolve_precision(setting: str, device: Device) -> str:
    """'float32' or 'bfloat16' for a setting that may be 'auto'."""
    if setting != "auto":
        return setting
    return "bfloat16" if device.fast_bfloat16 else "float32"


def processor_flags(cpuinfo: Path = Path("/proc/cpuinfo")) -> frozenset[str]:
    """Instruction sets that Linux reports; empty where there is no such file (macOS)."""
    return frozenset(_cpuinfo_field("flags", cpuinfo).split())


def processor_name(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The processor's name, for the record beside a timing."""
    return _cpuinfo_field("model name", cpuinfo) or platform.processor() or platform.machine()


def _cpuinfo_field(field: str, cpuinfo: Path) -> str:
    try:
        text = cpuinfo.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if key.strip() == field:
            return value.strip()
    return ""
