"""A 3x3 convolution by its definition in float64, to compare the compiled ones with."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Doubles = NDArray[np.float64]
Floats = NDArray[np.float32]


def problem(shape: tuple[int, int, int, int], filters: int) -> tuple[Floats, Floats, Floats]:
    """Random images of this shape, kernels and bias."""
    rng = np.random.default_rng(sum(shape) + filters)
    return (
        rng.normal(size=shape).astype(np.float32),
        rng.normal(size=(3, 3, shape[3], filters)).astype(np.float32),
        rng.normal(size=filters).astype(np.float32),
    )


def upstream_of(outputs: NDArray[np.floating]) -> Floats:
    """A random gradient of outputs."""
    rng = np.random.default_rng(outputs.size)
    return rng.normal(size=outputs.shape).astype(np.float32)


def room(images: Floats, bias: Floats) -> Floats:
    """Array for the outputs of a convolution, NaN where nothing is written."""
    number, height, width, _ = images.shape
    return np.full((number, height - 2, width - 2, bias.size), np.nan, np.float32)


def pooled_room(images: Floats, bias: Floats) -> tuple[Floats, NDArray[np.uint8]]:
    """The same for outputs pooled by 2x2, and for the positions of the maxima: 9 is none."""
    number, height, width, _ = images.shape
    shape = (number, (height - 2) // 2, (width - 2) // 2, bias.size)
    return np.full(shape, np.nan, np.float32), np.full(shape, 9, np.uint8)


def convolve(images: Floats, kernels: Floats, bias: Floats) -> Doubles:
    """Outputs `[n, h - 2, w - 2, f]`."""
    windows = np.lib.stride_tricks.sliding_window_view(images.astype(float), (3, 3), axis=(1, 2))
    products: Doubles = np.einsum("nyxcij,ijcf->nyxf", windows, kernels.astype(float))
    return products + bias


def gradients(
    images: Floats, kernels: Floats, upstream: NDArray[np.floating]
) -> tuple[Doubles, Doubles, Doubles]:
    """Gradients of images, kernels and bias."""
    of_images = np.zeros(images.shape)
    of_kernels = np.zeros(kernels.shape)
    _, height, width, _ = upstream.shape
    for i in range(3):
        for j in range(3):
            part = np.s_[:, i : i + height, j : j + width]
            of_images[part] += np.einsum("nyxf,cf->nyxc", upstream, kernels[i, j].astype(float))
            of_kernels[i, j] = np.einsum("nyxc,nyxf->cf", images[part].astype(float), upstream)
    return of_images, of_kernels, upstream.sum(axis=(0, 1, 2), dtype=float)


def assert_near(one: NDArray[np.floating], other: NDArray[np.floating], parts: float) -> None:
    """Equal up to `parts` of the largest value."""
    assert one.shape == other.shape
    largest = float(np.abs(other).max())
    assert largest > 0.1
    np.testing.assert_allclose(one, other, rtol=0, atol=parts * largest)
