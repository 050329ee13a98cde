"""Valid requests, and how all others are refused."""

from __future__ import annotations

import base64
import io
import json
import re
from http import HTTPStatus
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image

from cnn_pipeline.champion.server import request
from cnn_pipeline.champion.server.request import Refused, check_content_type, parse
from cnn_pipeline.data.preparation import FASHION

SHAPE = (28, 28, 1)
IMAGES = np.random.default_rng(0).integers(0, 256, (3, *SHAPE), dtype=np.uint8)
# Bright on black, so that the picture's convention leaves it as it is.
BOOT = np.zeros(SHAPE, np.uint8)
BOOT[8:20, 4:24] = 200


def png(pixels: np.ndarray) -> bytes:
    file = io.BytesIO()
    Image.fromarray(pixels.squeeze()).save(file, "PNG")
    return file.getvalue()


def text(content: bytes) -> str:
    return base64.b64encode(content).decode()


def pixels_of(document: Any, shape: tuple[int, int, int] = SHAPE) -> np.ndarray:
    return parse(json.dumps(document).encode(), shape, FASHION).pixels


def refusal(document: Any, shape: tuple[int, int, int] = SHAPE) -> str:
    body = document if isinstance(document, bytes) else json.dumps(document).encode()
    with pytest.raises(Refused) as caught:
        parse(body, shape, FASHION)
    assert caught.value.status == HTTPStatus.BAD_REQUEST
    return str(caught.value)


@pytest.mark.parametrize("key", ["inputs", "instances"])
@pytest.mark.parametrize("squeezed", [False, True])
def test_raw_pixels(key: str, squeezed: bool) -> None:
    sent = IMAGES[..., 0] if squeezed else IMAGES
    received = pixels_of({key: sent.tolist(), "params": None})
    assert received.dtype == np.uint8
    np.testing.assert_array_equal(received, IMAGES)


def test_the_signatures_name_may_be_spelled_out() -> None:
    listed = IMAGES.tolist()
    np.testing.assert_array_equal(pixels_of({"inputs": {"image": listed}}), IMAGES)
    rows = [{"image": image} for image in listed]
    np.testing.assert_array_equal(pixels_of({"instances": rows}), IMAGES)


@given(
    arrays.arrays(
        np.uint8,
        st.tuples(st.integers(1, 3), st.just(2), st.just(4), st.just(3)),
    )
)
def test_whatever_is_sent_arrives(sent: np.ndarray) -> None:
    np.testing.assert_array_equal(pixels_of({"inputs": sent.tolist()}, (2, 4, 3)), sent)


@pytest.mark.parametrize(
    "form",
    [
        lambda file: {"inputs": [{"b64": file}]},
        lambda file: {"inputs": [file]},
        lambda file: {"inputs": {"image": [file]}},
        lambda file: {"instances": [{"image": {"b64": file}}]},
        lambda file: {"instances": [{"image": file}]},
    ],
)
def test_a_picture_in_base64_is_its_pixels(form: Any) -> None:
    np.testing.assert_array_equal(pixels_of(form(text(png(BOOT)))), BOOT[None])
    # As MLflow writes bytes into JSON.
    lines = base64.encodebytes(png(BOOT)).decode("ascii")
    assert "\n" in lines[:-1]
    np.testing.assert_array_equal(pixels_of(form(lines)), BOOT[None])


def test_what_was_done_to_a_picture_is_told() -> None:
    large = png(np.kron(BOOT[..., 0], np.ones((4, 4), np.uint8)))
    document = {"inputs": [{"b64": text(large)}, {"b64": text(png(BOOT))}]}
    images = parse(json.dumps(document).encode(), SHAPE, FASHION)
    assert images.pixels.shape == (2, *SHAPE)
    assert "resized from 112x112 to 28x28" in images.notes[0]
    assert images.notes[1] == ()


ONE = IMAGES[:1].tolist()


def changed(value: Any) -> Any:
    image = IMAGES[:1].tolist()
    image[0][5][6][0] = value
    return image


