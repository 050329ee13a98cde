"""Where the time of a training step goes, and how far from the processor's limits it is.

    .venv/bin/python -m benchmarks.roofline                  # about a minute
    .venv/bin/python -m benchmarks.roofline --pooling none --precision bfloat16

One trainer of one thread. oneDNN reports each of its primitives (ONEDNN_VERBOSE); what it does not
compute is the rest of the step. Limits are measured here as well: the largest matrix product for
arithmetic, copying for memory. Writes `benchmarks/results/roofline-VARIANT.md`.
"""

from __future__ import annotations

import argparse
import math
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.machine import this_machine
from benchmarks.tables import markdown

RESULTS = Path(__file__).parent / "results"
BATCH, STEPS, EPOCHS = 128, 20, 4
_BYTES = {"f32": 4, "bf16": 2}
_SHAPE = re.compile(r"([a-z]+)(\d+)")


def main() -> int:
    """Profile one training and write the table."""
    parser = argparse.ArgumentParser(prog="roofline", description=__doc__)
    parser.add_argument("--filters", type=int, default=64)
    parser.add_argument("--pooling", default="max")
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.child:
        print(f"step {_train(given.filters, given.pooling, given.precision)}")
        return 0
    plain = _profiled(given, verbose=False)
    seconds = float(next(line for line in plain if line.startswith("step ")).split()[1])
    lines = _profiled(given, verbose=True)
    primitives = _primitives(lines, steps=STEPS * EPOCHS)
    peak = _matrix_product(given.precision)
    copying = _copying()
    rows = []
    for name, one in sorted(primitives.items(), key=lambda item: -item[1].ms):
        if one.ms < 0.005 * 1000 * seconds:
            continue
        rate = one.gflop / one.ms * 1000
        rows.append(
            [
                name,
                f"{one.ms:.2f}",
                f"{one.ms / seconds / 10:.0f} %",
                f"{rate:,.0f}" if one.gflop else "-",
                f"{100 * rate / peak:.0f} %" if one.gflop else "-",
                f"{one.mb / one.ms:.1f}",
            ]
        )
    rest = 1000 * seconds - sum(one.ms for one in primitives.values())
    rows.append(
        ["the rest: ReLU, Adam, loss, copies", f"{rest:.2f}", f"{rest / seconds / 10:.0f} %"]
        + ["-"] * 3
    )
    variant = f"f{given.filters}-{given.pooling}"
    text = (
        f"{variant}, batch {BATCH}, {given.precision}, one thread: {1000 * seconds:.1f} ms a step. "
        f"This core's limits: {peak:,.0f} GFLOP/s (a matrix product of 2048 x 2048), "
        f"{copying:.1f} GB/s (copying 256 MB, read and written). {this_machine().in_words()}.\n\n"
        + markdown(
            ["operation", "ms a step", "share", "GFLOP/s", "of the limit", "GB/s at least"], rows
        )
    )
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"roofline-{variant}-{given.precision}.md").write_text(text, encoding="utf-8")
    print(text)
    return 0


@dataclass
class Primitive:
    """What oneDNN spent on one operation of a step."""

    ms: float = 0.0
    gflop: float = 0.0
    mb: float = 0.0
    """Bytes of its inputs and outputs, each counted once."""


def _profiled(given: argparse.Namespace, *, verbose: bool) -> list[str]:
    words = [sys.executable, "-m", "benchmarks.roofline", "--child"]
    words += ["--filters", str(given.filters), "--pooling", given.pooling]
    words += ["--precision", given.precision]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    if verbose:
        environment["ONEDNN_VERBOSE"] = "1"
    done = subprocess.run(words, capture_output=True, text=True, check=True, env=environment)
    return done.stdout.splitlines()


def _train(filters: int, pooling: str, precision: str) -> float:
    """Seconds a step, the first epoch left out."""
    from cnn_pipeline.config import Training, Variant
    from cnn_pipeline.data import Split
    from cnn_pipeline.devices import configure
    from cnn_pipeline.models import build_model, build_twin
    from cnn_pipeline.training import train

    device = configure(threads=1)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (BATCH * STEPS, 28, 28, 1), dtype=np.uint8)
    split = Split("train", images, rng.integers(0, 10, BATCH * STEPS))
    # Two images: their primitives are told apart by the batch, and none of their products has
    # one row.
    held_out = Split("validation", images[:2], split.labels[:2])
    variant = Variant(filters=filters, pooling=pooling)
    twin = build_twin(
        build_model(variant, (28, 28, 1), 10, seed=0), variant, precision=precision, seed=0
    )
    history = train(
        twin, split, held_out, Training(epochs=EPOCHS, batch_size=BATCH), device, seed=0
    )
    return BATCH / history.images_per_second


