"""Parse requests in MLflow's scoring protocol into pixels.

The formats are those of MLflow 3.17 (`mlflow/pyfunc/scoring_server/__init__.py`): one key,
`inputs` or `instances`, whose value is a list of images, or that list under the signature's name
(`{"inputs": {"image": [...]}}`, `{"instances": [{"image": ...}, ...]}`). An image is nested lists
of raw pixels, or a picture file in base64: a string, as MLflow writes bytes, or
`{"b64": "..."}`, as TensorFlow Serving does.
"""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass
from http import HTTPStatus
from itertools import chain
from typing import Any, NoReturn

import numpy as np
import numpy.typing as npt

from cnn_pipeline.base.errors import InvalidInput
from cnn_pipeline.data.picture import PreparedImage, prepare_image
from cnn_pipeline.data.preparation import Preparation

MAX_IMAGES = 4096
INPUT_NAME = "image"  # in the logged model's signature
_LISTS = ("inputs", "instances")
_TABLES = ("dataframe_split", "dataframe_records")
_JSON = "application/json"
_SHOWN_FAULTS = 5


class Refused(Exception):
    """A bad request: an HTTP status 4xx and the reason."""

    def __init__(self, reason: str, status: HTTPStatus = HTTPStatus.BAD_REQUEST) -> None:
        super().__init__(reason)
        self.status = status


@dataclass(frozen=True, eq=False)
class Images:
    """The images of a request."""

    pixels: npt.NDArray[np.uint8]
    """uint8 `[n, height, width, channels]`, 0 to 255."""
    notes: tuple[tuple[str, ...], ...]
    """What was done to each picture to convert it to the model's input; empty for raw pixels."""


def check_content_type(header: str | None) -> None:
    """Refuse everything but JSON in UTF-8, with status 415 as MLflow does."""
    kind, *parameters = [part.strip() for part in (header or "").split(";")]
    given = {
        key.strip().lower(): value.strip(' "').lower()
        for key, _, value in (parameter.partition("=") for parameter in parameters if parameter)
    }
    if kind.lower() != _JSON or given.pop("charset", "utf-8") != "utf-8" or given:
        received = "none" if header is None else repr(header)
        raise Refused(
            f"the content type must be {_JSON} in UTF-8, received {received}",
            HTTPStatus.UNSUPPORTED_MEDIA_TYPE,
        )


def pixels_wanted(value: str | None) -> bool:
    """Whether the answer should hold the images as the model sees them: `?pixels=true`."""
    if value not in (None, "true", "false"):
        raise Refused(f"'pixels' must be true or false, received {_shortened(repr(value))}")
    return value == "true"


def parse(body: bytes, image_shape: tuple[int, int, int], preparation: Preparation) -> Images:
    """The images in the body of a request.

    Args:
        body: JSON in UTF-8.
        image_shape: height, width and channels of the model's input.
        preparation: of the model's pictures; raw pixels stay as they are.

    Raises:
        Refused: the body is not valid; says what is required and what was received.
    """
    form = _Form(_unwrapped(_fields(_decoded(body))), image_shape)
    if not isinstance(form.images, list) or not form.images:
        form.refuse("an empty list" if form.images == [] else _described(form.images))
    if len(form.images) > MAX_IMAGES:
        raise Refused(
            f"a request must hold at most {MAX_IMAGES} images, received {len(form.images)}",
            HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
        )
    if any(isinstance(image, str | dict) for image in form.images):
        return _pictures(form, preparation)
    return Images(_pixels(form), ())


@dataclass(frozen=True, eq=False)
class _Form:
    """The list in a request, and the shape that its images must have."""

    images: Any
    image_shape: tuple[int, int, int]

    def refuse(self, received: str) -> NoReturn:
        height, width, channels = self.image_shape
        shapes = f"[n, {height}, {width}, {channels}]"
        if channels == 1:
            shapes += f" or [n, {height}, {width}]"
        raise Refused(
            f"the images must be a list: nested lists {shapes} of whole numbers 0..255, "
            'or picture files in base64 as {"b64": "..."}; received ' + received
        )


def _decoded(body: bytes) -> Any:
    try:
        return json.loads(body.decode("utf-8"), parse_constant=_refuse_constant)
    except UnicodeDecodeError as error:
        raise Refused(f"the body must be UTF-8: byte {error.start} is not") from None
    except RecursionError:
        raise Refused("the body must be JSON of lists at most four deep") from None
    except ValueError as error:
        raise Refused(f"the body must be JSON: {error}") from None


