"""What augmentation does to images, and that the logged model is without it."""

from __future__ import annotations

import keras
import numpy as np
import pytest

from cnn_pipeline.network.augmentation import Augmentation
from cnn_pipeline.network.build import build_model, build_twin
from cnn_pipeline.settings.trial import Variant

KINDS = ["flip", "shift", "flip+shift", "random-erase"]
SHAPE = (20, 30, 3)
NUMBER = 400
# Each pixel of an image is another one, so that the place that it came from is known.
ONE = np.arange(20 * 30, dtype=np.int64).reshape(20, 30)
IMAGES = np.broadcast_to(
    np.stack([ONE % 251, ONE % 7, 100 + 0 * ONE], axis=-1).astype(np.uint8), (NUMBER, *SHAPE)
)


def augmented(kind: str, images: np.ndarray = IMAGES, seed: int = 0) -> np.ndarray:
    found = Augmentation(kind, seed=seed)(images, training=True)
    assert keras.backend.standardize_dtype(found.dtype) == "uint8"
    return keras.ops.convert_to_numpy(found)


def test_a_flip_exchanges_left_and_right_in_half_of_the_images() -> None:
    found = augmented("flip")
    flipped = [np.array_equal(image, IMAGES[0][:, ::-1]) for image in found]
    same = [np.array_equal(image, IMAGES[0]) for image in found]
    assert all(one or other for one, other in zip(flipped, same, strict=True))
    assert 0.4 < np.mean(flipped) < 0.6


def test_a_shift_moves_by_up_to_a_tenth_and_repeats_the_border() -> None:
    seen = set()
    padded = np.pad(IMAGES[0], ((2, 2), (3, 3), (0, 0)), mode="edge")
    windows = {
        (down, right): padded[2 - down : 22 - down, 3 - right : 33 - right]
        for down in range(-2, 3)
        for right in range(-3, 4)
    }
    for image in augmented("shift"):
        seen.add(next(by for by, window in windows.items() if np.array_equal(image, window)))
    assert seen == set(windows)


def test_a_small_image_is_shifted_by_a_pixel() -> None:
    images = np.broadcast_to(np.arange(64, dtype=np.uint8).reshape(8, 8, 1), (100, 8, 8, 1))
    assert len({image.tobytes() for image in augmented("shift", images)}) == 9


def test_a_rectangle_is_erased_in_half_of_the_images() -> None:
    found = augmented("random-erase")
    erased = [image for image in found if not np.array_equal(image, IMAGES[0])]
    assert 0.4 < len(erased) / NUMBER < 0.6
    for image in erased:
        rows, columns, _ = np.nonzero(image != IMAGES[0])
        tall, wide = np.ptp(rows) + 1, np.ptp(columns) + 1
        assert 0.015 <= tall * wide / (20 * 30) <= 0.42
        block = image[rows.min() : rows.max() + 1, columns.min() : columns.max() + 1]
        assert block.std() > 40  # noise from 0 to 255 has a deviation of 74
    # Channels and pixels are drawn one by one.
    assert np.std([image.std(axis=-1).max() for image in erased]) > 0


@pytest.mark.parametrize("kind", KINDS)
def test_a_state_gives_the_same_images_and_another_gives_others(kind: str) -> None:
    first, again, other = (augmented(kind, seed=seed) for seed in (3, 3, 4))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize("kind", KINDS)
def test_only_the_twin_has_it_and_only_in_training(kind: str) -> None:
    variant = Variant(filters=3, dense_units=8)
    model = build_model(variant, (12, 12, 1), 2, seed=0)
    twin = build_twin(model, variant, precision="float32", seed=0, augmentation=kind)
    images = np.random.default_rng(0).integers(0, 256, (8, 12, 12, 1), dtype=np.uint8)
    assert [layer.name for layer in twin.layers][:2] == ["augmentation", "rescale"]
    assert "augmentation" not in [layer.name for layer in model.layers]
    assert len(twin.get_weights()) == len(model.get_weights())
    plain = keras.ops.softmax(twin(images, training=False))
    assert np.allclose(plain, model(images, training=False), atol=1e-6)
    assert not np.allclose(twin(images, training=True), twin(images, training=False), atol=1e-3)
