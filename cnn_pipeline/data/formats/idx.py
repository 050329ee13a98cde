"""MNIST's IDX format, read strictly (Y. LeCun, http://yann.lecun.com/exdb/mnist/)."""

from __future__ import annotations

import math
from mmap import mmap

import numpy as np
from numpy.typing import NDArray

_UBYTE = 0x08
_OTHER_TYPES = {
    0x09: "signed bytes",
    0x0B: "16-bit whole numbers",
    0x0C: "32-bit whole numbers",
    0x0D: "32-bit floats",
    0x0E: "64-bit floats",
}
_MAX_DIMS = 4


class IdxError(ValueError):
    """The bytes are not a complete IDX file of unsigned bytes; the message says why."""


def header_size(magic: bytes | bytearray | mmap) -> int:
    """Length in bytes of the header that starts with the four bytes `magic`.

    Raises:
        IdxError: not the magic number of an IDX file of unsigned bytes with 1 to 4 dimensions.
    """
    if len(magic) >= 4 and not magic[0] and not magic[1] and magic[2] in _OTHER_TYPES:
        raise IdxError(
            f"an IDX file must hold unsigned bytes (08), received {_OTHER_TYPES[magic[2]]} "
            f"({magic[2]:02x}); save the arrays as an .npz file, which may hold them"
        )
    if len(magic) < 4 or magic[0] or magic[1] or magic[2] != _UBYTE:
        raise IdxError(
            "an IDX file of unsigned bytes must start with the bytes 00 00 08, "
            f"received {magic[:4].hex(' ') or 'nothing'}"
        )
    if not 1 <= magic[3] <= _MAX_DIMS:
        raise IdxError(f"an IDX file must have 1 to {_MAX_DIMS} dimensions, received {magic[3]}")
    return 4 + 4 * magic[3]


def parse_shape(header: bytes | bytearray | mmap) -> tuple[int, ...]:
    """Sizes of the dimensions in a header of `header_size` bytes, big-endian.

    Raises:
        IdxError: it is not an IDX header, or is truncated.
    """
    size = header_size(header)
    if len(header) < size:
        raise IdxError(f"the header must have {size} bytes, received {len(header)}")
    return tuple(int.from_bytes(header[at : at + 4], "big") for at in range(4, size, 4))


def parse_idx(data: bytes | bytearray | mmap) -> NDArray[np.uint8]:
    """The array in a complete IDX file: uint8, a view of `data`.

    Raises:
        IdxError: wrong magic number, or a length that is not exactly header plus values.
    """
    shape = parse_shape(data)
    size = header_size(data)
    expected = size + math.prod(shape)
    if len(data) != expected:
        raise IdxError(
            f"{'x'.join(map(str, shape))} values need exactly {expected:,} bytes, "
            f"received {len(data):,}"
        )
    try:
        return np.frombuffer(data, dtype=np.uint8, offset=size).reshape(shape)
    except ValueError:  # no values, but of dimensions beyond NumPy's
        raise IdxError(f"dimensions must not be as large as {list(shape)}") from None
