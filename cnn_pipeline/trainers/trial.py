"""Run one trial, from the settings to the logged run.

Builds, trains, evaluates, draws and logs, without Prefect and without a parent process.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

import keras

from cnn_pipeline.base import events, links, metric_names, versions
from cnn_pipeline.base.files import sha256_of_bytes
from cnn_pipeline.base.machine import processor_name
from cnn_pipeline.data.dataset import Dataset
from cnn_pipeline.data.samples import journey_images
from cnn_pipeline.explain.drawing.fonts import legend, legible
from cnn_pipeline.explain.drawing.page import png_bytes
from cnn_pipeline.explain.plots.confusion import draw_confusion_matrix
from cnn_pipeline.explain.plots.curves import draw_curves
from cnn_pipeline.explain.plots.journey import LayerOutput, draw_journey
from cnn_pipeline.explain.plots.kernels import draw_kernels
from cnn_pipeline.explain.plots.mistakes import draw_misclassified
from cnn_pipeline.network.build import build_model, build_twin, layer_outputs
from cnn_pipeline.network.checkpoint import Checkpoints
from cnn_pipeline.network.device import Device, resolve_precision, vector_instructions
from cnn_pipeline.network.evaluation import Evaluation, evaluate, predictions_table
from cnn_pipeline.network.history import Epoch, History
from cnn_pipeline.network.latency import LARGE_BATCH, Timed
from cnn_pipeline.network.metrics import (
    MEASURED_ON,
    TrialOutcome,
    detail_metrics,
    epoch_metrics,
    headline_metrics,
    rounded_curves,
)
from cnn_pipeline.network.plan import plan_layers
from cnn_pipeline.network.results import Scalar
from cnn_pipeline.network.summary import layers_json, summary_text, trial_note
from cnn_pipeline.network.train import Callback, Diverged, train
from cnn_pipeline.settings.command_line import reproducing_command
from cnn_pipeline.settings.spelling import spell
from cnn_pipeline.settings.trial import DataSettings, Trial, Variant
from cnn_pipeline.tracking import names
from cnn_pipeline.tracking.inputs import describe_inputs
from cnn_pipeline.tracking.models import log_model
from cnn_pipeline.tracking.undocumented import table_json
from cnn_pipeline.tracking.writer import Tracker
from cnn_pipeline.trainers.environment import numeric_environment


def run_trial(
    trial: Trial,
    data: DataSettings,
    dataset: Dataset,
    device: Device,
    tracker: Tracker,
    run_id: str,
    *,
    data_seconds: float = 0.0,
    checkpoints: Checkpoints | None = None,
    checkpoint_seconds: float = 60.0,
) -> dict[str, float]:
    """Build, train, evaluate and log one trial into its run. Returns its headline metrics.

    The caller sets the run's status, because it knows how the process ended.

    Args:
        trial: what to train.
        data: how the images were chosen.
        dataset: the images.
        device: where to train.
        tracker: where to log.
        run_id: the trial's run. It may hold what an earlier process has logged of this trial.
        data_seconds: time to load the data, 0 if an earlier trial loaded them.
        checkpoints: from which training goes on, and which are written. They are removed once the
            run is complete, or if the loss is not finite.
        checkpoint_seconds: an epoch that takes longer is saved within it too.

    Raises:
        Diverged: a loss is NaN or infinite.
    """
    clock = _Clock({"data": data_seconds})
    precision = resolve_precision(trial.training.precision, device)
    params = trial_params(trial, dataset, device, precision)
    tracker.log_settings(run_id, params, _trial_tags(dataset, device), dataset)

    events.emit(events.TrialPhase(trial.name, "building"))
    with clock("build"):
        keras.backend.clear_session()
        plan = plan_layers(trial.variant, dataset.image_shape, len(dataset.class_names))
        model = build_model(
            trial.variant, dataset.image_shape, len(dataset.class_names), seed=trial.seed
        )
        twin = build_twin(
            model,
            trial.variant,
            precision=precision,
            seed=trial.seed,
            augmentation=trial.training.augmentation,
        )

    events.emit(events.TrialPhase(trial.name, "training"))
    with clock("train"):
        reporter = _Reporter(trial, len(dataset.train.labels), tracker, run_id)
        try:
            history = train(
                twin,
                dataset.train,
                dataset.validation,
                trial.training,
                device,
                seed=trial.seed,
                callbacks=[reporter],
                checkpoints=checkpoints,
                checkpoint_seconds=checkpoint_seconds,
            )
        except Diverged:  # it would diverge again
            if checkpoints is not None:
                checkpoints.remove()
            raise
        model.set_weights(twin.get_weights())
        del twin
    if history.stop_reason:
        events.emit(events.TrialNote(trial.name, f"stopped early: {history.stop_reason}"))

    events.emit(events.TrialPhase(trial.name, "evaluating"))
    with clock("evaluate"):
        predict = Timed(model.predict_on_batch)
        class_names = dataset.class_names
        validation = evaluate(predict, dataset.validation, class_names, LARGE_BATCH)
        test = evaluate(predict, dataset.test, class_names, LARGE_BATCH)
        latency = predict.latency(dataset.test.images)

    events.emit(events.TrialPhase(trial.name, "logging"))
    with clock("plots"):
        plots = draw(trial, model, history, test, dataset)
    reporter.complete(history)
    outcome = TrialOutcome(plan, history, validation, test, latency, clock.seconds)
    logged = log_model(
        tracker.store,
        run_id,
        model,
        params,
        tags={
            names.VARIANT: trial.label,
            names.DATA_DIGEST: dataset.digest,
            names.PREPARATION: dataset.preparation.to_tag(),
        },
        step=history.kept.epoch,
    )
    metrics = {**headline_metrics(outcome), metric_names.MODEL_BYTES: float(logged.num_bytes)}
    splits = {one.role: one for one in describe_inputs(dataset)}
    measured_on = {name: splits[role] for name, role in MEASURED_ON.items()}
    tracker.log_summary(run_id, metrics, model_id=logged.model_id, measured_on=measured_on)
    tracker.log_summary(run_id, detail_metrics(outcome))
    records = _records(trial, data, outcome, model, device)
    tracker.log_files(run_id, {**records, **plots})
    page = links.model_page(logged.experiment_id, logged.model_id)
    command = reproducing_command(_as_run(trial, device), data)
    shape = "x".join(map(str, dataset.image_shape))
    images = f"{shape}, {dataset.preparation.shown}"
    tags = {
        names.MODEL_SHA256: logged.sha256,
        names.PREDICTIONS_SHA256: sha256_of_bytes(records[names.PREDICTIONS_FILE]),
        names.NOTE: trial_note(trial, plan, metrics, command, page, images),
    }
    if history.stop_reason:
        tags[names.STOP_REASON] = history.stop_reason
    # Last: a run with this tag has everything else.
    tracker.tag(run_id, tags | {names.COMPLETE: "true"})
    if checkpoints is not None:
        checkpoints.remove()
    return metrics


def trial_params(
    trial: Trial, dataset: Dataset, device: Device, precision: str
) -> dict[str, Scalar]:
    """The flat settings by which MLflow filters and compares, with the same keys on every trial.

    Without pooling `pool_size` has its default: MLflow's compare view draws an axis for each of the
    first three params that differ, and an unused setting is not a difference.
    """
    variant, training = trial.variant, trial.training
    recorded = Variant() if "pool_size" in variant.unused else variant
    return {
        names.VARIANT: trial.label,
        "filters": spell(variant.filters),
        "conv_layers": variant.conv_layers,
        "kernel_size": variant.kernel_size,
        "pooling": variant.pooling,
        "pool_size": recorded.pool_size,
        "padding": variant.padding,
        "dense_units": variant.dense_units,
        "dropout": variant.dropout,
        "batch_norm": variant.batch_norm,
        "activation": variant.activation,
        "optimizer": training.optimizer,
        "learning_rate": training.learning_rate,
        "schedule": training.schedule,
        # MLflow groups runs with a missing param apart, so none is spelled out.
        "weight_decay": "default" if training.weight_decay is None else training.weight_decay,
        "ema_momentum": training.ema_momentum or "none",
        "augmentation": training.augmentation,
        "batch_size": training.batch_size,
        "epochs": training.epochs,
        "stop_at_accuracy": training.stop_at_accuracy or "never",
        "patience": training.patience or "never",
        "class_weights": training.class_weights,
        names.SEED: trial.seed,
        "precision": precision,
        "threads": device.threads,
        names.TRAIN_SAMPLES: len(dataset.train.labels),
    }


def draw(
    trial: Trial, model: keras.Sequential, history: History, test: Evaluation, dataset: Dataset
) -> dict[str, bytes]:
    """The pictures of one run by artifact path, and the class names that they lack."""
    chosen = list(journey_images(test.labels, dataset.class_names))
    layers = [
        LayerOutput(name, kind, values)
        for name, kind, values in layer_outputs(model, trial.variant, dataset.test.images[chosen])
    ]
    shown = legible(dataset.class_names)
    titles = [f"{shown[test.labels[i]]} (test image {i})" for i in chosen]
    curves = {
        name: [getattr(epoch, name) for epoch in history.epochs] for name in metric_names.CURVES
    }
    drawn = {
        "curves": draw_curves(curves, f"{trial.name}: learning curves"),
        "confusion_matrix": draw_confusion_matrix(test, f"{trial.name}: confusions on test"),
        "misclassified": draw_misclassified(
            test, dataset.test.images, f"{trial.name}: surest mistakes on test"
        ),
        "journey": draw_journey(
            layers, dataset.class_names, titles, f"{trial.name}: the journey of the image"
        ),
    }
    kernels = next(layer for layer in model.layers if layer.name == "conv1").get_weights()[0]
    if kernels.shape[2] in (1, 3):
        drawn["kernels"] = draw_kernels(kernels, f"{trial.name}: kernels of the first layer")
    files = {f"plots/{name}.png": png_bytes(figure) for name, figure in drawn.items()}
    if numbers := legend(dataset.class_names):
        files["plots/class_names.txt"] = f"{numbers}\n".encode()
    return files


def _records(
    trial: Trial, data: DataSettings, outcome: TrialOutcome, model: keras.Sequential, device: Device
) -> dict[str, str | bytes]:
    config = {
        "trial": trial.model_dump(mode="json"),
        "data": data.model_dump(mode="json"),
        "device": {
            "kind": device.kind,
            "name": device.name,
            "threads": device.threads,
            "processor": processor_name(),
            "instructions": vector_instructions(),
        },
        # Hashed: `TF_` is the beginning of other programs' secrets, too.
        "environment": {
            name: hashlib.sha256(value.encode()).hexdigest()
            for name, value in numeric_environment(os.environ).items()
        },
        "versions": versions.versions(),
        "command": reproducing_command(_as_run(trial, device), data),
    }
    table = predictions_table(outcome.test)
    parquet = io.BytesIO()
    table.to_parquet(parquet, index=False)
    per_class = outcome.test.per_class
    confusions = outcome.test.top_confusions(10)
    return {
        names.SUMMARY_FILE: summary_text(model, outcome.plan),
        names.LAYERS_FILE: layers_json(outcome.plan),
        names.CONFIG_FILE: json.dumps(config, indent=2) + "\n",
        names.HISTORY_FILE: _history_csv(outcome.history),
        names.PREDICTIONS_FILE: parquet.getvalue(),
        "tables/per_class.json": table_json(
            ["class", "precision", "recall", "f1", "images"],
            [[row["name"], row["precision"], row["recall"], row["f1"], row["support"]]
             for row in per_class],
        ),
        "tables/top_confusions.json": table_json(
            ["true class", "taken for", "images"], [list(row) for row in confusions]
        ),
        "tables/confusion_matrix.json": table_json(
            ["true class", *outcome.test.class_names],
            [[name, *map(int, row)]
             for name, row in zip(
                outcome.test.class_names, outcome.test.confusion, strict=True)],
        ),
    }  # fmt: skip


def _as_run(trial: Trial, device: Device) -> Trial:
    """The trial with the values of 'auto' and all cores, which affect the last bits of weights."""
    meant = {
        "precision": resolve_precision(trial.training.precision, device),
        "threads": device.threads,
    }
    return trial.model_copy(update={"training": trial.training.model_copy(update=meant)})


def _history_csv(history: History) -> str:
    text = io.StringIO()
    rows = [{"epoch": epoch.epoch, **epoch_metrics(epoch)} for epoch in history.epochs]
    writer = csv.DictWriter(text, fieldnames=list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _trial_tags(dataset: Dataset, device: Device) -> dict[str, str]:
    return {
        names.DATASET: dataset.name,
        names.DATA_DIGEST: dataset.digest,
        names.DATA_SOURCE: dataset.source,
        names.CLASS_NAMES: json.dumps(dataset.class_names),
        names.IMAGE_SHAPE: "x".join(map(str, dataset.image_shape)),
        names.PREPARATION: dataset.preparation.to_tag(),
        names.DEVICE: device.name,
        names.KERAS_BACKEND: keras.backend.backend(),
        **{
            f"{names.VERSION_PREFIX}{name}": version
            for name, version in versions.versions().items()
        },
    }


class _Reporter(Callback):
    """Logs curves to MLflow and emits progress."""

    def __init__(self, trial: Trial, count: int, tracker: Tracker, run_id: str) -> None:
        self._trial = trial
        self._count = count
        self._curves = tracker.curves(
            run_id, lambda text: events.emit(events.TrialNote(trial.name, text))
        )

    def on_resume(self, epochs: tuple[Epoch, ...], images: int) -> None:
        """Say where training goes on, and show the epochs before."""
        done, count = len(epochs), self._trial.training.epochs
        where = f"in epoch {done + 1} of {count}" if images else f"after epoch {done} of {count}"
        events.emit(events.TrialNote(self._trial.name, f"goes on {where}"))
        # From here on: the speed is measured from the first of these events.
        reached = done * self._count + images
        self._emit(max(done - 1, 0), reached, {})
        for epoch in epochs:
            self._emit(epoch.epoch, reached, epoch_metrics(epoch))

    def on_images(self, epoch: int, images: int) -> None:
        self._emit(epoch, epoch * self._count + images, {})

    def on_epoch(self, epoch: Epoch) -> None:
        self._curves.add(epoch.epoch, self._points(epoch))
        self._emit(epoch.epoch, (epoch.epoch + 1) * self._count, epoch_metrics(epoch))

    def complete(self, history: History) -> None:
        """Log what is missing of the curves, also of epochs before the trial was resumed."""
        self._curves.complete({epoch.epoch: self._points(epoch) for epoch in history.epochs})

    @staticmethod
    def _points(epoch: Epoch) -> dict[str, float]:
        rounded = rounded_curves(epoch_metrics(epoch))
        # MLflow's compare view opens with the metric that was logged first.
        return {metric_names.VAL_ACCURACY: rounded[metric_names.VAL_ACCURACY], **rounded}

    def _emit(self, epoch: int, images: int, metrics: dict[str, float]) -> None:
        epochs = self._trial.training.epochs
        events.emit(
            events.TrialProgress(
                self._trial.name, epoch, epochs, images, epochs * self._count, metrics
            )
        )


class _Clock:
    """Measures seconds per phase."""

    def __init__(self, seconds: dict[str, float]) -> None:
        self.seconds = seconds

    @contextmanager
    def __call__(self, phase: str) -> Iterator[None]:
        started = time.perf_counter()
        yield
        self.seconds[phase] = time.perf_counter() - started
