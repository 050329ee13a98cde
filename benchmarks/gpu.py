"""What a GPU makes of the tutorial's network and of the default sweep.

    KERAS_BACKEND=jax .venv/bin/python -m benchmarks.gpu                   # or tensorflow
    KERAS_BACKEND=jax .venv/bin/python -m benchmarks.gpu --only sweep --rounds 3
    KERAS_BACKEND=jax .venv/bin/python -m benchmarks.gpu --quick           # only to see it run

Each training is a process of its own, or several that share the GPU; its first epoch, which
compiles, is told apart. Of several, those epochs count that end while all of them train. Limits are
measured as well: the largest matrix product for arithmetic, copying for memory. Writes
`gpu-speed-BACKEND.md` and `gpu-sweep-BACKEND.md`.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from benchmarks.machine import this_machine
from benchmarks.tables import markdown, spread
from benchmarks.timing import answers_at_once, rotated, timed
from benchmarks.training_speed import gflop_of_an_image
from cnn_pipeline.base.machine import available_cores, backend_name
from cnn_pipeline.settings.trial import Training, Variant

if TYPE_CHECKING:
    from cnn_pipeline.network.device import Device
    from cnn_pipeline.network.engines import Engine

RESULTS = Path(__file__).parent / "results"
CLASSES, SHAPE = 10, (28, 28, 1)
IMAGES, EPOCHS, FILTERS = 55_000, 6, 64
QUICK_IMAGES, QUICK_EPOCHS, QUICK_FILTERS = 150, 2, 4
WORKERS = (1, 3, 6)
SECONDS_TOGETHER = 15.0


@dataclass(frozen=True)
class Case:
    """One training of the network with two convolutions, or several at the same time."""

    engine: str
    """'fit' is Keras' own, 16 steps a call; 'graph' the project's on TensorFlow, 'loop' on JAX."""
    precision: str = "bfloat16"
    pooling: Literal["max", "none"] = "max"
    batch: int = 128
    processes: int = 1
    """Trainers that share the GPU."""
    filters: int = FILTERS

    @property
    def text(self) -> str:
        """'loop, bfloat16, pooling max, batch 128, 2 trainers'."""
        words = [self.engine, self.precision, f"pooling {self.pooling}", f"batch {self.batch}"]
        words += [f"{self.processes} trainers"] * (self.processes > 1)
        return ", ".join(words)

    @property
    def variant(self) -> Variant:
        """The network."""
        return Variant(filters=self.filters, pooling=self.pooling)


def cases(engine: str) -> list[Case]:
    """All that is measured of one engine, what one would choose first in front."""
    return [
        Case(engine),
        Case(engine, "float32"),
        Case(engine, pooling="none"),
        Case(engine, batch=1024),
        Case(engine, processes=2),
        Case(engine, processes=4),
    ]


ENGINES = {"tensorflow": ("fit", "graph"), "jax": ("fit", "loop")}


def main() -> int:
    """Measure and write the tables."""
    parser = argparse.ArgumentParser(
        prog="gpu", description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--only", choices=("speed", "sweep"))
    parser.add_argument("--data", default="fashion-mnist", help="of the sweep")
    parser.add_argument("--rounds", type=int, default=3, help="of the sweep")
    parser.add_argument("--quick", action="store_true", help="few images, on any device; no table")
    parser.add_argument("--one", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        print(json.dumps(_measure(Case(**json.loads(given.one)), given.quick)))
        return 0
    device = _device(1)
    if device.kind != "gpu" and not given.quick:
        parser.error(f"a GPU that {backend_name()} sees is required, received {device.name}")
    parts = {
        "speed": lambda: _speed(device, given.quick),
        "sweep": lambda: _sweep(device, given),
    }
    for name, part in parts.items():
        if given.only in (None, name):
            text = part()
            print(text)
            if not given.quick:
                RESULTS.mkdir(exist_ok=True)
                file = RESULTS / f"gpu-{name}-{backend_name()}.md"
                file.write_text(text, encoding="utf-8")
    return 0


def _device(processes: int) -> Device:
    from cnn_pipeline.network.device import configure

    return configure(max(1, available_cores() // processes))


def _speed(device: Device, quick: bool) -> str:
    images, filters = (QUICK_IMAGES, QUICK_FILTERS) if quick else (IMAGES, FILTERS)
    limits = _limits(64 if quick else 8192)
    rows = []
    for engine in ENGINES[backend_name()]:
        for case in [replace(one, filters=filters) for one in cases(engine)]:
            answers = _answers(case, quick)
            try:
                rates = rates_together([answer["ended"] for answer in answers], images)
            except NotTogether as error:
                print(f"{case.text}: {error}", file=sys.stderr, flush=True)
                rows.append([case.text, "-", "-", "-"])
                continue
            gflops = spread(rates).median * gflop_of_an_image(case.variant)
            rows.append(
                [
                    case.text,
                    spread(rates).text(0),
                    f"{max(answer['first_s'] for answer in answers):.1f}",
                    f"{100 * gflops / limits[case.precision]:.1f}",
                ]
            )
            print(" | ".join(rows[-1]), file=sys.stderr, flush=True)
    return (
        f"{device.name}: a matrix product reaches {limits['bfloat16'] / 1000:,.1f} TFLOP/s in "
        f"bfloat16 and {limits['float32'] / 1000:,.1f} in float32 as Keras computes it there, a "
        f"copy {limits['copying']:,.0f} GB/s. {filters} filters, {images:,} images an epoch; the "
        f"epochs after the first. {this_machine().in_words()}.\n\n"
        + markdown(["training", "images/s", "first epoch, s", "% of the matrix product"], rows)
    )


class NotTogether(Exception):
    """Trainings that were to share a device ran one after the other."""


def rates_together(ended: Sequence[Sequence[float]], images: int) -> list[float]:
    """Images a second of trainers that share a device.

    Args:
        ended: for each trainer the times, in seconds on one clock, at which its epochs ended.
        images: how many an epoch has.

    Returns:
        A figure for each epoch after the first of one trainer. Of several one figure in all, for
        the time in which all of them train: they compile for longer than an epoch takes, and not
        equally long.

    Raises:
        NotTogether: there was no such time, or not ten epochs in it.
    """
    if len(ended) == 1:
        return [images / (stop - start) for start, stop in pairwise(ended[0])]
    start, stop = max(each[0] for each in ended), min(each[-1] for each in ended)
    epochs = sum(start < moment <= stop for each in ended for moment in each)
    if epochs < 10:
        raise NotTogether(f"trainings at the same time are required, received {ended}")
    return [images * epochs / (stop - start)]


def _sweep(device: Device, given: argparse.Namespace) -> str:
    size = ["--filters", "16", "--epochs", "1", "--train-limit", "150"] if given.quick else []
    walls: dict[int, list[float]] = {workers: [] for workers in WORKERS}
    for index in range(given.rounds):
        for workers in rotated(WORKERS, index):
            with tempfile.TemporaryDirectory() as home:
                words = [sys.executable, "-m", "cnn_pipeline.cli", "run", "--home", home, *size]
                words += ["--data", given.data, "--workers", str(workers)]
                walls[workers].append(timed(words).wall_s)
            print(f"{workers} trainers: {walls[workers][-1]:.1f} s", file=sys.stderr, flush=True)
    rows = [[str(workers), spread(seconds).text(1)] for workers, seconds in walls.items()]
    return (
        f"`cnn-pipeline run` with an empty home folder, {given.rounds} rounds. {device.name}. "
        f"{this_machine().in_words()}.\n\n" + markdown(["trainers at a time", "seconds"], rows)
    )


def _answers(case: Case, quick: bool) -> list[dict[str, Any]]:
    words = [sys.executable, "-m", "benchmarks.gpu", "--one", json.dumps(asdict(case))]
    return answers_at_once([*words, *["--quick"] * quick], case.processes)


def _measure(case: Case, quick: bool) -> dict[str, Any]:
    """Seconds of the first epoch, and when each epoch ended."""
    from cnn_pipeline.data.dataset import Split
    from cnn_pipeline.network.train import epoch_order

    images, epochs = (QUICK_IMAGES, QUICK_EPOCHS) if quick else (IMAGES, EPOCHS)
    _device(case.processes)
    rng = np.random.default_rng(0)
    pixels = rng.integers(0, 256, (images, *SHAPE), dtype=np.uint8)
    split = Split("train", pixels, rng.integers(0, CLASSES, images))
    engine = _engine(case, Training(epochs=epochs, batch_size=case.batch))
    started = time.monotonic()
    ended: list[float] = []
    # Where several share the device, so long after its own first epoch: they begin not together.
    least = SECONDS_TOGETHER if case.processes > 1 else 0.0
    while len(ended) < epochs or ended[-1] - ended[0] < least:
        engine.epoch(split, epoch_order(0, len(ended), images), lambda done: None)
        ended.append(time.monotonic())
    return {"first_s": ended[0] - started, "ended": ended}


def _engine(case: Case, training: Training) -> Engine:
    from cnn_pipeline.network.build import build_model, build_twin

    model = build_model(case.variant, SHAPE, CLASSES, seed=0)
    twin = build_twin(model, case.variant, precision=case.precision, seed=0)
    if case.engine == "graph":
        from cnn_pipeline.network.engines.graph import GraphEngine

        # One part: a GPU spreads an operation by itself.
        return GraphEngine(twin, training, threads=1)
    if case.engine == "loop":
        from cnn_pipeline.network.engines.jax_loop import JaxEngine

        return JaxEngine(twin, training)
    from cnn_pipeline.network.engines.keras_fit import KerasEngine

    return KerasEngine(twin, training)


def _limits(size: int) -> dict[str, float]:
    """GFLOP/s of a square matrix product by precision; GB/s of a copy, read and written."""
    import keras

    rng = np.random.default_rng(0)
    found = {}
    for precision in ("bfloat16", "float32"):
        left, right = (
            keras.ops.convert_to_tensor(rng.normal(size=(size, size)), precision) for _ in "ab"
        )
        found[precision] = 2 * size**3 / _seconds(keras.ops.matmul, left, right) / 1e9
    large = keras.ops.ones((size * size * 8,), "float32")
    bytes_moved = 2 * 4 * size * size * 8
    found["copying"] = bytes_moved / _seconds(keras.ops.negative, large) / 1e9
    return found


def _seconds(function: Callable[..., Any], *given: Any) -> float:
    """Seconds of one call of ten that follow each other; the median of five such."""
    _wait_for(function(*given))
    found = []
    for _ in range(5):
        started = time.perf_counter()
        for _ in range(10):
            outputs = function(*given)
        _wait_for(outputs)
        found.append((time.perf_counter() - started) / 10)
    return spread(found).median


def _wait_for(outputs: Any) -> None:
    """A device computes its queue in order: the last one's first number comes after them all."""
    import keras

    keras.ops.convert_to_numpy(keras.ops.ravel(outputs)[:1])


if __name__ == "__main__":
    sys.exit(main())
