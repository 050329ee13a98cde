"""Where the time of a training step goes, and how far from the processor's limits it is.

    .venv/bin/python -m benchmarks.roofline                  # about a minute
    .venv/bin/python -m benchmarks.roofline --pooling none --precision bfloat16

One trainer of one thread. TensorFlow's profiler says how long each operation of the graph takes.
Limits are measured here as well: the largest matrix product for arithmetic, copying for memory.
Writes `benchmarks/results/roofline-VARIANT.md`.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from benchmarks.machine import this_machine
from benchmarks.tables import markdown
from cnn_pipeline.network.plan import LayerPlan, Plan, plan_layers
from cnn_pipeline.settings.trial import Training, Variant
from cnn_pipeline.trainers.launching import trainer_environment

RESULTS = Path(__file__).parent / "results"
BATCH, STEPS, EPOCHS = 128, 20, 4
SHAPE = (28, 28, 1)
OPTIMIZER = "Adam"
_BYTES = {"float32": 4, "bfloat16": 2}
# Adam reads a weight, its gradient and two means, and writes all but the gradient.
_NUMBERS_OF_ADAM = 7


@dataclass(frozen=True)
class Operation:
    """What one kind of operation does in a step."""

    gflop: float
    """As direct sums count them: a convolution with fewer multiplications can pass the limit."""
    mb: float
    """Its inputs and outputs, each counted once."""


def main() -> int:
    """Profile one training and write the table."""
    parser = argparse.ArgumentParser(
        prog="roofline", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--filters", type=int, default=64)
    parser.add_argument("--pooling", default="max")
    parser.add_argument("--precision", default="float32")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    given = parser.parse_args()
    variant = Variant(filters=given.filters, pooling=given.pooling)
    if given.child:
        print(json.dumps(_train(variant, given.precision)))
        return 0
    seconds, events = _profiled(given)
    times: dict[str, float] = {}
    for name, ms in events.items():
        row = row_of(name)
        times[row] = times.get(row, 0.0) + ms
    operations = operations_of(plan_layers(variant, SHAPE, 10), _BYTES[given.precision], times)
    peak, copying = _matrix_product(given.precision), _copying()
    rows = []
    for row, ms in sorted(times.items(), key=lambda item: -item[1]):
        if ms < 0.005 * 1000 * seconds:
            continue
        known = operations.get(row)
        rate = known.gflop / ms * 1000 if known else 0.0
        rows.append(
            [
                row,
                f"{ms:.2f}",
                f"{ms / seconds / 10:.0f} %",
                f"{rate:,.0f}" if rate else "-",
                f"{100 * rate / peak:.0f} %" if rate else "-",
                f"{known.mb / ms:.1f}" if known else "-",
            ]
        )
    rest = 1000 * seconds - sum(times[row[0]] for row in rows)
    rows.append(["the rest", f"{rest:.2f}", f"{rest / seconds / 10:.0f} %"] + ["-"] * 3)
    name = f"f{given.filters}-{given.pooling}"
    text = (
        f"{name}, batch {BATCH}, {given.precision}, one thread: {1000 * seconds:.1f} ms a step. "
        f"This core's limits: {peak:,.0f} GFLOP/s (a matrix product of 2048 x 2048), "
        f"{copying:.1f} GB/s (copying 256 MB, read and written). {this_machine().in_words()}.\n\n"
        + markdown(
            ["operation", "ms a step", "share", "GFLOP/s", "of the limit", "GB/s at least"], rows
        )
    )
    RESULTS.mkdir(exist_ok=True)
    (RESULTS / f"roofline-{name}-{given.precision}.md").write_text(text, encoding="utf-8")
    print(text)
    return 0


def row_of(operation: str) -> str:
    """The row of the table to which an operation of the profile belongs.

    An operation is named by its path in the graph and its kind:
    'while/body/_1/gradient_tape/while/sequential_1/dense_1/MatMul/MatMul:_MklMatMul'.
    """
    path, _, kind = operation.rpartition(":")
    if "ResourceApply" in kind or "fused_adam" in path:
        return OPTIMIZER
    way = "gradients" if "gradient" in path else "forward"
    layer = re.search(r"(conv\d+|pool\d+|dense|logits)_(?:\d+|forward|gradients)", path)
    if layer is None:
        return "loss, scaling, batches"
    if "Pool" in kind:
        return f"{layer[1]}, pooling, {way}"
    if "Relu" in kind and "FusedMatMul" not in kind and "FusedConv" not in kind:
        return f"{layer[1]}, ReLU, {way}"
    return f"{layer[1]}, {way}"


def operations_of(plan: Plan, size: int, rows: Collection[str]) -> dict[str, Operation]:
    """Work and traffic of each of `rows` that is a layer's, for one batch.

    `size` is that of a number in bytes. A convolution whose pooling has no row of its own writes
    what the pooling leaves.
    """
    found: dict[str, Operation] = {}
    shape: tuple[int, ...] = plan.image_shape
    for number, layer in enumerate(plan.layers):
        numbers = BATCH * (math.prod(shape) + math.prod(layer.output_shape))
        if layer.kind == "pooling":
            for way in ("forward", "gradients"):
                row = f"{plan.layers[number - 1].name}, pooling, {way}"
                found[row] = Operation(0.0, numbers * size / 1e6)
        elif layer.kind in ("convolution", "dense"):
            gflop = 2 * BATCH * layer.macs / 1e9
            written = layer.output_shape
            if _pools(plan.layers, number) and f"{layer.name}, pooling, forward" not in rows:
                written = plan.layers[number + 1].output_shape
            given, taken = BATCH * math.prod(shape), BATCH * math.prod(written)
            # The gradient of the weights, and that of the input unless it is the images.
            ways = 1 if number == 0 else 2
            found[f"{layer.name}, forward"] = Operation(
                gflop, (given + taken + layer.params) * size / 1e6
            )
            found[f"{layer.name}, gradients"] = Operation(
                ways * gflop, (ways * given + taken + ways * layer.params) * size / 1e6
            )
        shape = layer.output_shape
    found[OPTIMIZER] = Operation(0.0, _NUMBERS_OF_ADAM * plan.num_params * 4 / 1e6)
    return found


def _pools(layers: Sequence[LayerPlan], number: int) -> bool:
    return number + 1 < len(layers) and layers[number + 1].kind == "pooling"


def _profiled(given: argparse.Namespace) -> tuple[float, Mapping[str, float]]:
    """Seconds a step, without a profiler, and milliseconds a step of each operation, with it."""
    words = [sys.executable, "-m", "benchmarks.roofline", "--child"]
    words += ["--filters", str(given.filters), "--pooling", given.pooling]
    words += ["--precision", given.precision]
    environment = {**trainer_environment(), "TF_CPP_MIN_LOG_LEVEL": "3"}
    done = subprocess.run(words, capture_output=True, text=True, check=True, env=environment)
    answer = json.loads(done.stdout.splitlines()[-1])
    return answer["seconds"], answer["events"]


def _train(variant: Variant, precision: str) -> dict[str, object]:
    """Train twice, the first epoch of each left out: by the clock, and with the profiler."""
    import tensorflow as tf

    from cnn_pipeline.data.dataset import Split
    from cnn_pipeline.network.build import build_model, build_twin
    from cnn_pipeline.network.device import configure
    from cnn_pipeline.network.engines import engine_for

    device = configure(threads=1)
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (BATCH * STEPS, *SHAPE), dtype=np.uint8)
    split = Split("train", images, rng.integers(0, 10, BATCH * STEPS))
    model = build_model(variant, SHAPE, 10, seed=0)
    twin = build_twin(model, variant, precision=precision, seed=0)
    engine = engine_for(twin, Training(batch_size=BATCH), device)
    order = np.arange(BATCH * STEPS)

    def epoch() -> float:
        started = time.perf_counter()
        engine.epoch(split, order, lambda done: None)
        return time.perf_counter() - started

    epoch()
    seconds = float(np.median([epoch() for _ in range(EPOCHS)])) / STEPS
    with tempfile.TemporaryDirectory() as folder:
        options = tf.profiler.experimental.ProfilerOptions(python_tracer_level=0)
        with tf.profiler.experimental.Profile(folder, options):
            epoch()
        return {"seconds": seconds, "events": _events(Path(folder))}


def _events(folder: Path) -> dict[str, float]:
    """Milliseconds a step by operation of the graph: 'PATH:KIND'."""
    from tensorflow.tsl.profiler.protobuf import xplane_pb2

    (file,) = folder.rglob("*.xplane.pb")
    space = xplane_pb2.XSpace()
    space.ParseFromString(file.read_bytes())
    found: dict[str, float] = {}
    for plane in space.planes:
        for line in plane.lines:
            for event in line.events:
                name = plane.event_metadata[event.metadata_id].name
                # What encloses the loop or Python's own calls is no operation of a step.
                if name.startswith("while/body/"):
                    found[name] = found.get(name, 0.0) + event.duration_ps / 1e9 / STEPS
    return found


def _matrix_product(precision: str) -> float:
    """GFLOP/s of one thread in TensorFlow's largest product, the best of five."""
    code = (
        "import sys, time; from cnn_pipeline.network.device import configure; configure(1);"
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
