r"""Accuracy and its spread over seeds: one order in every epoch, and recipes with less spread.

    nice -n 19 .venv/bin/python -m benchmarks.seeds           # hours; go on by running it again
    .venv/bin/python -m benchmarks.seeds --one recipe f64-max constant-5 0
    .venv/bin/python -m benchmarks.seeds --table              # from the trainings there are

A training is one variant, way and seed, on one thread. Each network that it gives is a row of
`benchmarks/results/seeds.csv`; what is there is not trained again. Two tables follow from the rows.

'order' trains on the images of the race 'default', with four ways to order them:

- `loop`: the rivals' network and `fit` on arrays, as a user would write it;
- `loop-new-order`: the same with a new order in each epoch;
- `ours`: this project's training;
- `ours-one-order`: the same with the order of the first epoch in every epoch.

'recipe' trains on this project's default split: `constant-5` is a constant learning rate and 5
epochs. Of each training, the last weights and three averages of the weights are scored.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from benchmarks.machine import in_words, this_machine
from benchmarks.report import RESULTS, markdown, say, write
from cnn_pipeline.comparison.statistics import t_interval
from cnn_pipeline.settings.trial import DataSettings, Training, Variant

BATCH = 128
MOMENTA = (0.99, 0.995, 0.998)
ROWS = RESULTS / "seeds.csv"
# Its first rounds have the ways 'loop' and 'ours' of these variants, on the same images.
RACE = RESULTS / "default-avx2.json"
RACE_DATA = DataSettings(validation_size=6000, train_limit=54_000)


@dataclass(frozen=True)
class Task:
    """One training."""

    part: str
    variant: str
    way: str
    seed: int

    def network(self) -> Variant:
        """The network of 'f64-max'."""
        filters, pooling = self.variant[1:].split("-")
        return Variant.model_validate({"filters": int(filters), "pooling": pooling})

    def training(self) -> Training:
        """The settings of 'cosine-10'; the tutorial's for the part 'order'."""
        if self.part == "order":
            return Training()
        schedule, epochs = self.way.split("-")
        return Training.model_validate({"schedule": schedule, "epochs": int(epochs)})


@dataclass(frozen=True)
class Row:
    """One network of a training: its last weights, or an average of them, after some epochs."""

    part: str
    variant: str
    way: str
    seed: int
    epochs: int
    momentum: float
    """Of the average of the weights; 0 for the last weights."""
    loss: float
    """Mean over the last epoch, while the weights changed."""
    val_accuracy: float
    test_accuracy: float
    seconds: float


Key = tuple[str, str, str, int, float]
"""Part, variant, way, epochs and momentum."""


def tasks() -> Iterator[Task]:
    """All trainings, seed by seed."""
    for seed in range(10):
        for way in ("constant-10", "cosine-5", "cosine-10"):
            yield Task("recipe", "f64-max", way, seed)
        for variant in ("f16-max", "f32-none"):
            for way in ("loop", "loop-new-order", "ours", "ours-one-order"):
                yield Task("order", variant, way, seed)


def run(task: Task) -> list[Row]:
    """Train on one thread, and score each network."""
    return run_loop(task) if task.way.startswith("loop") else run_ours(task)


def run_ours(task: Task) -> list[Row]:
    """Train as this project does."""
    import tensorflow as tf

    from cnn_pipeline.base.home import cache_dir
    from cnn_pipeline.data.dataset import load_dataset
    from cnn_pipeline.network.build import build_model, build_twin
    from cnn_pipeline.network.device import configure
    from cnn_pipeline.network.engines.graph import GraphEngine
    from cnn_pipeline.network.train import epoch_order

    configure(1)
    settings = RACE_DATA if task.part == "order" else DataSettings()
    data = load_dataset(settings, cache_dir(os.environ))
    count = len(data.train.labels)
    training = task.training()
    model = build_model(task.network(), (28, 28, 1), 10, seed=task.seed)
    twin = build_twin(model, task.network(), precision="float32", seed=task.seed)
    # Several averages of one training, which `ema_momentum` gives one at a time.
    averages = {
        momentum: [tf.Variable(tf.zeros_like(each.value)) for each in twin.trainable_variables]
        for momentum in (() if task.way == "ours-one-order" else MOMENTA)
    }

    class Averaging(GraphEngine):
        """Averages the weights after each step as Keras' optimizers do."""

        def _step(self, *given: Any) -> Any:
            result = super()._step(*given)
            later = tf.cast(self._optimizer.iterations.value > 1, tf.float32)
            for momentum, kept in averages.items():
                for average, variable in zip(kept, twin.trainable_variables, strict=True):
                    share = later * momentum
                    average.assign(share * average + (1 - share) * variable.value)
            return result

    engine = Averaging(twin, training, count, 1)
    rows = []
    begin = time.perf_counter()
    for number in range(training.epochs):
        order = epoch_order(task.seed, 0 if task.way == "ours-one-order" else number, count)
        loss, _ = engine.epoch(data.train, order, lambda images, sums: None)
        if number + 1 not in (5, training.epochs):
            continue
        seconds = time.perf_counter() - begin
        last = twin.get_weights()
        for momentum in (0.0, *averages):
            if momentum:
                twin.set_weights([each.numpy() for each in averages[momentum]])
            scores = [engine.evaluate(split)[1] for split in (data.validation, data.test)]
            rows.append(Row(**asdict(task), epochs=number + 1, momentum=momentum, loss=loss,
                            val_accuracy=scores[0], test_accuracy=scores[1],
                            seconds=seconds))  # fmt: skip
        twin.set_weights(last)
    return rows


