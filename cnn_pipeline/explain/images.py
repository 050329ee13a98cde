"""The images that a tour shows: some of the test images, or the user's own file."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from cnn_pipeline.base.errors import InvalidInput
from cnn_pipeline.data.dataset import Dataset
from cnn_pipeline.data.picture import prepare_image
from cnn_pipeline.data.samples import journey_images
from cnn_pipeline.explain.drawing.fonts import legible

MOST = 6
"""Images side by side; more would be too small to see."""


@dataclass(frozen=True)
class ImageChoice:
    """What `--image` asks for: positions in the test split, or one file."""

    positions: tuple[int, ...] = ()
    file: Path | None = None


@dataclass(frozen=True, eq=False)
class ChosenImage:
    """One image of a tour."""

    pixels: npt.NDArray[np.uint8]
    """`[height, width, channels]`."""
    name: str
    """The class, such as 'Ankle boot', or the file's name."""
    title: str
    """The name with the image's number, as it can be drawn: 'Ankle boot (test image 0)'."""
    label: int | None
    """The true class; None for a file."""
    notes: tuple[str, ...] = ()
    """How a file was turned into the model's input."""


def parse_images(text: str) -> ImageChoice:
    """Parse '0,23' as test images and anything else as a file.

    Raises:
        InvalidInput: there is no such file, or more images than fit side by side.
    """
    if re.fullmatch(r"[0-9]{1,9}(,[0-9]{1,9})*", text):
        positions = tuple(int(part) for part in text.split(","))
        if len(positions) > MOST:
            raise InvalidInput([f"--image: at most {MOST} images, received {len(positions)}"])
        return ImageChoice(positions=positions)
    if not Path(text).is_file():
        raise InvalidInput(
            [
                f"--image: must be a picture file, or the numbers of test images as in 0,23; "
                f"there is no file {text!r}"
            ]
        )
    return ImageChoice(file=Path(text))


def choose_images(choice: ImageChoice | None, dataset: Dataset) -> list[ChosenImage]:
    """The chosen images; by default three test images, two of them of one class.

    Raises:
        InvalidInput: the file is not an image, or there is no such test image.
    """
    if choice is not None and choice.file is not None:
        prepared = prepare_image(choice.file, dataset.image_shape, preparation=dataset.preparation)
        name = choice.file.name
        return [ChosenImage(prepared.pixels, name, name, None, prepared.steps)]
    positions = choice.positions if choice else ()
    count = len(dataset.test)
    if any(position >= count for position in positions):
        raise InvalidInput(
            [f"--image: test images are 0 to {count - 1}, received {max(positions)}"]
        )
    test = dataset.test
    chosen = []
    shown = legible(dataset.class_names)
    for position in positions or journey_images(test.labels, dataset.class_names):
        label = int(test.labels[position])
        name = dataset.class_names[label]
        title = f"{shown[label]} (test image {position})"
        chosen.append(ChosenImage(test.images[position], name, title, label))
    return chosen
