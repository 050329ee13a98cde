"""Threads and arithmetic of one trainer: the one place that knows the backend's own calls."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from cnn_pipeline.base.machine import _cpuinfo_field, backend_name, processor_name


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


def configure(threads: int) -> Device:
    """Fix the number of threads before the first operation, and say what the device is.

    The thread count decides the order of floating-point sums and with it the last bits of the
    weights, so it is set, never left to a default, and recorded with the run.

    Raises:
        RuntimeError: TensorFlow has already run an operation in this process.
    """
    if backend_name() == "jax":
        return _configure_jax(threads)
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(threads)
    # Parts of a batch run side by side (`engines.graph`).
    tf.config.threading.set_inter_op_parallelism_threads(threads)
    _keep_blas_to_one_thread()
    gpus = tf.config.list_physical_devices("GPU")
    if not gpus:
        return Device("cpu", processor_name(), threads, has_fast_bfloat16())
    for gpu in gpus:
        tf.config.experimental.set_memory_growth(gpu, True)
    details = tf.config.experimental.get_device_details(gpus[0])
    capability = details.get("compute_capability", (0, 0))
    # Tensor cores take bfloat16 from compute capability 8.0 (Ampere) on.
    return Device("gpu", details.get("device_name", "GPU"), threads, capability >= (8, 0))


def _keep_blas_to_one_thread() -> None:
    """Each part of a batch computes its products (`compiled.winograd`) on its own thread."""
    import scipy.linalg.cython_blas  # noqa: F401 - loads the library whose threads are limited
    from threadpoolctl import threadpool_limits

    threadpool_limits(1, user_api="blas")


def _configure_jax(threads: int) -> Device:
    # Read when JAX is imported, so both come before it. XLA makes as many threads as NPROC says.
    os.environ["NPROC"] = str(threads)
    # Several trainers may share a GPU: each takes memory as it needs it.
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
    import jax

    first = jax.devices()[0]
    if first.platform == "cpu":
        # The fast bfloat16 is oneDNN's, which TensorFlow uses and XLA does not.
        return Device("cpu", processor_name(), threads, fast_bfloat16=False)
    capability = str(getattr(first, "compute_capability", "0.0"))
    return Device("gpu", first.device_kind, threads, int(capability.partition(".")[0]) >= 8)


def resolve_precision(setting: str, device: Device) -> str:
    """'float32' or 'bfloat16' for a setting that may be 'auto'."""
    if setting != "auto":
        return setting
    return "bfloat16" if device.fast_bfloat16 else "float32"


def has_fast_bfloat16(cpuinfo: Path = Path("/proc/cpuinfo")) -> bool:
    """Whether oneDNN trains faster in bfloat16 than in float32 on this processor.

    Measured with `benchmarks/training_speed.py`: with Intel's matrix units (AMX) 2.1 times as fast,
    with AMD's AVX-512 dot products 2.1 times. Intel's AVX-512 dot products run at half the rate of
    float32's, and there it took 1.3 to 4 times as long: a virtual machine may hide AMX. That was
    before float32's convolutions were compiled. Since then float32 was the faster with AMX as well,
    in two rounds of one network (`docs/performance.md`), which is too little to go by.
    """
    flags = processor_flags(cpuinfo)
    dot_products = "avx512_bf16" in flags and _cpuinfo_field("vendor_id", cpuinfo) == "AuthenticAMD"
    return "amx_bf16" in flags or dot_products


def processor_flags(cpuinfo: Path = Path("/proc/cpuinfo")) -> frozenset[str]:
    """Instruction sets that Linux reports; empty where there is no such file (macOS)."""
    return frozenset(_cpuinfo_field("flags", cpuinfo).split())