def _primitives(lines: Iterable[str], steps: int) -> dict[str, Primitive]:
    """Milliseconds a step by operation, from oneDNN's lines."""
    found: dict[str, Primitive] = {}
    for line in lines:
        parts = line.split(",")
        if not line.startswith("onednn_verbose") or "exec" not in parts:
            continue
        at = parts.index("exec")
        kind, direction, tensors = parts[at + 2], parts[at + 4], parts[at + 5]
        problem, ms = parts[-2], float(parts[-1])
        if f"mb{BATCH}" not in problem and kind in ("convolution", "pooling", "inner_product"):
            continue  # validation
        name, operations, numbers = named(kind, direction, problem)
        one = found.setdefault(name, Primitive())
        size = _BYTES["bf16" if "bf16" in tensors else "f32"]
        one.ms += ms / steps
        one.gflop += operations / 1e9 / steps
        one.mb += numbers * size / 1e6 / steps
    return found


def named(kind: str, direction: str, problem: str) -> tuple[str, int, int]:
    """An operation in words, its floating-point operations, the numbers it reads and writes."""
    if kind == "convolution":
        size = {key: int(value) for key, value in _SHAPE.findall(problem.replace("_", ""))}
        out = size["mb"] * size["oc"] * size["oh"] * size["ow"]
        window = size["ic"] * size["kh"] * size["kw"]
        number = 1 if size["ic"] == 1 else 2
        numbers = size["mb"] * size["ic"] * size["ih"] * size["iw"] + out + window * size["oc"]
        what = {"backward_weights": "gradient of the kernels", "backward_data": "gradient of input"}
        return f"convolution {number}, {what.get(direction, 'forward')}", 2 * out * window, numbers
    if kind == "pooling":
        size = {key: int(value) for key, value in _SHAPE.findall(problem.replace("_", ""))}
        image = size["mb"] * size["ic"]
        numbers = image * (size["ih"] * size["iw"] + size["oh"] * size["ow"])
        way = "backward" if "backward" in direction else "forward"
        return f"max-pooling of {size['ih']}x{size['iw']}, {way}", 0, numbers
    if kind == "inner_product":
        size = {key: int(value) for key, value in _SHAPE.findall(problem)}
        rows, inner, columns = size["mb"], size["ic"], size["oc"]
    elif kind in ("matmul", "gemm_api"):
        left, right = (part.split("x") for part in problem.split(":")[:2])
        rows, inner, columns = int(left[0]), int(left[1]), int(right[1])
    else:
        return "reordering of memory", 0, 2 * math.prod(map(int, problem.split("x")))
    numbers = rows * inner + inner * columns + rows * columns
    # A row of ones adds up the gradient of an output: `cnn_pipeline.convolution`.
    what = "convolutions, gradient of the biases" if rows == 1 else "dense layers"
    return what, 2 * rows * inner * columns, numbers


def _matrix_product(precision: str) -> float:
    """GFLOP/s of one thread in TensorFlow's largest product, the best of five."""
    code = (
        "import sys, time; from cnn_pipeline.devices import configure; configure(1);"
        "import tensorflow as tf; n = 2048;"
        "a = tf.cast(tf.random.stateless_normal((n, n), (1, 2)), sys.argv[1]);"
        "step = tf.function(lambda: tf.matmul(a, a)); step(); best = 0.0\n"
        "for _ in range(5):\n"
        "    t = time.perf_counter(); step().numpy(); best = max(best, 2e-9 * n**3 /"
        " (time.perf_counter() - t))\n"
        "print(best)"
    )
    words = [sys.executable, "-c", code, precision]
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(words, capture_output=True, text=True, check=True, env=environment)
    return float(done.stdout)


def _copying() -> float:
    """GB/s of one thread that copies arrays larger than any cache of its own, the best of five."""
    source = np.ones(2**25)
    target = np.empty_like(source)
    best = 0.0
    for _ in range(5):
        started = time.perf_counter()
        np.copyto(target, source)
        best = max(best, 2 * source.nbytes / 1e9 / (time.perf_counter() - started))
    return best


if __name__ == "__main__":
    sys.exit(main())
