"""Set up a trainer's device: threads and arithmetic."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from cnn_pipeline.base.machine import _cpuinfo_field, backend_name, processor_name

_VECTORS = ("amx", "asimd", "avx", "fma", "sse4", "sve")


@dataclass(frozen=True)
class Device:
    """The device that a trainer computes on."""

    kind: str
    """'cpu' or 'gpu'."""
    name: str
    """Name of the processor or GPU."""
    threads: int
    """Processor threads per operation."""
    fast_bfloat16: bool
    """Whether training in bfloat16 is faster than in float32."""


def configure(threads: int) -> Device:
    """Set the number of threads before the first operation, and return the device.

    The number of threads determines the order of floating-point sums and so the last bits of the
    weights. It is therefore always set, and recorded with the run.

    Raises:
        RuntimeError: TensorFlow has already run an operation in this process.
    """
    if backend_name() == "jax":
        return _configure_jax(threads)
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    # Parts of a batch run in parallel (`engines.graph`).
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    _keep_blas_to_one_thread()
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return Device("cpu", processor_name(), threads, has_fast_bfloat16())
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, True)
    details = tf.config.experimental.get_device_details(gpus[0])
    capability = details.get("compute_capability", (0, 0))
    # Tensor cores support bfloat16 since compute capability 8.0 (Ampere).
    return Device("gpu", details.get("device_name", "GPU"), threads, capability >= (8, 0))


def _keep_blas_to_one_thread() -> None:
    """Limit BLAS to one thread: each part of a batch already computes on its own (`winograd`)."""
    import scipy.linalg.cython_blas  # noqa: F401 - loads the library whose threads are limited
    from threadpoolctl import threadpool_limits

    threadpool_limits(1, user_api="blas")


def _configure_jax(threads: int) -> Device:
    # Both are read when JAX is imported. XLA starts NPROC threads.
    os.environ["NPROC"] = str(threads)
    # Trainers that share a GPU must not preallocate its memory.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    import jax

    first = jax.devices()[0]
    if first.platform == "cpu":
        # bfloat16 is fast with oneDNN only, which XLA does not use.
        return Device("cpu", processor_name(), threads, fast_bfloat16=False)
    capability = str(getattr(first, "compute_capability", "0.0"))
    return Device("gpu", first.device_kind, threads, int(capability.partition(".")[0]) >= 8)


def resolve_precision(setting: str, device: Device) -> str:
    """'float32' or 'bfloat16', also for the setting 'auto'."""
    if setting != "auto":
        return setting
    return "bfloat16" if device.fast_bfloat16 else "float32"


def has_fast_bfloat16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether oneDNN trains faster in bfloat16 than in float32 on this processor.

    Measured with `benchmarks/training_speed.py` before float32's convolutions were compiled: 2.1
    times as fast with Intel's AMX and with AMD's AVX-512 dot products, but 1.3 to 4 times as slow
    with Intel's AVX-512 dot products, which run at half the rate of float32 (a virtual machine may
    hide AMX). With compiled convolutions float32 was faster even with AMX, but only two rounds of
    one network were measured (`docs/performance.md`).
    """
    flags = processor_flags(cpuinfo)
    dot_products = "avx512_bf16" in flags and _cpuinfo_field("vendor_id", cpuinfo) == "AuthenticAMD"
    return "amx_bf16" in flags or dot_products


def processor_flags(cpuinfo: Path = Path("/proc/cpuinfo")) -> frozenset[str]:
    """Instruction sets that Linux reports; empty without /proc/cpuinfo (macOS)."""
    return frozenset(_cpuinfo_field("flags", cpuinfo).split())


def vector_instructions(cpuinfo: Path = Path("/proc/cpuinfo")) -> list[str]:
    """The instruction sets by which libraries choose their kernels, sorted; [] on macOS.

    Two virtual machines may show one processor's name and not the same of these.
    """
    return sorted(name for name in processor_flags(cpuinfo) if name.startswith(_VECTORS))