def _refuse_constant(name: str) -> NoReturn:
    raise Refused(f"pixels must be whole numbers 0..255, received {name}")


def _fields(document: Any) -> Any:
    """The value of `inputs` or `instances`."""
    rule = f"the body must be a JSON object with exactly one of {' and '.join(map(repr, _LISTS))}"
    if not isinstance(document, dict):
        raise Refused(f"{rule}, received {_described(document)}")
    if tables := [name for name in _TABLES if name in document]:
        raise Refused(
            f"{tables[0]!r} is a table, and this model takes images: send them under 'inputs' as "
            "nested lists, or as picture files in base64"
        )
    if document.get("params"):
        raise Refused("this model takes no params: leave 'params' out")
    keys = [key for key in document if key != "params"]
    if len(keys) != 1 or keys[0] not in _LISTS:
        raise Refused(f"{rule}, received the keys {_shortened(repr(keys))}")
    return document[keys[0]]


def _unwrapped(value: Any) -> Any:
    """The list of images, without the signature's name around it or around its elements."""
    if isinstance(value, dict) and set(value) == {INPUT_NAME}:
        return value[INPUT_NAME]
    if isinstance(value, list):
        return [
            item[INPUT_NAME] if isinstance(item, dict) and set(item) == {INPUT_NAME} else item
            for item in value
        ]
    return value


def _pixels(form: _Form) -> npt.NDArray[np.uint8]:
    height, width, channels = form.image_shape
    level: list[Any] = form.images
    shape = [len(level)]
    # Level by level with built-in functions is several times faster than element by element.
    while len(shape) <= 4 and list in (kinds := set(map(type, level))):
        lengths = set(map(len, level)) if kinds == {list} else set()
        if len(lengths) != 1:
            form.refuse("lists of unequal length or depth")
        shape.append(lengths.pop())
        level = list(chain.from_iterable(level))
    allowed = [[height, width, channels]] + ([[height, width]] if channels == 1 else [])
    if shape[1:] not in allowed:
        form.refuse(f"nested lists of shape {shape}")
    if others := set(map(type, level)) - {int}:
        other = next(value for value in level if type(value) in others)
        scaled = "; do not scale pixels, the model does it itself" if float in others else ""
        raise Refused(f"pixels must be whole numbers 0..255, received {_described(other)}{scaled}")
    try:
        raw = bytes(level)
    except (ValueError, OverflowError):
        outside = next(value for value in level if not 0 <= value <= 255)
        raise Refused(
            f"pixels must be whole numbers 0..255, received {_described(outside)}"
        ) from None
    return np.frombuffer(raw, np.uint8).reshape(-1, height, width, channels)


def _pictures(form: _Form, preparation: Preparation) -> Images:
    prepared: list[PreparedImage] = []
    faults: list[str] = []
    for number, item in enumerate(form.images):
        name = f"image {number}"
        try:
            content = _file(item, name)
            prepared.append(
                prepare_image(content, form.image_shape, preparation=preparation, name=name)
            )
        except InvalidInput as error:
            faults += error.faults
    if faults:
        more = len(faults) - _SHOWN_FAULTS
        shown = "; ".join(faults[:_SHOWN_FAULTS]) + (f"; and {more} more" if more > 0 else "")
        raise Refused(shown)
    return Images(np.stack([image.pixels for image in prepared]), tuple(i.steps for i in prepared))


def _file(item: Any, name: str) -> bytes:
    """The bytes in a base64 string or in `{"b64": string}`."""
    text = item.get("b64") if isinstance(item, dict) and set(item) == {"b64"} else item
    if not isinstance(text, str):
        raise InvalidInput(
            [f'{name}: must be a file in base64 as {{"b64": "..."}}, received {_described(item)}']
        )
    try:
        # MLflow writes base64 in lines of 76 characters.
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidInput([f"{name}: must be valid base64: {error}"]) from None


def _described(value: Any) -> str:
    """A short description of a JSON value, which may be megabytes long."""
    if isinstance(value, dict):
        return f"an object with the keys {_shortened(repr(list(value)))}"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    if isinstance(value, str):
        return f"the text {_shortened(repr(value))}"
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 64:
        return "a whole number of more than 64 bits"
    return json.dumps(value)


def _shortened(text: str) -> str:
    return text if len(text) <= 80 else text[:77] + "..."
