"""The first convolution of grey images: 3x3, with bias, max-pooling and ReLU in one pass.

A convolution of one channel multiplies nine times for each number that it writes, so that writing
it, reading it to pool, and the same again for the gradients is what takes the time (decision 15).
Here an output is pooled while it is in a register.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from cnn_pipeline.network.compiled import compiled

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]
Whole = NDArray[np.int32]
Position = np.unsignedinteger[Any]

MOST_FILTERS = 1024
_APART = MOST_FILTERS + 16
_AT = tuple(np.uintp(place * _APART) for place in range(9))
_1, _2, _3 = np.uintp(1), np.uintp(2), np.uintp(3)
_0 = np.float32(0)
# As wide as the numbers beside which they are used: bytes would be spread and packed again.
_LEFT, _RIGHT, _LEFT_BELOW, _RIGHT_BELOW = np.int32(0), np.int32(1), np.int32(2), np.int32(3)


@compiled
def forward(images: Floats, kernels: Floats, bias: Floats, floor: np.float32, out: Floats) -> None:
    """Convolve, add the bias, and raise what is below `floor` to it (0 is ReLU, -inf nothing).

    All float32 and contiguous: images `[n, h, w, 1]`, kernels `[3, 3, 1, f]`, bias `[f]` with f at
    most `MOST_FILTERS`, `out` `[n, h - 2, w - 2, f]`, which is written.
    """
    number, height, width, _ = images.shape
    filters = np.uintp(bias.size)
    flat, flat_out, spread = images.reshape(images.size), out.reshape(out.size), _spread(kernels)
    o, w = np.uintp(0), np.uintp(width)
    for line in range(number * height):
        if line % height >= height - 2:
            continue
        for column in range(width - 2):
            i = np.uintp(line * width + column)
            x0, x1, x2 = _three(flat, i)
            x3, x4, x5 = _three(flat, i + w)
            x6, x7, x8 = _three(flat, i + w + w)
            for q in range(filters):
                value = bias[q]
                value += x0 * spread[q] + x1 * spread[_AT[1] + q] + x2 * spread[_AT[2] + q]
                value += x3 * spread[_AT[3] + q] + x4 * spread[_AT[4] + q]
                value += x5 * spread[_AT[5] + q] + x6 * spread[_AT[6] + q]
                value += x7 * spread[_AT[7] + q] + x8 * spread[_AT[8] + q]
                flat_out[o + q] = floor if value < floor else value
            o += filters


@compiled
def backward(
    images: Floats, kernels: Floats, outputs: Floats, upstream: Floats, rectified: bool
) -> tuple[Floats, Floats]:
    """Gradients of kernels and bias, given that of the outputs.

    Shapes and dtypes as in `forward`, whose result is `outputs`: they say where ReLU let the
    gradient through, if `rectified`.
    """
    number, height, width, _ = images.shape
    filters = np.uintp(upstream.shape[3])
    sums, of_bias = np.zeros(9 * _APART, np.float32), np.zeros(upstream.shape[3], np.float32)
    row = np.uintp(upstream.shape[2] * upstream.shape[3])
    flat, through = images.reshape(images.size), np.empty(row, np.float32)
    flat_outputs, flat_upstream = outputs.reshape(outputs.size), upstream.reshape(upstream.size)
    o, fours = np.uintp(0), (width - 2) // 4
    for line in range(number * height):
        if line % height >= height - 2:
            continue
        _let_through(flat_outputs, flat_upstream, o, rectified, row, through)
        o += row
        for four in range(fours):
            at, g = line * width + 4 * four, 4 * four * upstream.shape[3]
            _add_gradients_of_four(flat, at, width, through, g, filters, sums, of_bias)
        for column in range(4 * fours, width - 2):
            at, g = line * width + column, column * upstream.shape[3]
            _add_gradients_of_one(flat, at, width, through, g, filters, sums, of_bias)
    return _gathered(sums, kernels), of_bias


@compiled
def forward_pooled(
    images: Floats, kernels: Floats, bias: Floats, floor: np.float32, out: Floats, places: Bytes
) -> None:
    """`forward` and the largest of each 2x2 outputs, of which only that is written.

    `out` and `places` are `[n, (h - 2) // 2, (w - 2) // 2, f]`; a place says which of the four it
    was, the first of equals: 0 and 1 above, 2 and 3 below.
    """
    number, height, width, _ = images.shape
    tall, wide, filters = (height - 2) // 2, (width - 2) // 2, np.uintp(bias.size)
    flat, flat_out, spread = images.reshape(images.size), out.reshape(out.size), _spread(kernels)
    flat_places = places.reshape(places.size)
    best, which = np.empty(bias.size, np.float32), np.empty(bias.size, np.int32)
    o = np.uintp(0)
    for line in range(number * tall):
        for column in range(wide):
            at = ((line // tall) * height + 2 * (line % tall)) * width + 2 * column
            _largest(flat, at, width, spread, best, which)
            for q in range(filters):
                # As large as with the bias added before: rounding keeps the order.
                value = best[q] + bias[q]
                flat_out[o + q] = floor if value < floor else value
            for q in range(filters):
                flat_places[o + q] = np.uint8(which[q])
            o += filters


@compiled
def backward_pooled(
    images: Floats,
    kernels: Floats,
    outputs: Floats,
    places: Bytes,
    upstream: Floats,
    rectified: bool,
) -> tuple[Floats, Floats]:
    """Gradients of kernels and bias, given that of the pooled outputs.

    Shapes and dtypes as in `forward_pooled`, whose results are `outputs` and `places`.
    """
    number, height, width, _ = images.shape
    tall, wide, filters = upstream.shape[1], upstream.shape[2], np.uintp(upstream.shape[3])
    sums, of_bias = np.zeros(9 * _APART, np.float32), np.zeros(upstream.shape[3], np.float32)
    row = np.uintp(wide * upstream.shape[3])
    flat, through = images.reshape(images.size), np.empty(row, np.float32)
    flat_outputs, flat_upstream = outputs.reshape(outputs.size), upstream.reshape(upstream.size)
    flat_places, which = places.reshape(places.size), np.empty(row, np.int32)
    o = np.uintp(0)
    for line in range(number * tall):
        _let_through(flat_outputs, flat_upstream, o, rectified, row, through)
        for q in range(row):
            which[q] = flat_places[o + q]
        o += row
        for column in range(wide):
            at = ((line // tall) * height + 2 * (line % tall)) * width + 2 * column
            g = column * upstream.shape[3]
            _add_gradients(flat, at, width, through, which, g, filters, sums, of_bias)
    return _gathered(sums, kernels), of_bias


@compiled
def _spread(kernels: Floats) -> Floats:
    """The nine places of the kernels, a constant distance apart."""
    flat, filters = kernels.reshape(kernels.size), kernels.shape[3]
    out = np.zeros(9 * _APART, np.float32)
    for place in range(9):
        for q in range(filters):
            out[place * _APART + q] = flat[place * filters + q]
    return out


@compiled
def _gathered(sums: Floats, kernels: Floats) -> Floats:
    """`_spread` undone: in the kernels' shape."""
    out = np.empty(kernels.shape, np.float32)
    flat, filters = out.reshape(out.size), kernels.shape[3]
    for place in range(9):
        for q in range(filters):
            flat[place * filters + q] = sums[place * _APART + q]
    return out


