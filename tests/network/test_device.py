"""Threads and arithmetic of a trainer."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from cnn_pipeline.network.device import (
    Device,
    has_fast_bfloat16,
    processor_flags,
    resolve_precision,
)

CPUINFO = """processor\t: 0
flags\t\t: fpu amx_bf16 avx512f

processor\t: 1
flags\t\t: fpu
"""

CONFIGURE = """
import json, sys
from cnn_pipeline.network.device import configure
device = configure(3)
import tensorflow as tf
from threadpoolctl import threadpool_info
print(json.dumps({
    "kind": device.kind,
    "name": device.name,
    "threads": device.threads,
    "fast_bfloat16": device.fast_bfloat16,
    "intra": tf.config.threading.get_intra_op_parallelism_threads(),
    "inter": tf.config.threading.get_inter_op_parallelism_threads(),
    "blas": [pool["num_threads"] for pool in threadpool_info() if pool["user_api"] == "blas"],
}))
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


def test_the_flags_are_the_first_processors(tmp_path: Path) -> None:
    path = tmp_path / "cpuinfo"
    path.write_text(CPUINFO)
    assert processor_flags(path) == {"fpu", "amx_bf16", "avx512f"}
    assert processor_flags(tmp_path / "missing") == frozenset()


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


@pytest.fixture(scope="module")
def configured() -> dict[str, Any]:
    """What a process says that was configured for three threads."""
    done = subprocess.run(
        [sys.executable, "-c", CONFIGURE],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
        env={**os.environ, "OPENBLAS_NUM_THREADS": "2"},
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


@pytest.mark.slow
def test_the_threads_are_set_before_the_first_operation(configured: dict[str, Any]) -> None:
    if configured["kind"] == "cpu":
        assert configured["fast_bfloat16"] == has_fast_bfloat16()
    assert (configured["threads"], configured["intra"], configured["inter"]) == (3, 3, 3)
    assert configured["name"]


@pytest.mark.slow
def test_products_of_a_part_of_a_batch_take_no_threads_of_others(
    configured: dict[str, Any],
) -> None:
    assert configured["blas"]
    assert set(configured["blas"]) == {1}
