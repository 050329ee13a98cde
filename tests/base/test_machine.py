"""Threads and arithmetic of a trainer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cnn_pipeline.base.machine import (
    available_cores,
    available_memory,
    has_gpu,
    processor_name,
)
from cnn_pipeline.network.device import (
    Device,
    has_fast_bfloat16,
    processor_flags,
    resolve_precision,
)

CPUINFO = """processor\t: 0
model name\t: Imaginary(R) Xeon(R) 9000: the one
flags\t\t: fpu amx_bf16 avx512f

processor\t: 1
model name\t: Another
flags\t\t: fpu
"""

CONFIGURE = """
import json, sys
from cnn_pipeline.network.device import configure
device = configure(int(sys.argv[1]))
import tensorflow as tf
print(json.dumps([
    device.kind, device.name, device.threads, device.fast_bfloat16,
    tf.config.threading.get_intra_op_parallelism_threads(),
    tf.config.threading.get_inter_op_parallelism_threads(),
]))
"""


def device(*, fast_bfloat16: bool) -> Device:
    return Device("cpu", "any", 1, fast_bfloat16)


@pytest.mark.parametrize("fast", [True, False])
def test_a_precision_that_is_asked_for_is_taken(fast: bool) -> None:
    assert resolve_precision("float32", device(fast_bfloat16=fast)) == "float32"
    assert resolve_precision("bfloat16", device(fast_bfloat16=fast)) == "bfloat16"


def test_auto_is_what_is_fast_here() -> None:
    assert resolve_precision("auto", device(fast_bfloat16=True)) == "bfloat16"
    assert resolve_precision("auto", device(fast_bfloat16=False)) == "float32"


def test_the_first_processor_speaks_for_all(tmp_path: Path) -> None:
    path = tmp_path / "cpuinfo"
    path.write_text(CPUINFO)
    assert processor_flags(path) == {"fpu", "amx_bf16", "avx512f"}
    assert processor_name(path) == "Imaginary(R) Xeon(R) 9000: the one"


@pytest.mark.parametrize(
    ("vendor", "flags", "fast"),
    [
        ("GenuineIntel", "avx512f amx_tile amx_bf16 avx512_bf16", True),
        ("GenuineIntel", "avx512f avx512_bf16", False),  # half the rate of float32
        ("AuthenticAMD", "avx512f avx512_bf16", True),
        ("AuthenticAMD", "avx2", False),
    ],
)
def test_bfloat16_is_fast_where_it_was_measured_to_be(
    tmp_path: Path, vendor: str, flags: str, fast: bool
) -> None:
    path = tmp_path / "cpuinfo"
    path.write_text(f"vendor_id\t: {vendor}\nflags\t\t: {flags}\n")
    assert has_fast_bfloat16(path) == fast
    assert not has_fast_bfloat16(tmp_path / "missing")


def test_without_linux_files_nothing_is_claimed(tmp_path: Path) -> None:
    missing = tmp_path / "cpuinfo"
    assert processor_flags(missing) == frozenset()
    assert processor_name(missing) != ""


def test_there_is_a_core_and_memory() -> None:
    assert available_cores() >= 1
    assert 2**28 < available_memory() < 2**50


def test_a_gpu_is_one_that_the_driver_names_and_nobody_hides(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert not has_gpu(tmp_path / "no driver")
    assert not has_gpu(tmp_path)
    (tmp_path / "0000:01:00.0").mkdir()
    monkeypatch.delenv("CUDA_VISIBLE_DEVICES", raising=False)
    assert has_gpu(tmp_path)
    for hidden in ("", "-1"):
        monkeypatch.setenv("CUDA_VISIBLE_DEVICES", hidden)
        assert not has_gpu(tmp_path)
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    assert has_gpu(tmp_path)


def test_the_threads_are_set_before_the_first_operation() -> None:
    done = subprocess.run(
        [sys.executable, "-c", CONFIGURE, "3"], capture_output=True, text=True, check=True
    )
    kind, name, threads, fast, intra, inter = json.loads(done.stdout)
    if kind == "cpu":
        assert fast == has_fast_bfloat16()
    assert (threads, intra, inter) == (3, 3, 3)
    assert name


def test_products_of_a_part_of_a_batch_take_no_threads_of_others() -> None:
    code = (
        "from cnn_pipeline.network.device import configure; configure(2)\n"
        "from threadpoolctl import threadpool_info\n"
        "print(*(pool['num_threads'] for pool in threadpool_info() if pool['user_api'] == 'blas'))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "2"},
    )
    threads = done.stdout.split()
    assert threads
    assert set(threads) == {"1"}
