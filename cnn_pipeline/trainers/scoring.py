"""Score a registered model file in a trainer, for the gate."""

from __future__ import annotations

import io
from pathlib import Path

import keras
import numpy as np
from PIL import Image

from cnn_pipeline.base import metric_names
from cnn_pipeline.data.dataset import Dataset
from cnn_pipeline.data.picture import prepare_image
from cnn_pipeline.data.preparation import AS_IS
from cnn_pipeline.network.latency import LARGE_BATCH, Timed, measure_in_turn
from cnn_pipeline.network.load import load_verified
from cnn_pipeline.trainers.messages import ScoreJob


def score_model(job: ScoreJob, dataset: Dataset) -> dict[str, float]:
    """Verify and load a `.keras` file, and write its predictions for all test images.

    They go to `job.answers`, an `.npz` with `labels` int64 `[n]` and `probabilities` float32
    `[n, k]`. The gate judges them.

    Returns:
        `latency_ms` and `latency_ms_batch_256` (milliseconds per image), `model_bytes`, and the
        class of the first test image as a PNG file (`png_class`) and as an array (`array_class`).
        With a rival, `slowdown`: latency divided by the rival's, both measured in turn.

    Raises:
        UserError: the file is not the registered one, or Keras cannot read it.
        ValueError: the model's input or output does not fit the data.
    """
    keras.backend.clear_session()
    path = Path(job.model)
    model = load_verified(path, job.sha256, f"the model file of {job.name}")
    shapes = tuple(model.input_shape[1:]), int(model.output_shape[-1])
    if shapes != (dataset.image_shape, dataset.num_classes):
        raise ValueError(
            f"the model must take images of {dataset.image_shape} and know "
            f"{dataset.num_classes} classes, received {shapes[0]} and {shapes[1]}"
        )
    predict = Timed(model.predict_on_batch)
    images = dataset.test.images
    # The trial's own evaluation has this batch size; another may change the last bits.
    probabilities = np.concatenate(
        [
            np.asarray(predict(images[start : start + LARGE_BATCH]), dtype=np.float32)
            for start in range(0, len(images), LARGE_BATCH)
        ]
    )
    with Path(job.answers).open("wb") as file:
        np.savez_compressed(file, labels=dataset.test.labels, probabilities=probabilities)
    latency = predict.latency(images)
    facts = {
        metric_names.LATENCY_MS: latency.batch_1,
        metric_names.LATENCY_MS_BATCH_256: latency.batch_256,
        metric_names.MODEL_BYTES: float(path.stat().st_size),
    }
    if job.rival:
        rival = load_verified(Path(job.rival), job.rival_sha256, f"the rival of {job.name}")
        both = measure_in_turn(model.predict_on_batch, rival.predict_on_batch, images[:1])
        facts |= {metric_names.LATENCY_MS: both.first_ms, "slowdown": both.ratio}
    png = prepare_image(_png(images[0]), dataset.image_shape, preparation=AS_IS).pixels
    return facts | {
        "png_class": float(np.argmax(predict(png[np.newaxis])[0])),
        "array_class": float(np.argmax(predict(images[:1])[0])),
    }


def _png(pixels: np.ndarray) -> bytes:
    """A PNG file of uint8 `[height, width, 1 or 3]`."""
    content = io.BytesIO()
    picture = pixels[..., 0] if pixels.shape[-1] == 1 else pixels
    Image.fromarray(picture).save(content, format="PNG")
    return content.getvalue()
