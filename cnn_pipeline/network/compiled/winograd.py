"""A 3x3 convolution with a quarter of the multiplications, forward and backward.

Winograd's F(4x4, 3x3): outputs come in tiles of 4x4, each from 6x6 inputs. Tile and kernel are
transformed (mostly additions), multiplied number by number and summed over the channels, and
transformed back: 36 multiplications where the sum over the kernel's places takes 144. Lavin and
Gray 2016, 'Fast algorithms for convolutional neural networks' (arXiv 1509.09308): the matrices A,
B and G are theirs. The gradients are the same steps, transposed.

The 36 products are matrix products over the channels, which BLAS computes (SciPy's, through Numba's
`np.dot`). All steps are taken for a few rows of tiles at a time, which stay in the core's cache
from the first transform to the last; they are redone for the gradients, because writing them to
memory and reading them again takes longer.

Single precision is kept: errors are about 5e-6 of the largest output, where a direct sum has
1e-6 and bfloat16 4e-3.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from cnn_pipeline.network.compiled import compiled

Floats = NDArray[np.float32]
Bytes = NDArray[np.uint8]
Whole = NDArray[np.int32]

# Numbers that a row of tiles may hold, and the distance from one of the 36 (of the four columns of
# a tile, ...) to the next: more than that by a line of the cache, lest all fall into the same ones.
# 36 of them fill a third of a core's cache (2 MiB), and the products' two operands fit.
_ROOM = 4608
_SLAB = _ROOM + 16
_AT = tuple(np.uintp(number * _SLAB) for number in range(36))

_0, _2, _4 = np.float32(0), np.float32(2), np.float32(4)
_5, _8 = np.float32(5), np.float32(8)
_LEFT, _RIGHT, _LEFT_BELOW, _RIGHT_BELOW = np.int32(0), np.int32(1), np.int32(2), np.int32(3)

_G = np.array(
    [
        [1 / 4, 0, 0],
        [-1 / 6, -1 / 6, -1 / 6],
        [-1 / 6, 1 / 6, -1 / 6],
        [1 / 24, 1 / 12, 1 / 6],
        [1 / 24, -1 / 12, 1 / 6],
        [0, 0, 1],
    ]
)
# Both directions at once: [6 * 6, 3 * 3].
_GG = np.kron(_G, _G).astype(np.float32)
_GG_TRANSPOSED = np.ascontiguousarray(_GG.T)


def fits(width: int, channels: int, filters: int) -> bool:
    """Whether a row of tiles of images of this width has room in the working arrays."""
    return ((width + 1) // 4 + 1) * max(channels, filters) <= _ROOM


@compiled
def forward(
    images: Floats,
    kernels: Floats,
    bias: Floats,
    floor: np.float32,
    pooled: bool,
    out: Floats,
    places: Bytes,
) -> None:
    """Convolve, add the bias, and raise what is below `floor` to it (0 is ReLU, -inf nothing).

    All float32 and contiguous: images `[n, h, w, c]`, kernels `[3, 3, c, f]`, bias `[f]`,
    `out` `[n, h - 2, w - 2, f]`, which is written. The sizes must pass `fits`.

    If `pooled`, only the largest of each 2x2 outputs is written: `out` and `places` (uint8) are
    `[n, (h - 2) // 2, (w - 2) // 2, f]`; a place says which of the four it was, the first of
    equals: 0 and 1 above, 2 and 3 below. Otherwise `places` is not looked at.
    """
    number, height, width, channels = images.shape
    filters = bias.size
    tall, wide = _tiles(height - 2), _tiles(width - 2)
    transformed = _transform_kernels(kernels)
    values, products = np.empty(36 * _SLAB, np.float32), np.empty(36 * _SLAB, np.float32)
    # Zeros, because nothing is written where images end within a tile.
    work, edge = np.zeros(24 * _SLAB, np.float32), np.empty(6 * width * channels, np.float32)
    work_out = np.empty(24 * _SLAB, np.float32)
    best, which = np.empty(2 * _SLAB, np.float32), np.empty(2 * _SLAB, np.int32)
    flat, flat_out = images.reshape(images.size), out.reshape(out.size)
    flat_places = places.reshape(places.size)
    total, each = number * tall, _ROOM // (wide * max(channels, filters))
    for start in range(0, total, each):
        stop = min(start + each, total)
        for row in range(start, stop):
            at = (row - start) * wide * channels
            _transform_inputs(flat, row, tall, height, width, channels, edge, work, values, at)
        rows = (stop - start) * wide
        for k in range(36):
            np.dot(
                _matrix(values, k, rows, channels),
                transformed[k],
                _matrix(products, k, rows, filters),
            )
        for row in range(start, stop):
            at = (row - start) * wide * filters
            _transform_products(products, at, wide * filters, work_out)
            if pooled:
                _pool_outputs(
                    work_out, row, tall, height - 2, width - 2, bias, floor, best, which,
                    flat_out, flat_places,
                )  # fmt: skip
            else:
                _write_outputs(work_out, row, tall, height - 2, width - 2, bias, floor, flat_out)


@compiled
def backward(
    images: Floats,
    kernels: Floats,
    outputs: Floats,
    places: Bytes,
    upstream: Floats,
    rectified: bool,
    pooled: bool,
    out: Floats,
) -> tuple[Floats, Floats]:
    """Gradients of kernels and bias, given that of the outputs; that of the images goes to `out`.

    Shapes and dtypes as in `forward`, whose results are `outputs` and `places`: they say where
    ReLU let the gradient through, if `rectified`, and where pooling did, if `pooled`.
    """
    number, height, width, channels = images.shape
    filters = upstream.shape[3]
    tall, wide = _tiles(height - 2), _tiles(width - 2)
    turned = _turn(_transform_kernels(kernels))
    sums = np.zeros((36, channels * filters), np.float32)
    flat_sums, part = sums.reshape(sums.size), np.empty((channels, filters), np.float32)
    flat_part, of_bias = part.reshape(part.size), np.zeros(filters, np.float32)
    values, products = np.empty(36 * _SLAB, np.float32), np.empty(36 * _SLAB, np.float32)
    # Zeros, because nothing is written where images end within a tile.
    work, work_up = np.zeros(24 * _SLAB, np.float32), np.zeros(24 * _SLAB, np.float32)
    work_back = np.empty(24 * _SLAB, np.float32)
    edge, through = np.empty(6 * width * channels, np.float32), np.empty(16 * _SLAB, np.float32)
    flat, flat_out = images.reshape(images.size), out.reshape(out.size)
    flat_outputs, flat_upstream = outputs.reshape(outputs.size), upstream.reshape(upstream.size)
    flat_places = places.reshape(places.size)
    given, which = np.empty(filters, np.float32), np.empty(filters, np.int32)
    # An odd column at the end belongs to no pooled output: its gradient stays zero.
    if pooled:
        through[:] = _0
    total, each = number * tall, _ROOM // (wide * max(channels, filters))
    for start in range(0, total, each):
        stop = min(start + each, total)
        for row in range(start, stop):
            at = (row - start) * wide * channels
            _transform_inputs(flat, row, tall, height, width, channels, edge, work, values, at)
            if pooled:
                _let_through_pooled(
                    flat_outputs, flat_places, flat_upstream, row, tall, height - 2, width - 2,
                    rectified, given, which, through, of_bias,
                )  # fmt: skip
            else:
                _let_through(
                    flat_outputs, flat_upstream, row, tall, height - 2, width - 2, rectified,
                    through, of_bias,
                )  # fmt: skip
            at = (row - start) * wide * filters
            _transform_upstream(through, width - 2, filters, work_up, products, at)
        rows = (stop - start) * wide
        for k in range(36):
            there, above = _matrix(values, k, rows, channels), _matrix(products, k, rows, filters)
            np.dot(there.T, above, part)
            _add(flat_part, flat_sums, k * part.size)
            np.dot(above, turned[k], there)
        for row in range(start, stop):
            at = (row - start) * wide * channels
            _transform_back(values, at, row, tall, height, width, channels, work_back, flat_out)
    of_kernels: Floats = np.dot(_GG_TRANSPOSED, sums).reshape(kernels.shape)
    return of_kernels, of_bias


@compiled
def _tiles(length: int) -> int:
    return (length + 3) // 4


@compiled
def _matrix(slabs: Floats, k: int, rows: int, columns: int) -> Floats:
    matrix: Floats = slabs[k * _SLAB : k * _SLAB + rows * columns].reshape(rows, columns)
    return matrix


@compiled
def _transform_kernels(kernels: Floats) -> Floats:
    """`G k G^T` for each pair of channel and filter: `[36, c, f]`."""
    _, _, channels, filters = kernels.shape
    product = np.dot(_GG, kernels.reshape(9, channels * filters))
    transformed: Floats = product.reshape(36, channels, filters)
    return transformed


@compiled
def _turn(matrices: Floats) -> Floats:
    """Each matrix transposed in memory: with views BLAS takes twice as long."""
    number, rows, columns = matrices.shape
    out = np.empty((number, columns, rows), np.float32)
    for k in range(number):
        for row in range(rows):
            for column in range(columns):
                out[k, column, row] = matrices[k, row, column]
    return out


@compiled
def _add(part: Floats, sums: Floats, at: int) -> None:
    i = np.uintp(at)
    for q in range(np.uintp(part.size)):
        sums[i + q] += part[q]


@compiled
def _inputs_transformed(
    d0: np.float32, d1: np.float32, d2: np.float32, d3: np.float32, d4: np.float32, d5: np.float32
) -> tuple[np.float32, np.float32, np.float32, np.float32, np.float32, np.float32]:
    """`B^T d` of one line or column of a tile."""
    near, far = d4 - _4 * d2, d3 - _4 * d1
    even, odd = d4 - d2, _2 * (d3 - d1)
    first, last = _4 * d0 - _5 * d2 + d4, _4 * d1 - _5 * d3 + d5
    return first, near + far, near - far, even + odd, even - odd, last


@compiled
def _upstream_transformed(
    g0: np.float32, g1: np.float32, g2: np.float32, g3: np.float32
) -> tuple[np.float32, np.float32, np.float32, np.float32, np.float32, np.float32]:
    """`A g` of one line or column of a tile."""
    near, far = g0 + g2, g1 + g3
    even, odd = g0 + _4 * g2, _2 * g1 + _8 * g3
    return g0, near + far, near - far, even + odd, even - odd, g3


@compiled
def _products_transformed(
    m0: np.float32, m1: np.float32, m2: np.float32, m3: np.float32, m4: np.float32, m5: np.float32
) -> tuple[np.float32, np.float32, np.float32, np.float32]:
    """`A^T m` of one line or column of a tile."""
    even, odd, far, twist = m1 + m2, m1 - m2, m3 + m4, m3 - m4
    return m0 + even + far, odd + _2 * twist, even + _4 * far, odd + _8 * twist + m5


@compiled
def _transform_inputs(
    images: Floats,
    row: int,
    tall: int,
    height: int,
    width: int,
    channels: int,
    edge: Floats,
    work: Floats,
    values: Floats,
    at: int,
) -> None:
    """`B^T d B` for a row of tiles, of which an image has `tall`, into 36 slabs from `at` on."""
    line, c = width * channels, np.uintp(channels)
    begin, left = ((row // tall) * height + 4 * (row % tall)) * line, height - 4 * (row % tall)
    if left >= 6:
        _transform_lines(images, begin, width, channels, work)
    else:  # the image ends within the tiles, which go on with zeros
        i = np.uintp(begin)
        for q in range(np.uintp(left * line)):
            edge[q] = images[i + q]
        for q in range(np.uintp(left * line), np.uintp(6 * line)):
            edge[q] = _0
        _transform_lines(edge, 0, width, channels, work)
    for a in range(6):
        i, v = np.uintp(4 * a * _SLAB), np.uintp(6 * a * _SLAB + at)
        for q in range(np.uintp(_tiles(width - 2) * channels)):
            d0, d1 = work[i + q], work[i + _AT[1] + q]
            d2, d3 = work[i + _AT[2] + q], work[i + _AT[3] + q]
            # A tile's last two columns are the next one's first two.
            d4, d5 = work[i + c + q], work[i + _AT[1] + c + q]
            v0, v1, v2, v3, v4, v5 = _inputs_transformed(d0, d1, d2, d3, d4, d5)
            values[v + q], values[v + _AT[1] + q], values[v + _AT[2] + q] = v0, v1, v2
            values[v + _AT[3] + q], values[v + _AT[4] + q] = v3, v4
            values[v + _AT[5] + q] = v5


@compiled
def _transform_lines(images: Floats, begin: int, width: int, channels: int, work: Floats) -> None:
    """`B^T d`, downwards: six lines from six. Columns are sorted by their place in a tile."""
    line = width * channels
    l1, l2, l3 = np.uintp(line), np.uintp(2 * line), np.uintp(3 * line)
    l4, l5 = np.uintp(4 * line), np.uintp(5 * line)
    for column in range(width):
        i = np.uintp(begin + column * channels)
        o = np.uintp((column % 4) * _SLAB + (column // 4) * channels)
        for q in range(np.uintp(channels)):
            d0, d1, d2 = images[i + q], images[i + l1 + q], images[i + l2 + q]
            d3, d4, d5 = images[i + l3 + q], images[i + l4 + q], images[i + l5 + q]
            v0, v1, v2, v3, v4, v5 = _inputs_transformed(d0, d1, d2, d3, d4, d5)
            work[o + q], work[o + _AT[4] + q], work[o + _AT[8] + q] = v0, v1, v2
            work[o + _AT[12] + q], work[o + _AT[16] + q] = v3, v4
            work[o + _AT[20] + q] = v5


@compiled
def _transform_products(products: Floats, at: int, length: int, work: Floats) -> None:
    """`A^T m` for a row of tiles, downwards: four lines from six."""
    for b in range(6):
        i, o = np.uintp(b * _SLAB + at), np.uintp(b * _SLAB)
        for q in range(np.uintp(length)):
            m0, m1, m2 = products[i + q], products[i + _AT[6] + q], products[i + _AT[12] + q]
            m3, m4 = products[i + _AT[18] + q], products[i + _AT[24] + q]
            m5 = products[i + _AT[30] + q]
            v0, v1, v2, v3 = _products_transformed(m0, m1, m2, m3, m4, m5)
            work[o + q], work[o + _AT[6] + q] = v0, v1
            work[o + _AT[12] + q], work[o + _AT[18] + q] = v2, v3


@compiled
def _write_outputs(
    work: Floats,
    row: int,
    tall: int,
    height: int,
    width: int,
    bias: Floats,
    floor: np.float32,
    out: Floats,
) -> None:
    """`(A^T m) A` for a row of tiles, with bias and floor, to its place in `out`."""
    filters, wide = bias.size, _tiles(width)
    image, line = row // tall, 4 * (row % tall)
    f1, f2, f3 = np.uintp(filters), np.uintp(2 * filters), np.uintp(3 * filters)
    for p in range(min(4, height - line)):
        for tile in range(wide):
            i = np.uintp(6 * p * _SLAB + tile * filters)
            o = np.uintp(((image * height + line + p) * width + 4 * tile) * filters)
            columns = width - 4 * tile
            for q in range(f1):
                even = work[i + _AT[1] + q] + work[i + _AT[2] + q]
                far = work[i + _AT[3] + q] + work[i + _AT[4] + q]
                value = work[i + q] + even + far + bias[q]
                out[o + q] = floor if value < floor else value
            if columns > 1:
                for q in range(f1):
                    odd = work[i + _AT[1] + q] - work[i + _AT[2] + q]
                    twist = work[i + _AT[3] + q] - work[i + _AT[4] + q]
                    value = odd + _2 * twist + bias[q]
                    out[o + f1 + q] = floor if value < floor else value
            if columns > 2:
                for q in range(f1):
                    even = work[i + _AT[1] + q] + work[i + _AT[2] + q]
                    far = work[i + _AT[3] + q] + work[i + _AT[4] + q]
                    value = even + _4 * far + bias[q]
                    out[o + f2 + q] = floor if value < floor else value
            if columns > 3:
                for q in range(f1):
                    odd = work[i + _AT[1] + q] - work[i + _AT[2] + q]
                    twist = work[i + _AT[3] + q] - work[i + _AT[4] + q]
                    value = odd + _8 * twist + work[i + _AT[5] + q] + bias[q]
                    out[o + f3 + q] = floor if value < floor else value


@compiled
def _pool_outputs(
    work: Floats,
    row: int,
    tall: int,
    height: int,
    width: int,
    bias: Floats,
    floor: np.float32,
    best: Floats,
    which: Whole,
    out: Floats,
    places: Bytes,
) -> None:
    """`_write_outputs` of the largest of each 2x2, with its place. A tile of 4x4 holds four."""
    f, image, line = np.uintp(bias.size), row // tall, 2 * (row % tall)
    high, wide = height // 2, width // 2
    for p in range(min(2, high - line)):
        for tile in range((wide + 1) // 2):
            i = np.uintp(12 * p * _SLAB + tile * bias.size)
            j = i + _AT[6]
            for q in range(f):
                m0, m1, m2 = work[i + q], work[i + _AT[1] + q], work[i + _AT[2] + q]
                m3, m4 = work[i + _AT[3] + q], work[i + _AT[4] + q]
                m5 = work[i + _AT[5] + q]
                a0, a1, a2, a3 = _products_transformed(m0, m1, m2, m3, m4, m5)
                m0, m1, m2 = work[j + q], work[j + _AT[1] + q], work[j + _AT[2] + q]
                m3, m4 = work[j + _AT[3] + q], work[j + _AT[4] + q]
                m5 = work[j + _AT[5] + q]
                b0, b1, b2, b3 = _products_transformed(m0, m1, m2, m3, m4, m5)
                best[q], which[q] = _largest(a0, a1, b0, b1)
                best[_AT[1] + q], which[_AT[1] + q] = _largest(a2, a3, b2, b3)
            for side in range(min(2, wide - 2 * tile)):
                i = np.uintp(side * _SLAB)
                o = np.uintp(((image * high + line + p) * wide + 2 * tile + side) * bias.size)
                for q in range(f):
                    # As large as with the bias added before: rounding keeps the order.
                    value = best[i + q] + bias[q]
                    out[o + q] = floor if value < floor else value
                for q in range(f):
                    places[o + q] = np.uint8(which[i + q])


@compiled
def _largest(
    v0: np.float32, v1: np.float32, v2: np.float32, v3: np.float32
) -> tuple[np.float32, np.int32]:
    """The largest of two numbers above and two below, and the place of the first such."""
    above, below = (v1 if v1 > v0 else v0), (v3 if v3 > v2 else v2)
    place_above = _RIGHT if v1 > v0 else _LEFT
    place_below = _RIGHT_BELOW if v3 > v2 else _LEFT_BELOW
    return (below, place_below) if below > above else (above, place_above)


@compiled
def _let_through(
    outputs: Floats,
    upstream: Floats,
    row: int,
    tall: int,
    height: int,
    width: int,
    rectified: bool,
    through: Floats,
    of_bias: Floats,
) -> None:
    """The gradient of a row of tiles before ReLU, zeros where images end; its sum to the bias'."""
    filters = of_bias.size
    length = np.uintp(width * filters)
    image, line = row // tall, 4 * (row % tall)
    for p in range(4):
        o = np.uintp(4 * p * _SLAB)
        if line + p >= height:
            for q in range(length):
                through[o + q] = _0
            continue
        i = np.uintp((image * height + line + p) * width * filters)
        if rectified:
            for q in range(length):
                through[o + q] = upstream[i + q] if outputs[i + q] > _0 else _0
        else:
            for q in range(length):
                through[o + q] = upstream[i + q]
    for column in range(width):
        i = np.uintp(column * filters)
        for q in range(np.uintp(filters)):
            above = through[i + q] + through[i + _AT[4] + q]
            of_bias[q] += above + (through[i + _AT[8] + q] + through[i + _AT[12] + q])