@pytest.mark.parametrize(
    ("document", "reason"),
    [
        (b"", "must be JSON"),
        (b"{'inputs': []}", "must be JSON"),
        (b"\xff\xfe", "must be UTF-8"),
        (b"[" * 100_000, "must be JSON"),
        (b'{"inputs": ' + b"1" * 5000 + b"}", "must be JSON"),
        (b'{"inputs": [[[NaN]]]}', "received NaN"),
        (b'{"inputs": [[[-Infinity]]]}', "received -Infinity"),
        ([1], "exactly one of 'inputs' and 'instances', received a list of 1"),
        (None, "received null"),
        ({}, r"received the keys \[\]"),
        ({"input": ONE}, r"received the keys \['input'\]"),
        ({"inputs": ONE, "instances": ONE}, "received the keys"),
        ({"inputs": ONE, "signature_name": "x"}, "received the keys"),
        ({"inputs": ONE, "params": {"top": 3}}, "takes no params"),
        ({"dataframe_split": {"data": []}}, "'dataframe_split' is a table.*'inputs'"),
        ({"dataframe_records": []}, "'dataframe_records' is a table"),
        ({"inputs": []}, "received an empty list"),
        ({"inputs": 7}, "received 7"),
        ({"inputs": "text"}, "received the text 'text'"),
        ({"inputs": {"b64": "x"}}, r"received an object with the keys \['b64'\]"),
        ({"inputs": {"pixels": ONE}}, r"received an object with the keys \['pixels'\]"),
        ({"inputs": [1, 2]}, r"shape \[2\]"),
        ({"inputs": ONE[0]}, r"\[n, 28, 28, 1\] or \[n, 28, 28\].*shape \[28, 28, 1\]"),
        ({"inputs": np.zeros((2, 27, 28), int).tolist()}, r"shape \[2, 27, 28\]"),
        ({"inputs": np.zeros((2, 784), int).tolist()}, r"shape \[2, 784\]"),
        ({"inputs": np.zeros((1, 28, 28, 3), int).tolist()}, r"shape \[1, 28, 28, 3\]"),
        ({"inputs": [[], []]}, r"shape \[2, 0\]"),
        ({"inputs": [ONE[0], ONE[0][:-1]]}, "unequal length or depth"),
        ({"inputs": [ONE[0], 5]}, "unequal length or depth"),
        ({"inputs": changed([1])}, "unequal length or depth"),
        ({"inputs": changed(256)}, "whole numbers 0..255, received 256"),
        ({"inputs": changed(-1)}, "received -1"),
        ({"inputs": changed(2**80)}, "received a whole number of more than 64 bits"),
        ({"inputs": changed(0.5)}, "received 0.5; do not scale pixels"),
        ({"inputs": changed(3.0)}, "received 3.0"),
        ({"inputs": changed(True)}, "received true"),
        ({"inputs": changed(None)}, "received null"),
        ({"inputs": changed("7")}, "received the text '7'"),
        ({"inputs": [{"b64": "?!"}]}, "image 0: must be valid base64"),
        ({"inputs": [{"b64": "ä"}]}, "image 0: must be valid base64"),
        ({"inputs": [{"b64": ""}]}, "image 0: the file is empty"),
        ({"inputs": [{"b64": text(b"no image")}]}, "image 0: this is not a PNG, JPEG"),
        ({"inputs": [{"b64": text(png(BOOT)[:60])}]}, "image 0: "),
        ({"inputs": [{"b64": 7}]}, "image 0: must be a file in base64"),
        ({"inputs": [{"url": "x"}]}, "image 0: must be a file in base64"),
        ({"inputs": [{"b64": text(png(BOOT))}, ONE[0]]}, "image 1: must be a file in base64"),
        ({"inputs": ["?"] * 8}, "image 0.*image 4: [^;]*; and 3 more$"),
    ],
)  # fmt: skip
def test_a_bad_request_is_told_why(document: Any, reason: str) -> None:
    with_reason = refusal(document)
    assert len(with_reason) < 500
    assert re.search(reason, with_reason), with_reason


def test_a_model_of_colours_takes_no_grey_lists() -> None:
    grey = np.zeros((1, 4, 4), int).tolist()
    assert "nested lists [n, 4, 4, 3] of" in refusal({"inputs": grey}, (4, 4, 3))


def test_too_many_images_are_too_large(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request, "MAX_IMAGES", 2)
    pixels_of({"inputs": IMAGES[:2].tolist()})
    with pytest.raises(Refused, match="at most 2 images, received 3") as caught:
        pixels_of({"inputs": IMAGES.tolist()})
    assert caught.value.status == HTTPStatus.REQUEST_ENTITY_TOO_LARGE


@pytest.mark.parametrize(
    "header",
    ["application/json", "Application/JSON; charset=UTF-8", 'application/json;charset="utf-8"'],
)
def test_json_is_taken(header: str) -> None:
    check_content_type(header)


@pytest.mark.parametrize(
    "header",
    [
        None, "", "text/csv", "application/vnd.apache.parquet", "image/png", "multipart/form-data",
        "application/json; charset=latin-1", "application/json; format=pandas-records",
    ],
)  # fmt: skip
def test_another_content_type_is_refused(header: str | None) -> None:
    with pytest.raises(Refused, match="must be application/json in UTF-8") as caught:
        check_content_type(header)
    assert caught.value.status == HTTPStatus.UNSUPPORTED_MEDIA_TYPE