def run_loop(task: Task) -> list[Row]:
    """Train as the rivals of the race do."""
    import keras
    import tensorflow as tf

    from benchmarks.rivals.common.network import batches_in_new_order, build_model
    from cnn_pipeline.base.home import cache_dir
    from cnn_pipeline.data.dataset import load_dataset

    tf.config.threading.set_intra_op_parallelism_threads(1)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    data = load_dataset(RACE_DATA, cache_dir(os.environ))
    train, validation, test = (
        (split.images.astype("float32") / 255, split.labels)
        for split in (data.train, data.validation, data.test)
    )
    keras.utils.set_random_seed(task.seed)
    model = build_model(task.network().filters[0], task.network().pooling)
    begin = time.perf_counter()
    if task.way == "loop":
        fitted = model.fit(*train, batch_size=BATCH, epochs=5, verbose=0)
    else:
        batches = batches_in_new_order(*train, BATCH, task.seed)
        fitted = model.fit(batches, epochs=5, shuffle=False, verbose=0)
    seconds = time.perf_counter() - begin
    scores = [model.evaluate(*split, verbose=0)[1] for split in (validation, test)]
    return [Row(**asdict(task), epochs=5, momentum=0.0, loss=fitted.history["loss"][-1],
                val_accuracy=scores[0], test_accuracy=scores[1], seconds=seconds)]  # fmt: skip


def read(path: Path) -> list[Row]:
    """The rows so far."""
    if not path.exists():
        return []
    kinds: Mapping[str, Any] = {"str": str, "int": int, "float": float}
    with path.open(newline="", encoding="utf-8") as file:
        return [
            Row(**{each.name: kinds[str(each.type)](row[each.name]) for each in fields(Row)})
            for row in csv.DictReader(file)
        ]