@compiled
def _let_through_pooled(
    outputs: Floats,
    places: Bytes,
    upstream: Floats,
    row: int,
    tall: int,
    height: int,
    width: int,
    rectified: bool,
    given: Floats,
    which: Whole,
    through: Floats,
    of_bias: Floats,
) -> None:
    """`_let_through` from pooled outputs: each gradient to its place, zeros to the other three."""
    filters = of_bias.size
    f, length = np.uintp(filters), np.uintp(width * filters)
    image, line = row // tall, 2 * (row % tall)
    for p in range(2):
        o = np.uintp(8 * p * _SLAB)
        if line + p >= height // 2:
            for q in range(length):
                through[o + q] = _0
                through[o + _AT[4] + q] = _0
            continue
        for column in range(width // 2):
            i = np.uintp(((image * (height // 2) + line + p) * (width // 2) + column) * filters)
            o = np.uintp(8 * p * _SLAB + 2 * column * filters)
            for q in range(f):
                which[q] = places[i + q]
            for q in range(f):
                dropped = rectified and not outputs[i + q] > _0
                given[q] = _0 if dropped else upstream[i + q]
            for q in range(f):
                of_bias[q] += given[q]
            for place in range(4):
                to = o + np.uintp((place // 2) * 4 * _SLAB + (place % 2) * filters)
                this = np.int32(place)
                for q in range(f):
                    through[to + q] = given[q] if which[q] == this else _0


@compiled
def _transform_upstream(
    through: Floats, width: int, filters: int, work: Floats, products: Floats, at: int
) -> None:
    """`A g A^T` for a row of tiles, into 36 slabs from `at` on."""
    for column in range(width):
        i = np.uintp(column * filters)
        o = np.uintp((column % 4) * _SLAB + (column // 4) * filters)
        for q in range(np.uintp(filters)):
            g0, g1 = through[i + q], through[i + _AT[4] + q]
            g2, g3 = through[i + _AT[8] + q], through[i + _AT[12] + q]
            m0, m1, m2, m3, m4, m5 = _upstream_transformed(g0, g1, g2, g3)
            work[o + q], work[o + _AT[4] + q], work[o + _AT[8] + q] = m0, m1, m2
            work[o + _AT[12] + q], work[o + _AT[16] + q] = m3, m4
            work[o + _AT[20] + q] = m5
    for a in range(6):
        i, o = np.uintp(4 * a * _SLAB), np.uintp(6 * a * _SLAB + at)
        for q in range(np.uintp(_tiles(width) * filters)):
            g0, g1 = work[i + q], work[i + _AT[1] + q]
            g2, g3 = work[i + _AT[2] + q], work[i + _AT[3] + q]
            m0, m1, m2, m3, m4, m5 = _upstream_transformed(g0, g1, g2, g3)
            products[o + q], products[o + _AT[1] + q], products[o + _AT[2] + q] = m0, m1, m2
            products[o + _AT[3] + q], products[o + _AT[4] + q] = m3, m4
            products[o + _AT[5] + q] = m5


@compiled
def _transform_back(
    values: Floats,
    at: int,
    row: int,
    tall: int,
    height: int,
    width: int,
    channels: int,
    work: Floats,
    out: Floats,
) -> None:
    """`B v B^T` for a row of tiles, added up where tiles overlap, to its place in `out`."""
    c, length = np.uintp(channels), np.uintp(_tiles(width - 2) * channels)
    for a in range(6):
        i, o = np.uintp(6 * a * _SLAB + at), np.uintp(4 * a * _SLAB)
        for q in range(c):  # the last tile reaches two columns further
            work[o + length + q] = _0
            work[o + _AT[1] + length + q] = _0
        for q in range(length):
            v0, v1, v2 = values[i + q], values[i + _AT[1] + q], values[i + _AT[2] + q]
            v3, v4 = values[i + _AT[3] + q], values[i + _AT[4] + q]
            v5 = values[i + _AT[5] + q]
            work[o + q] = _4 * v0
            work[o + _AT[1] + q] = _4 * (v2 - v1 + v5) + _2 * (v4 - v3)
            work[o + _AT[2] + q] = -_5 * v0 - _4 * (v1 + v2) - v3 - v4
            work[o + _AT[3] + q] = v1 - v2 + _2 * (v3 - v4) - _5 * v5
        for q in range(length):
            work[o + c + q] += (
                values[i + q]
                + values[i + _AT[1] + q]
                + values[i + _AT[2] + q]
                + values[i + _AT[3] + q]
                + values[i + _AT[4] + q]
            )
        for q in range(length):
            work[o + _AT[1] + c + q] += values[i + _AT[5] + q]
    line, first = width * channels, row % tall == 0
    l1, l2, l3 = np.uintp(line), np.uintp(2 * line), np.uintp(3 * line)
    l4, l5 = np.uintp(4 * line), np.uintp(5 * line)
    begin, left = ((row // tall) * height + 4 * (row % tall)) * line, height - 4 * (row % tall)
    for column in range(width):
        i = np.uintp((column % 4) * _SLAB + (column // 4) * channels)
        o = np.uintp(begin + column * channels)
        # The first two lines hold what the tiles above gave their last two.
        for q in range(c):
            value = _4 * work[i + q]
            out[o + q] = value if first else out[o + q] + value
        if left > 1:
            for q in range(c):
                w1, w2 = work[i + _AT[4] + q], work[i + _AT[8] + q]
                w3, w4 = work[i + _AT[12] + q], work[i + _AT[16] + q]
                value = _4 * (w2 - w1 + work[i + _AT[20] + q]) + _2 * (w4 - w3)
                out[o + l1 + q] = value if first else out[o + l1 + q] + value
        if left > 2:
            for q in range(c):
                w1, w2 = work[i + _AT[4] + q], work[i + _AT[8] + q]
                w3, w4 = work[i + _AT[12] + q], work[i + _AT[16] + q]
                out[o + l2 + q] = -_5 * work[i + q] - _4 * (w1 + w2) - w3 - w4
        if left > 3:
            for q in range(c):
                w1, w2 = work[i + _AT[4] + q], work[i + _AT[8] + q]
                w3, w4 = work[i + _AT[12] + q], work[i + _AT[16] + q]
                out[o + l3 + q] = w1 - w2 + _2 * (w3 - w4) - _5 * work[i + _AT[20] + q]
        if left > 4:
            for q in range(c):
                w1, w2 = work[i + _AT[4] + q], work[i + _AT[8] + q]
                w3, w4 = work[i + _AT[12] + q], work[i + _AT[16] + q]
                out[o + l4 + q] = work[i + q] + w1 + w2 + w3 + w4
        if left > 5:
            for q in range(c):
                out[o + l5 + q] = work[i + _AT[20] + q]