@compiled
def _let_through(
    outputs: Floats,
    upstream: Floats,
    at: Position,
    rectified: bool,
    length: Position,
    through: Floats,
) -> None:
    """The gradient of so many outputs before ReLU."""
    for q in range(length):
        g = upstream[at + q]
        through[q] = _0 if rectified and not outputs[at + q] > _0 else g


@compiled
def _add_gradients_of_one(
    images: Floats,
    at: int,
    width: int,
    through: Floats,
    begin: int,
    filters: Position,
    sums: Floats,
    of_bias: Floats,
) -> None:
    """What the gradient of an output, from `begin` on, gives the nine places and the bias."""
    i, w, o = np.uintp(at), np.uintp(width), np.uintp(begin)
    x0, x1, x2 = _three(images, i)
    x3, x4, x5 = _three(images, i + w)
    x6, x7, x8 = _three(images, i + w + w)
    for q in range(filters):
        g = through[o + q]
        sums[q] += g * x0
        sums[_AT[1] + q] += g * x1
        sums[_AT[2] + q] += g * x2
        sums[_AT[3] + q] += g * x3
        sums[_AT[4] + q] += g * x4
        sums[_AT[5] + q] += g * x5
        sums[_AT[6] + q] += g * x6
        sums[_AT[7] + q] += g * x7
        sums[_AT[8] + q] += g * x8
        of_bias[q] += g


@compiled
def _add_gradients_of_four(
    images: Floats,
    at: int,
    width: int,
    through: Floats,
    begin: int,
    filters: Position,
    sums: Floats,
    of_bias: Floats,
) -> None:
    """The same of four outputs side by side: a sum is read and written once for all of them."""
    i, w = np.uintp(at), np.uintp(width)
    a0, a1, a2, a3, a4, a5 = _six(images, i)
    b0, b1, b2, b3, b4, b5 = _six(images, i + w)
    c0, c1, c2, c3, c4, c5 = _six(images, i + w + w)
    o0 = np.uintp(begin)
    o1, o2, o3 = o0 + filters, o0 + filters + filters, o0 + filters + filters + filters
    for q in range(filters):
        g0, g1, g2, g3 = through[o0 + q], through[o1 + q], through[o2 + q], through[o3 + q]
        sums[q] += g0 * a0 + g1 * a1 + g2 * a2 + g3 * a3
        sums[_AT[1] + q] += g0 * a1 + g1 * a2 + g2 * a3 + g3 * a4
        sums[_AT[2] + q] += g0 * a2 + g1 * a3 + g2 * a4 + g3 * a5
        sums[_AT[3] + q] += g0 * b0 + g1 * b1 + g2 * b2 + g3 * b3
        sums[_AT[4] + q] += g0 * b1 + g1 * b2 + g2 * b3 + g3 * b4
        sums[_AT[5] + q] += g0 * b2 + g1 * b3 + g2 * b4 + g3 * b5
        sums[_AT[6] + q] += g0 * c0 + g1 * c1 + g2 * c2 + g3 * c3
        sums[_AT[7] + q] += g0 * c1 + g1 * c2 + g2 * c3 + g3 * c4
        sums[_AT[8] + q] += g0 * c2 + g1 * c3 + g2 * c4 + g3 * c5
        of_bias[q] += g0 + g1 + g2 + g3


