"""Images a second of one training: Keras' `fit` as the tutorial has it against this project's.

    .venv/bin/python -m benchmarks.training_speed            # about 6 minutes
    .venv/bin/python -m benchmarks.training_speed --rounds 1 --filters 16

Each contestant runs in a process of its own, in turn, the order rotating; the first epoch, which
compiles, is left out. 'Two trainings at once' are two processes of one thread, their images added.
Figures go to `benchmarks/results/training-speed-*.json`, a table to `.md`.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from collections.abc import Collection

import numpy as np

from benchmarks.machine import in_words, this_machine
from benchmarks.report import RESULTS, markdown, ratios, say, spread, write
from benchmarks.timing import answers_at_once, rotated
from cnn_pipeline.network.device import processor_flags
from cnn_pipeline.network.plan import plan_layers
from cnn_pipeline.settings.trial import Training, Variant
from cnn_pipeline.trainers.environment import trainer_environment

EPOCHS, BATCH = 4, 128
REFERENCE = "Keras fit, float32"
# Name: (who, precision, threads, processes at once).
CONTESTANTS = {
    REFERENCE: ("keras", "float32", 2, 1),
    "Keras fit, mixed_bfloat16": ("keras", "bfloat16", 2, 1),
    "this project, float32": ("ours", "float32", 2, 1),
    "this project, bfloat16": ("ours", "bfloat16", 2, 1),
    "this project, bfloat16, two trainings at once": ("ours", "bfloat16", 1, 2),
}


def main() -> None:
    """Measure all rounds and write the table."""
    parser = argparse.ArgumentParser(prog="training_speed", description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--filters", type=int, default=64)
    parser.add_argument("--pooling", default="max")
    parser.add_argument("--images", type=int, default=6400, help="of an epoch; a GPU needs more")
    parser.add_argument("--one", nargs=3, metavar=("WHO", "PRECISION", "THREADS"))
    given = parser.parse_args()
    if given.one:
        who, precision, threads = given.one
        print(json.dumps(_measure(who, precision, int(threads), given)))
        return
    measured: dict[str, list[float]] = {name: [] for name in _contestants(processor_flags())}
    for index in range(given.rounds):
        for name in rotated([*measured], index):
            measured[name].append(_run(name, given))
            say(f"{name}: {measured[name][-1]:,.0f} images/s")
    # Two operations per multiply-accumulate; the backward pass counts twice the forward pass.
    variant = Variant(filters=given.filters, pooling=given.pooling)
    gflop = plan_layers(variant, (28, 28, 1), 10).macs * 2 * 3 / 1e9
    rows = [
        [
            name,
            spread(values).text(0),
            ratios(values, measured[REFERENCE]).text(2),
            f"{spread(values).median * gflop:,.0f}",
        ]
        for name, values in measured.items()
    ]
    machine = this_machine()
    work = f"{given.filters} filters, pooling {given.pooling}, batch {BATCH}, {given.rounds} rounds"
    stem = f"training-speed-f{given.filters}-{given.pooling}"
    header = ["training", "images/s", "times Keras float32", "GFLOP/s reached"]
    write(stem, f"{work}. {in_words(machine)}", markdown(header, rows))
    record = {"machine": machine, "images_per_second": measured}
    (RESULTS / f"{stem}.json").write_text(json.dumps(record, indent=1), encoding="utf-8")


def _contestants(flags: Collection[str]) -> list[str]:
    """All, without bfloat16 where the processor emulates it, which takes minutes a round."""
    emulated = flags and not {"avx512_bf16", "amx_bf16"} & set(flags)
    return [
        name
        for name, (_, precision, *_) in CONTESTANTS.items()
        if precision == "float32" or not emulated
    ]


def _run(name: str, given: argparse.Namespace) -> float:
    who, precision, threads, at_once = CONTESTANTS[name]
    words = [sys.executable, "-m", "benchmarks.training_speed"]
    words += ["--filters", str(given.filters), "--pooling", given.pooling]
    words += ["--images", str(given.images), "--one", who, precision, str(threads)]
    environment = trainer_environment(os.environ) if who == "ours" else dict(os.environ)
    environment["TF_CPP_MIN_LOG_LEVEL"] = "3"
    return float(sum(answers_at_once(words, at_once, environment)))


def _measure(who: str, precision: str, threads: int, given: argparse.Namespace) -> float:
    """Images a second in this process; from random pixels, which train as fast as any."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (given.images, 28, 28, 1), dtype=np.uint8)
    labels = rng.integers(0, 10, given.images)
    variant = Variant(filters=given.filters, pooling=given.pooling)
    if who == "ours":
        return _ours(images, labels, precision, threads, variant)
    return _keras(images, labels, precision, given)


def _ours(
    images: np.ndarray, labels: np.ndarray, precision: str, threads: int, variant: Variant
) -> float:
    from cnn_pipeline.data.dataset import Split
    from cnn_pipeline.network.build import build_model, build_twin
    from cnn_pipeline.network.device import configure
    from cnn_pipeline.network.train import train

    device = configure(threads)
    model = build_model(variant, (28, 28, 1), 10, seed=0)
    twin = build_twin(model, variant, precision=precision, seed=0)
    split = Split("train", images, labels)
    held_out = Split("validation", images[:100], labels[:100])
    training = Training(epochs=EPOCHS, batch_size=BATCH)
    return train(twin, split, held_out, training, device, seed=0).images_per_second


def _keras(
    images: np.ndarray, labels: np.ndarray, precision: str, given: argparse.Namespace
) -> float:
    """The tutorial's code: scaled floats, softmax at the end, one `fit`; Keras' own threads."""
    import keras

    from benchmarks.rivals.common.network import build_model

    keras.config.set_dtype_policy("mixed_bfloat16" if precision == "bfloat16" else "float32")
    model = build_model(given.filters, given.pooling)
    ends: list[float] = []
    clock = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: ends.append(time.perf_counter())
    )
    scaled = (images / 255).astype("float32")
    model.fit(scaled, labels, batch_size=BATCH, epochs=EPOCHS, verbose=0, callbacks=[clock])
    return len(images) * (EPOCHS - 1) / (ends[-1] - ends[0])


if __name__ == "__main__":
    main()
