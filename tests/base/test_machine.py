"""What is known of this machine before anything starts."""

from __future__ import annotations

from pathlib import Path

import pytest

from cnn_pipeline.base.machine import (
    available_cores,
    available_memory,
    has_gpu,
    processor_name,
)

CPUINFO = """processor\t: 0
model name\t: Imaginary(R) Xeon(R) 9000: the one

processor\t: 1
model name\t: Another
"""


def test_the_first_processor_has_the_name(tmp_path: Path) -> None:
    path = tmp_path / "cpuinfo"
    path.write_text(CPUINFO)
    assert processor_name(path) == "Imaginary(R) Xeon(R) 9000: the one"


def test_without_linux_files_there_is_a_name(tmp_path: Path) -> None:
    assert processor_name(tmp_path / "cpuinfo") != ""


def test_there_is_a_core_and_memory() -> None:
    assert available_cores() >= 1
    assert 2**28 < available_memory() < 2**50


def test_the_limits_of_a_container_count(tmp_path: Path) -> None:
    cores, memory = available_cores(tmp_path), available_memory(tmp_path)  # none is set
    for name, text in {
        "cpu.max": "150000 100000\n",
        "memory.max": f"{2**20}\n",
        "memory.current": f"{2**19}\n",
        "memory.stat": "anon 1\nfile 5\ninactive_file 3\n",
    }.items():
        (tmp_path / name).write_text(text)
    assert available_cores(tmp_path) == 1
    assert available_memory(tmp_path) == 2**19 + 3
    (tmp_path / "cpu.max").write_text("50000 100000\n")
    assert available_cores(tmp_path) == 1  # half a core
    for name in ("cpu.max", "memory.max"):
        (tmp_path / name).write_text("max 100000\n" if name == "cpu.max" else "max\n")
    assert available_cores(tmp_path) == cores
    assert abs(available_memory(tmp_path) - memory) < 2**32


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