@compiled
def _six(
    images: Floats, i: Position
) -> tuple[np.float32, np.float32, np.float32, np.float32, np.float32, np.float32]:
    first, second, third = _three(images, i)
    return first, second, third, images[i + _3], images[i + _3 + _1], images[i + _3 + _2]


@compiled
def _three(images: Floats, i: Position) -> tuple[np.float32, np.float32, np.float32]:
    return images[i], images[i + _1], images[i + _2]


@compiled
def _four(images: Floats, i: Position) -> tuple[np.float32, np.float32, np.float32, np.float32]:
    return images[i], images[i + _1], images[i + _2], images[i + _3]


@compiled
def _largest(
    images: Floats, at: int, width: int, spread: Floats, best: Floats, which: Whole
) -> None:
    """The largest of the four outputs whose inputs begin at `at`, without bias, and its place."""
    i, w = np.uintp(at), np.uintp(width)
    a0, a1, a2, a3 = _four(images, i)
    b0, b1, b2, b3 = _four(images, i + w)
    c0, c1, c2, c3 = _four(images, i + w + w)
    d0, d1, d2, d3 = _four(images, i + w + w + w)
    for q in range(np.uintp(best.size)):
        k0, k1, k2 = spread[q], spread[_AT[1] + q], spread[_AT[2] + q]
        k3, k4, k5 = spread[_AT[3] + q], spread[_AT[4] + q], spread[_AT[5] + q]
        k6, k7, k8 = spread[_AT[6] + q], spread[_AT[7] + q], spread[_AT[8] + q]
        v0 = a0 * k0 + a1 * k1 + a2 * k2 + b0 * k3 + b1 * k4 + b2 * k5 + c0 * k6 + c1 * k7 + c2 * k8
        v1 = a1 * k0 + a2 * k1 + a3 * k2 + b1 * k3 + b2 * k4 + b3 * k5 + c1 * k6 + c2 * k7 + c3 * k8
        v2 = b0 * k0 + b1 * k1 + b2 * k2 + c0 * k3 + c1 * k4 + c2 * k5 + d0 * k6 + d1 * k7 + d2 * k8
        v3 = b1 * k0 + b2 * k1 + b3 * k2 + c1 * k3 + c2 * k4 + c3 * k5 + d1 * k6 + d2 * k7 + d3 * k8
        above, below = (v1 if v1 > v0 else v0), (v3 if v3 > v2 else v2)
        place_above = _RIGHT if v1 > v0 else _LEFT
        place_below = _RIGHT_BELOW if v3 > v2 else _LEFT_BELOW
        best[q] = below if below > above else above
        which[q] = place_below if below > above else place_above


@compiled
def _add_gradients(
    images: Floats,
    at: int,
    width: int,
    through: Floats,
    which: Whole,
    begin: int,
    filters: Position,
    sums: Floats,
    of_bias: Floats,
) -> None:
    """`_add_gradients_of_one` of a pooled output, by where it came from."""
    i, w, o = np.uintp(at), np.uintp(width), np.uintp(begin)
    a0, a1, a2, a3 = _four(images, i)
    b0, b1, b2, b3 = _four(images, i + w)
    c0, c1, c2, c3 = _four(images, i + w + w)
    d0, d1, d2, d3 = _four(images, i + w + w + w)
    for q in range(filters):
        g, place = through[o + q], which[o + q]
        g0, g1 = (g if place == _LEFT else _0), (g if place == _RIGHT else _0)
        g2, g3 = (g if place == _LEFT_BELOW else _0), (g if place == _RIGHT_BELOW else _0)
        sums[q] += g0 * a0 + g1 * a1 + g2 * b0 + g3 * b1
        sums[_AT[1] + q] += g0 * a1 + g1 * a2 + g2 * b1 + g3 * b2
        sums[_AT[2] + q] += g0 * a2 + g1 * a3 + g2 * b2 + g3 * b3
        sums[_AT[3] + q] += g0 * b0 + g1 * b1 + g2 * c0 + g3 * c1
        sums[_AT[4] + q] += g0 * b1 + g1 * b2 + g2 * c1 + g3 * c2
        sums[_AT[5] + q] += g0 * b2 + g1 * b3 + g2 * c2 + g3 * c3
        sums[_AT[6] + q] += g0 * c0 + g1 * c1 + g2 * d0 + g3 * d1
        sums[_AT[7] + q] += g0 * c1 + g1 * c2 + g2 * d1 + g3 * d2
        sums[_AT[8] + q] += g0 * c2 + g1 * c3 + g2 * d2 + g3 * d3
        of_bias[q] += g
