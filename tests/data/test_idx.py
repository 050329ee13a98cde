"""IDX files are read strictly."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from cnn_pipeline.data.formats.idx import IdxError, parse_idx, parse_shape

GOOD = bytes([0, 0, 8, 2, 0, 0, 0, 2, 0, 0, 0, 3]) + bytes(range(6))


def test_values_and_shape() -> None:
    array = parse_idx(GOOD)

    assert array.dtype == np.uint8
    assert array.tolist() == [[0, 1, 2], [3, 4, 5]]
    assert not array.flags.writeable


@given(hnp.arrays(np.uint8, hnp.array_shapes(min_dims=1, max_dims=4, min_side=0, max_side=5)))
def test_what_is_written_is_read(values: np.ndarray) -> None:
    header = bytes([0, 0, 8, values.ndim]) + np.array(values.shape, dtype=">u4").tobytes()

    read = parse_idx(header + values.tobytes())

    assert read.shape == values.shape
    assert np.array_equal(read, values)


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "must start with the bytes 00 00 08, received nothing"),
        (b"\x00\x00\x08", "received 00 00 08$"),
        (b"\x00\x01\x08\x01" + bytes(4), "received 00 01 08 01"),
        (b"\x00\x00\x0d\x01" + bytes(4), r"received 32-bit floats \(0d\); save .* as an .npz"),
        (b"\x00\x00\x0b\x01" + bytes(4), r"received 16-bit whole numbers \(0b\)"),
        (b"\x00\x00\x0a\x01" + bytes(4), "received 00 00 0a 01"),
        (b"\x1f\x8b\x08\x00", "received 1f 8b 08 00"),
        (b"<htm", "received 3c 68 74 6d"),
        (bytes([0, 0, 8, 0]), "1 to 4 dimensions, received 0"),
        (bytes([0, 0, 8, 5]) + bytes(20), "1 to 4 dimensions, received 5"),
        (GOOD[:11], "header must have 12 bytes, received 11"),
        (GOOD[:-1], "2x3 values need exactly 18 bytes, received 17"),
        (GOOD + b"\x00", "2x3 values need exactly 18 bytes, received 19"),
        (bytes([0, 0, 8, 2]) + b"\xff" * 8, r"4294967295x4294967295 values need exactly"),
    ],
)
def test_anything_else_is_refused(data: bytes, message: str) -> None:
    with pytest.raises(IdxError, match=message):
        parse_idx(data)


@given(st.binary(max_size=64))
def test_any_bytes_parse_or_raise(data: bytes) -> None:
    try:
        shape = parse_idx(data).shape
    except IdxError:
        return
    assert shape == parse_shape(data)
