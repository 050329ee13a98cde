"""KerasTuner's grid search over the variants.

Written after https://keras.io/keras_tuner/api/tuners/grid and
https://keras.io/guides/keras_tuner/getting_started: a `HyperModel` whose `hp.Choice`s span the
grid, one `search`, then every trial's model from `get_best_models`, scored on the test images.
KerasTuner keeps a checkpoint (the weights of the best epoch) and a JSON file per trial. Nothing is
tracked. It requires TensorBoard, which TensorFlow no longer installs.
"""

from __future__ import annotations

import time
from typing import Any

import keras
import keras_tuner
from network import batches_in_new_order, build_model
from work import BATCH_SIZE, Work, answer, label, print_answers, read_work


class Grid(keras_tuner.HyperModel):
    """The variants as a search space; records the seconds of each fit."""

    def __init__(self, work: Work) -> None:
        super().__init__()
        self.fit_seconds: dict[str, float] = {}
        self._work = work

    def build(self, hp: keras_tuner.HyperParameters) -> keras.Model:
        """The network for a set of hyperparameters."""
        keras.utils.set_random_seed(self._work.seed)
        return build_model(
            hp.Choice("filters", list(self._work.filters)),
            hp.Choice("pooling", list(self._work.pooling)),
        )

    def fit(
        self, hp: keras_tuner.HyperParameters, model: keras.Model, *args: Any, **kwargs: Any
    ) -> Any:
        """Fit as the tuner does, and measure the time."""
        begin = time.perf_counter()
        history = model.fit(*args, **kwargs)
        name = label(hp.get("filters"), hp.get("pooling"))
        self.fit_seconds[name] = time.perf_counter() - begin
        return history


def main() -> None:
    """Search the grid, then score every variant."""
    work = read_work()
    grid = Grid(work)
    tuner = keras_tuner.GridSearch(
        grid,
        objective="val_accuracy",
        seed=work.seed,
        directory=work.output,
        project_name="filters-and-pooling",
    )
    tuner.search(
        batches_in_new_order(*work.training, BATCH_SIZE, work.seed),
        epochs=work.epochs,
        validation_data=work.validation,
        validation_batch_size=BATCH_SIZE,
        shuffle=False,  # the batches are
        verbose=2,
    )
    tuner.results_summary()
    count = len(work.variants)
    answers = []
    found = zip(tuner.get_best_hyperparameters(count), tuner.get_best_models(count), strict=True)
    for hp, model in found:
        name = label(hp.get("filters"), hp.get("pooling"))
        _, accuracy = model.evaluate(work.x_test, work.y_test, verbose=0)
        answers.append(answer(name, accuracy, grid.fit_seconds[name], work.images_seen))
    print_answers(answers)


if __name__ == "__main__":
    main()