def append(path: Path, rows: Iterable[Row]) -> None:
    """Add rows to the file."""
    names = [each.name for each in fields(Row)]
    lines = [names] if not path.exists() else []
    lines += [[str(value) for value in asdict(row).values()] for row in rows]
    with path.open("a", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows(lines)


def accuracies(rows: Iterable[Row], race: Path) -> dict[Key, dict[int, float]]:
    """Test accuracy in percent by seed. Trainings of the race count where `rows` has none."""
    found: dict[Key, dict[int, float]] = {}
    for run in json.loads(race.read_text("utf-8"))["runs"]:
        way = "ours" if run["contestant"] == "cnn-pipeline" else "loop"
        for each in run["variants"]:
            by_seed = found.setdefault(("order", each["variant"], way, 5, 0.0), {})
            by_seed[run["seed"]] = 100 * each["test_accuracy"]
    for row in rows:
        key = (row.part, row.variant, row.way, row.epochs, row.momentum)
        found.setdefault(key, {})[row.seed] = 100 * row.test_accuracy
    return found


def missing(found: Mapping[Key, Mapping[int, float]]) -> list[Task]:
    """The trainings of which nothing was found."""
    done = {(*key[:3], seed) for key, by_seed in found.items() for seed in by_seed}
    return [task for task in tasks() if (task.part, task.variant, task.way, task.seed) not in done]


def order_table(found: Mapping[Key, Mapping[int, float]]) -> str:
    """Each way beside the loop with a new order in each epoch, and beside ours."""
    ways = ("loop", "ours-one-order", "loop-new-order", "ours")
    titles = ("one order", "one order", "new orders", "new orders")
    makers = ("Keras loop", "this project", "Keras loop", "this project")
    body = []
    for variant in ("f16-max", "f32-none"):
        ours = found["order", variant, "ours", 5, 0.0]
        for way, title, maker in zip(ways, titles, makers, strict=True):
            by_seed = found.get(("order", variant, way, 5, 0.0), {})
            if by_seed:
                less = "-" if way == "ours" else difference(by_seed, ours)
                body.append([f"{variant}, {title}, {maker}", *_spread(by_seed), less])
    return markdown(["training", *_SPREAD, "less ours with new orders, points"], body)


def recipe_table(found: Mapping[Key, Mapping[int, float]]) -> str:
    """Each recipe beside the tutorial's."""
    tutorial = _recipe(found, "constant", 5, 0.0)
    base = statistics.stdev(tutorial.values())
    body = []
    for epochs in (5, 10):
        for schedule in ("constant", "cosine"):
            # At the end of a cosine the weights hardly move, so more averages say nothing.
            for momentum in (0.0, *(MOMENTA if schedule == "constant" else MOMENTA[:1])):
                by_seed = _recipe(found, schedule, epochs, momentum)
                if len(by_seed) < 2:
                    continue
                name = f"{epochs} epochs, {schedule}"
                name += f", average {momentum:g}" if momentum else ", last weights"
                share = (statistics.stdev(by_seed.values()) / base) ** 2
                less = "-" if by_seed == tutorial else difference(by_seed, tutorial)
                body.append([name, *_spread(by_seed), less, f"{share:.2f}"])
    header = ["recipe", *_SPREAD, "less the tutorial's, points", "variance, times the tutorial's"]
    return markdown(header, body)


def _recipe(
    found: Mapping[Key, Mapping[int, float]], schedule: str, epochs: int, momentum: float
) -> dict[int, float]:
    """Accuracies of a recipe. With a constant rate, ten epochs begin with five."""
    longest = (10,) if schedule == "constant" else ()
    return {
        seed: value
        for last in (*longest, epochs)
        for seed, value in found.get(
            ("recipe", "f64-max", f"{schedule}-{last}", epochs, momentum), {}
        ).items()
    }


_SPREAD = ["seeds", "test %, mean", "standard deviation", "least to greatest"]


def _spread(by_seed: Mapping[int, float]) -> list[str]:
    values = [*by_seed.values()]
    deviation = f"{statistics.stdev(values):.2f}" if len(values) > 1 else "-"
    mean = f"{statistics.fmean(values):.2f}"
    return [str(len(values)), mean, deviation, f"{min(values):.2f}-{max(values):.2f}"]


def difference(these: Mapping[int, float], those: Mapping[int, float]) -> str:
    """Mean difference over the seeds that both have: '-0.59 (95 % -0.71 to -0.47, 9 pairs)'."""
    points = [these[seed] - those[seed] for seed in these if seed in those]
    interval = t_interval(points)
    if interval is None:
        return "-"
    low, high = f"{interval.low:+.2f}", f"{interval.high:+.2f}"
    return f"{statistics.fmean(points):+.2f} (95 % {low} to {high}, {len(points)} pairs)"


def write_tables(rows: Sequence[Row]) -> None:
    """Both tables into `benchmarks/results`."""
    found = accuracies(rows, RACE)
    machine = f"Trained on several such machines, of which the last: {in_words(this_machine())}"
    images = "Fashion-MNIST, batches of 128, Adam, learning rate 0.001, scored on all test images"
    race = (
        "seeds 0 to 4 of the loop with one order and of ours are those of `race default`, on two "
        "threads of an AMD EPYC with AVX2 only"
    )
    head = f"{images}; 5 epochs of 54,000. Pairs are of equal seeds; {race}. {machine}"
    write("seeds-order", head, order_table(found))
    head = f"64 filters, max-pooling. {images}; epochs of 55,000. {machine}"
    write("seeds-recipe", head, recipe_table(found))


def main() -> None:
    """Train what is missing, then write the tables."""
    parser = argparse.ArgumentParser(prog="seeds", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--one", nargs=4, metavar=("PART", "VARIANT", "WAY", "SEED"))
    parser.add_argument("--table", action="store_true", help="train nothing")
    given = parser.parse_args()
    if given.one:
        part, variant, way, seed = given.one
        append(ROWS, run(Task(part, variant, way, int(seed))))
        return
    for task in () if given.table else missing(accuracies(read(ROWS), RACE)):
        words = [task.part, task.variant, task.way, str(task.seed)]
        say(" ".join(words))
        # In a process of its own: TensorFlow's threads are set once.
        subprocess.run([sys.executable, "-m", "benchmarks.seeds", "--one", *words], check=True)
    write_tables(read(ROWS))


if __name__ == "__main__":
    main()
