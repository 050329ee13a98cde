"""Winograd's convolution equals the direct one, at every border of a tile, and so do gradients."""

from __future__ import annotations

import numpy as np
import pytest

from cnn_pipeline.network.compiled import winograd
from tests.network.compiled.direct import (
    Floats,
    assert_near,
    convolve,
    gradients,
    pooled_room,
    problem,
    room,
    upstream_of,
)

# Single precision: a direct sum has 1e-6, bfloat16 4e-3.
ERROR = 2e-5
NOTHING, RELU = np.float32(-np.inf), np.float32(0)
NO_PLACES = np.empty((0,) * 4, np.uint8)


def forward(images: Floats, kernels: Floats, bias: Floats, floor: np.float32 = NOTHING) -> Floats:
    out = room(images, bias)
    winograd.forward(images, kernels, bias, floor, False, out, NO_PLACES)
    return out


def forward_pooled(
    images: Floats, kernels: Floats, bias: Floats, floor: np.float32
) -> tuple[Floats, np.ndarray]:
    out, places = pooled_room(images, bias)
    winograd.forward(images, kernels, bias, floor, True, out, places)
    return out, places


def backward(
    images: Floats,
    kernels: Floats,
    outputs: Floats,
    upstream: Floats,
    rectified: bool,
    places: np.ndarray = NO_PLACES,
) -> tuple[Floats, Floats, Floats]:
    out, pooled = np.full(images.shape, np.nan, np.float32), places.size > 0
    of_kernels, of_bias = winograd.backward(
        images, kernels, outputs, places, upstream, rectified, pooled, out
    )
    return out, of_kernels, of_bias


# Heights and widths that end in each place of a tile.
SHAPES = [(2, height, width, 3) for height in range(3, 12) for width in (3, 6, 7, 9, 12)]


@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_outputs_and_gradients_wherever_images_end(shape: tuple[int, int, int, int]) -> None:
    images, kernels, bias = problem(shape, filters=4)
    expected = convolve(images, kernels, bias)
    outputs = forward(images, kernels, bias)
    assert_near(outputs, expected, ERROR)
    upstream = upstream_of(outputs)
    found = backward(images, kernels, outputs, upstream, rectified=False)
    for mine, theirs in zip(found, gradients(images, kernels, upstream), strict=True):
        assert_near(mine, theirs, ERROR)


@pytest.mark.parametrize(
    ("shape", "filters"),
    [
        ((40, 13, 13, 64), 32),  # many rounds of the working arrays, a last one that is not full
        ((7, 26, 26, 32), 64),
        ((3, 6, 286, 64), 64),  # one row of tiles fills them
        ((2, 9, 26, 512), 5),
        ((3, 8, 8, 1), 1),
    ],
    ids=str,
)
def test_outputs_and_gradients_of_large_and_small_layers(
    shape: tuple[int, int, int, int], filters: int
) -> None:
    assert winograd.fits(shape[2], shape[3], filters)
    images, kernels, bias = problem(shape, filters)
    outputs = forward(images, kernels, bias, RELU)
    expected = np.maximum(convolve(images, kernels, bias), 0)
    assert_near(outputs, expected, ERROR)
    upstream = upstream_of(outputs)
    found = backward(images, kernels, outputs, upstream, rectified=True)
    through = np.where(outputs > 0, upstream, 0)
    for mine, theirs in zip(found, gradients(images, kernels, through), strict=True):
        assert_near(mine, theirs, ERROR)


@pytest.mark.parametrize("rectified", [True, False])
@pytest.mark.parametrize(
    "shape", [*(shape for shape in SHAPES if min(shape[1:3]) > 3), (20, 13, 13, 40)], ids=str
)
def test_pooled_outputs_and_gradients_wherever_images_end(
    shape: tuple[int, int, int, int], rectified: bool
) -> None:
    images, kernels, bias = problem(shape, filters=5)
    number, height, width = shape[0], (shape[1] - 2) // 2, (shape[2] - 2) // 2
    outputs, places = forward_pooled(images, kernels, bias, RELU if rectified else NOTHING)

    whole = convolve(images, kernels, bias)[:, : 2 * height, : 2 * width]
    fours = whole.reshape(number, height, 2, width, 2, 5).transpose(0, 1, 3, 5, 2, 4)
    fours = fours.reshape(number, height, width, 5, 4)
    expected = fours.max(axis=-1)
    assert_near(outputs, np.maximum(expected, 0) if rectified else expected, ERROR)
    # Where two are as good as equal, rounding decides.
    chosen = np.take_along_axis(fours, places[..., None], axis=-1)[..., 0]
    assert_near(chosen, expected, ERROR)

    upstream = upstream_of(outputs)
    through = np.where(outputs > 0, upstream, 0) if rectified else upstream
    spread = np.zeros((*outputs.shape, 4))
    np.put_along_axis(spread, places[..., None].astype(int), through[..., None], axis=-1)
    spread = spread.reshape(number, height, width, 5, 2, 2).transpose(0, 1, 4, 2, 5, 3)
    of_outputs = np.zeros((number, shape[1] - 2, shape[2] - 2, 5), np.float32)
    of_outputs[:, : 2 * height, : 2 * width] = spread.reshape(number, 2 * height, 2 * width, 5)
    found = backward(images, kernels, outputs, upstream, rectified, places)
    for mine, theirs in zip(found, gradients(images, kernels, of_outputs), strict=True):
        assert_near(mine, theirs, ERROR)


def test_the_first_of_equal_outputs_is_the_place() -> None:
    images = np.zeros((1, 8, 8, 2), np.float32)
    kernels, bias = np.ones((3, 3, 2, 3), np.float32), np.ones(3, np.float32)
    outputs, places = forward_pooled(images, kernels, bias, RELU)
    assert (outputs == 1).all()
    assert (places == 0).all()


@pytest.mark.parametrize(("width", "channels"), [(287, 64), (26, 768)])
def test_what_has_no_room_is_told(width: int, channels: int) -> None:
    assert not winograd.fits(width, channels, 1)
    assert not winograd.fits(width, 1, channels)


def test_equal_inputs_give_equal_bits() -> None:
    images, kernels, bias = problem((9, 13, 13, 32), 32)
    outputs = forward(images, kernels, bias)
    assert np.array_equal(outputs, forward(images, kernels, bias))
    upstream = upstream_of(outputs)
    first = backward(images, kernels, outputs, upstream, rectified=True)
    for one, other in zip(
        first, backward(images, kernels, outputs, upstream, rectified=True), strict=True
    ):
        assert np.array_equal(one, other)


def test_an_image_is_computed_as_if_it_were_alone() -> None:
    images, kernels, bias = problem((30, 12, 13, 48), 40)
    together = forward(images, kernels, bias)
    for number in (0, 11, 29):
        alone = forward(images[number : number + 1].copy(), kernels, bias)
        # Not to the bit: without AVX-512, BLAS adds up in another order for fewer rows.
        assert_near(together[number : number + 1], alone, ERROR)
        among_others = images[::-1].copy()
        among_others[number] = images[number]
        assert np.array_equal(forward(among_others, kernels, bias)[number], together[number])


def test_what_is_no_number_is_not_rectified_away() -> None:
    """Divergence must be detected."""
    images, kernels, bias = problem((1, 6, 6, 2), 3)
    images[0, 2, 2, 0] = np.nan
    assert np.isnan(forward(images, kernels, bias, RELU)).all()
    assert np.isnan(convolve(images, kernels, bias)[0, 1, 1]).all()
