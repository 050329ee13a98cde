"""What checkpoints add to a training of the default sweep, in processor time.

    .venv/bin/python -m benchmarks.checkpoint_cost           # about 2 minutes

Each network of the default sweep is trained for a few epochs of a tenth of the images, and then
saved several times. The time of all threads of the process is measured, so that other work on the
machine matters little. Writes `benchmarks/results/checkpoint-cost.md`.
"""

from __future__ import annotations

import argparse
import os
import sys
import tempfile
import time
from pathlib import Path

import keras

from benchmarks.machine import in_words, this_machine
from benchmarks.report import markdown, say, spread, write
from cnn_pipeline.base.home import cache_dir
from cnn_pipeline.data.dataset import Dataset, load_dataset
from cnn_pipeline.network.build import build_model, build_twin
from cnn_pipeline.network.checkpoint import hold
from cnn_pipeline.network.device import Device, configure
from cnn_pipeline.network.history import Epoch, Progress
from cnn_pipeline.network.train import Callback, Saver, train
from cnn_pipeline.settings.named import filters_and_pooling
from cnn_pipeline.settings.trial import DataSettings, Training, Variant
from cnn_pipeline.trainers.environment import trainer_environment

_TENTH = 10
_DATA = DataSettings(train_limit=54_000 // _TENTH, validation_size=500)
_TRAINING = Training(epochs=3, threads=1, precision="float32")
_SAVES = 7


def main() -> None:
    """Measure all networks and write the table."""
    parser = argparse.ArgumentParser(prog="checkpoint_cost", description=__doc__)
    parser.parse_args()
    own = trainer_environment(os.environ)
    if own != dict(os.environ):  # glibc and TensorFlow read it at their start
        os.execve(sys.executable, [sys.executable, "-m", "benchmarks.checkpoint_cost"], own)
    device = configure(threads=1)
    dataset = load_dataset(_DATA, cache_dir(os.environ))
    rows: list[list[str]] = []
    saving = training = 0.0
    for trial in filters_and_pooling().trials((0,)):
        epoch, saves, size = _measured(trial.variant, dataset, device)
        cost = spread(saves)
        rows.append(
            [
                trial.label,
                f"{size / 1e6:.1f} MB",
                cost.text(3, " s"),
                f"{epoch:.1f} s",
                f"{100 * cost.median / epoch:.2f} %",
            ]
        )
        say(" ".join(rows[-1]))
        saving, training = saving + cost.median, training + epoch
    share = f"{100 * saving / training:.2f} %"
    rows.append(["all", "", f"{saving:.3f} s", f"{training:.1f} s", share])
    header = ["variant", "size", "a checkpoint", "an epoch of 54,000 images", "share"]
    write("checkpoint-cost", in_words(this_machine()), markdown(header, rows))


class _Timed(Callback):
    """Processor time at the end of each epoch."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def on_epoch(self, epoch: Epoch) -> None:
        """Called after each epoch."""
        self.ends.append(time.process_time())


def _measured(variant: Variant, dataset: Dataset, device: Device) -> tuple[float, list[float], int]:
    """Processor seconds of a whole epoch and of each save, and bytes of a checkpoint."""
    keras.backend.clear_session()
    model = build_model(variant, dataset.image_shape, len(dataset.class_names), seed=0)
    twin = build_twin(model, variant, precision="float32", seed=0)
    timed = _Timed()
    history = train(
        twin, dataset.train, dataset.validation, _TRAINING, device, seed=0, callbacks=[timed]
    )
    # The first epoch compiles.
    epoch = _TENTH * (timed.ends[-1] - timed.ends[0]) / (len(timed.ends) - 1)
    saves = []
    with tempfile.TemporaryDirectory(dir=Path.cwd()) as folder:
        with hold(Path(folder, "one"), {}, say) as checkpoints:
            saver = Saver(twin, checkpoints, 60.0)
            for number in range(1, _SAVES + 1):
                progress = Progress(history.epochs * number)
                started = time.process_time()
                saver.save(progress, saver.state())
                checkpoints.wait()
                saves.append(time.process_time() - started)
        files = max(Path(folder, "one").glob("ckpt-*")).iterdir()
        return epoch, saves, sum(file.stat().st_size for file in files)


if __name__ == "__main__":
    main()
