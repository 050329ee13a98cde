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
from pathlib import Path

import numpy as np

from benchmarks.machine import this_machine
from benchmarks.tables import markdown, ratios, spread
from benchmarks.timing import answers_at_once, rotated
from cnn_pipeline.network.device import processor_flags
from cnn_pipeline.network.plan import plan_layers
from cnn_pipeline.settings.trial import Training, Variant
from cnn_pipeline.trainers.environment import trainer_environment

RESULTS = Path(__file__).parent / "results"
EPOCHS, BATCH = 4, 128
# Name: (who, precision, threads, processes at once).
CONTESTANTS = {
    "Keras fit, float32": ("keras", "float32", 2, 1),
    "Keras fit, mixed_bfloat16": ("keras", "bfloat16", 2, 1),
    "this project, float32": ("ours", "float32", 2, 1),
    "this project, bfloat16": ("ours", "bfloat16", 2, 1),
    "this project, bfloat16, two trainings at once": ("ours", "bfloat16", 1, 2),
}
REFERENCE = "Keras fit, float32"


def main() -> int:
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
        return 0
    names = _contestants(processor_flags())
    measured: dict[str, list[float]] = {name: [] for name in names}
    for index in range(given.rounds):
        for name in rotated(names, index):
            measured[name].append(_run(name, given))
            print(f"{name}: {measured[name][-1]:,.0f} images/s", file=sys.stderr, flush=True)
    gflop = gflop_of_an_image(Variant(filters=given.filters, pooling=given.pooling))
    rows = [
        [
            name,
            spread(values).text(0),
            ratios(values, measured[REFERENCE]).text(2),
            f"{spread(values).median * gflop:,.0f}",
        ]
        for name, values in measured.items()
    ]
    text = (
        f"{given.filters} filters, pooling {given.pooling}, batch {BATCH}, {given.rounds} rounds. "
        f"{this_machine().in_words()}.\n\n"
        + markdown(["training", "images/s", "times Keras float32", "GFLOP/s reached"], rows)
    )
    RESULTS.mkdir(exist_ok=True)
    stem = f"training-speed-f{given.filters}-{given.pooling}"
    record = {"machine": this_machine().as_json(), "images_per_second": measured}
    (RESULTS / f"{stem}.json").write_text(json.dumps(record, indent=1), encoding="utf-8")
    (RESULTS / f"{stem}.md").write_text(text, encoding="utf-8")
    print(text)
    return 0


def _contestants(flags: Collection[str]) -> list[str]:
    """Without bfloat16 where the processor emulates it, which takes minutes a round."""
    precisions = {"float32"}
    if not flags or {"avx512_bf16", "amx_bf16"} & set(flags):
        precisions.add("bfloat16")
    return [name for name, (_, precision, *_) in CONTESTANTS.items() if precision in precisions]


def gflop_of_an_image(variant: Variant) -> float:
    """Two operations a multiply-accumulate; backward passes count twice the forward one."""
    return plan_layers(variant, (28, 28, 1), 10).macs * 2 * 3 / 1e9


def _run(name: str, given: argparse.Namespace) -> float:
    who, precision, threads, at_once = CONTESTANTS[name]
    words = [sys.executable, "-m", "benchmarks.training_speed"]
    words += ["--filters", str(given.filters), "--pooling", given.pooling]
    words += ["--images", str(given.images)]
    words += ["--one", who, precision, str(threads)]
    environment = trainer_environment(os.environ) if who == "ours" else dict(os.environ)
    environment["TF_CPP_MIN_LOG_LEVEL"] = "3"
    return float(sum(answers_at_once(words, at_once, environment)))


def _measure(who: str, precision: str, threads: int, given: argparse.Namespace) -> float:
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (given.images, 28, 28, 1), dtype=np.uint8)
    labels = rng.integers(0, 10, given.images)
    if who == "keras":
        return _keras(images, labels, precision, given.filters, given.pooling)
    variant = Variant(filters=given.filters, pooling=given.pooling)
    return _ours(images, labels, precision, threads, variant)


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
    images: np.ndarray, labels: np.ndarray, precision: str, filters: int, pooling: str
) -> float:
    """The tutorial's code: scaled floats, softmax at the end, one `fit`; Keras' own threads."""
    import keras

    layers = keras.layers
    keras.config.set_dtype_policy("mixed_bfloat16" if precision == "bfloat16" else "float32")
    pool = [layers.MaxPooling2D(2)] if pooling == "max" else []
    again = [layers.MaxPooling2D(2)] if pooling == "max" else []
    model = keras.Sequential(
        [
            layers.Input((28, 28, 1)),
            layers.Conv2D(filters, 3, activation="relu"),
            *pool,
            layers.Conv2D(filters, 3, activation="relu"),
            *again,
            layers.Flatten(),
            layers.Dense(128, activation="relu"),
            layers.Dense(10, activation="softmax", dtype="float32"),
        ]
    )
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    ends: list[float] = []

    class Clock(keras.callbacks.Callback):  # type: ignore[misc]
        def on_epoch_end(self, epoch: int, logs: object = None) -> None:
            ends.append(time.perf_counter())

    scaled = (images / 255).astype("float32")
    model.fit(scaled, labels, batch_size=BATCH, epochs=EPOCHS, verbose=0, callbacks=[Clock()])
    return len(images) * (EPOCHS - 1) / (ends[-1] - ends[0])


if __name__ == "__main__":
    sys.exit(main())
