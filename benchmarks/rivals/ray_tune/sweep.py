"""Ray Tune's grid search with its MLflow callback.

Written after https://docs.ray.io/en/latest/tune/examples/tune-mlflow.html (the callback, with
`save_artifact=True` as there) and
https://docs.ray.io/en/latest/tune/examples/includes/tune_mnist_keras.html (a function that fits a
Keras model and reports each epoch). Resources are Tune's defaults: one CPU per trial, and as many
trials at once as CPUs. No models are kept, because the example takes no checkpoints
(`checkpoint_on=[]`).
"""

from __future__ import annotations

import time
from typing import Any

from ray import tune
from ray.air.integrations.mlflow import MLflowLoggerCallback
from work import BATCH_SIZE, Work, answer, label, print_answers, read_work


def train(config: dict[str, Any], work: Work) -> None:
    """One trial, in a process of its own."""
    import keras
    from network import batches_in_new_order, build_model
    from ray.tune.integration.keras import TuneReportCheckpointCallback

    keras.utils.set_random_seed(work.seed)
    model = build_model(config["filters"], config["pooling"])
    begin = time.perf_counter()
    history = model.fit(
        batches_in_new_order(*work.training, BATCH_SIZE, work.seed),
        epochs=work.epochs,
        validation_data=work.validation,
        validation_batch_size=BATCH_SIZE,
        shuffle=False,  # the batches are
        callbacks=[TuneReportCheckpointCallback(checkpoint_on=[])],
        verbose=0,
    )
    seconds = time.perf_counter() - begin
    _, accuracy = model.evaluate(work.x_test, work.y_test, verbose=0)
    last = {name: values[-1] for name, values in history.history.items()}
    tune.report({**last, "test_accuracy": accuracy, "fit_seconds": seconds})


def main() -> None:
    """Run the grid and read every trial's last report."""
    work = read_work()
    tuner = tune.Tuner(
        tune.with_parameters(train, work=work),
        param_space={
            "filters": tune.grid_search(list(work.filters)),
            "pooling": tune.grid_search(list(work.pooling)),
        },
        tune_config=tune.TuneConfig(metric="val_accuracy", mode="max"),
        run_config=tune.RunConfig(
            name="filters-and-pooling",
            storage_path=str(work.output / "ray"),
            callbacks=[
                MLflowLoggerCallback(
                    tracking_uri=f"sqlite:///{work.output / 'mlflow.db'}",
                    experiment_name="filters-and-pooling",
                    save_artifact=True,
                )
            ],
        ),
    )
    results = tuner.fit()
    if results.errors:
        raise results.errors[0]
    print_answers(
        [
            answer(
                label(result.config["filters"], result.config["pooling"]),
                result.metrics["test_accuracy"],
                result.metrics["fit_seconds"],
                work.images_seen,
            )
            for result in results
        ]
    )


if __name__ == "__main__":
    main()
