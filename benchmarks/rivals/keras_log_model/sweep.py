"""The plain Keras loop, tracked by MLflow's autolog, one run per variant.

Written after https://mlflow.org/docs/latest/python_api/mlflow.keras.html: `mlflow.keras.autolog()`
(metrics of each epoch, parameters, the summary) and MLflow's default store, SQLite and artifacts in
the current folder. The test accuracy and the finished model, with its signature, are logged by
hand, as in MLflow's guides; so autolog does not log the model a second time. (With an input
example, MLflow 3.17.2 fails: it writes the example before it creates the folder.)
"""

from __future__ import annotations

import os
import time

import keras
import mlflow
from network import batches_in_new_order, build_model
from work import BATCH_SIZE, answer, label, print_answers, read_work


def main() -> None:
    """Train, track and score each variant."""
    work = read_work()
    os.chdir(work.output)
    mlflow.set_tracking_uri("sqlite:///mlflow.db")
    mlflow.set_experiment("filters-and-pooling")
    mlflow.keras.autolog(log_models=False)  # the finished model is logged below
    answers = []
    for filters, pooling in work.variants:
        keras.utils.set_random_seed(work.seed)
        with mlflow.start_run(run_name=label(filters, pooling)):
            mlflow.log_params({"filters": filters, "pooling": pooling, "seed": work.seed})
            model = build_model(filters, pooling)
            clock = FitTime()
            model.fit(
                batches_in_new_order(*work.training, BATCH_SIZE, work.seed),
                epochs=work.epochs,
                validation_data=work.validation,
                validation_batch_size=BATCH_SIZE,
                shuffle=False,  # the batches are
                callbacks=[clock],
                verbose=2,
            )
            _, accuracy = model.evaluate(work.x_test, work.y_test, verbose=0)
            mlflow.log_metric("test_accuracy", accuracy)
            example = work.x_test[:1]
            signature = mlflow.models.infer_signature(example, model.predict(example))
            mlflow.keras.log_model(model, name="finished", signature=signature)
        name = label(filters, pooling)
        answers.append(answer(name, accuracy, clock.seconds, work.images_seen))
    print_answers(answers)


class FitTime(keras.callbacks.Callback):
    """Seconds between the first step and the end of the last epoch."""

    def on_train_begin(self, logs: object = None) -> None:
        """Start the clock."""
        self._begin = time.perf_counter()

    def on_train_end(self, logs: object = None) -> None:
        """Stop it."""
        self.seconds = time.perf_counter() - self._begin


if __name__ == "__main__":
    main()
