"""Locks that name their holder, and that the kernel releases."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from cnn_pipeline.base.holding import try_hold

ROOT = Path(__file__).parent.parent.parent


def test_the_second_is_told_who_holds_it_and_since_when(tmp_path: Path) -> None:
    folder = tmp_path / "not" / "yet"
    with try_hold(folder, "training", "sweep one") as first:
        with try_hold(folder, "training", "sweep two") as second:
            assert first is None
            assert second is not None
            assert second.startswith(f"sweep one, process {os.getpid()}, since 2")
        with try_hold(folder, "other") as other:
            assert other is None
    with try_hold(folder, "training") as third:
        assert third is None


def test_a_holder_whose_record_cannot_be_read_is_still_one(tmp_path: Path) -> None:
    with try_hold(tmp_path, "training"):
        (tmp_path / "training.json").write_text("{")
        with try_hold(tmp_path, "training") as second:
            assert second == "it has just started"


HOLD = """
import sys, time
from pathlib import Path
from cnn_pipeline.base.holding import try_hold
with try_hold(Path(sys.argv[1]), "training") as holder:
    print(holder or "held", flush=True)
    time.sleep(300)
"""


def test_a_killed_process_holds_no_lock(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout is not None
        assert process.stdout.readline() == "held\n"
        with try_hold(tmp_path, "training") as holder:
            assert holder is not None and holder.startswith(f"process {process.pid}, since")
    finally:
        process.kill()
        process.communicate()
    with try_hold(tmp_path, "training") as holder:
        assert holder is None
