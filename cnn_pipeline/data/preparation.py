"""How pictures of any size and kind become a network's input: declared, and kept with the model.

What training did to its images is done to every picture that the model is asked about.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Annotated, Literal

from pydantic import Field, ValidationError

from cnn_pipeline.base.errors import UserError
from cnn_pipeline.data.catalog import CATALOGS
from cnn_pipeline.settings.trial import DataSettings, Fit, Settings

Drawing = Literal["light-on-dark", "dark-on-light", "mixed"]
CORNERS = "corners"
_NAMED = {"white": "#ffffff", "black": "#000000"}
# Steps that show a background, as `Steps.counted` has them.
PADDED = "padded"
PUT_ON = "put on "


class Preparation(Settings):
    """The preparation of a model's pictures, beside their size and channels."""

    fit: Fit | Literal["object"] = "pad"
    """How a picture of another size gets the right one. 'object' is Fashion-MNIST's way: the
    background becomes black, and the object is cut out, scaled to the frame and centred."""
    background: Annotated[str, Field(pattern=r"^(corners|#[0-9a-f]{6})$")] = CORNERS
    """What is put under transparent pixels and around a padded picture: '#rrggbb'. 'corners', where
    no training image needed it, is the colour of the picture's own corners."""
    drawing: Drawing = "mixed"
    """How the training images are drawn: a grey picture that is drawn the other way is inverted."""

    def to_tag(self) -> str:
        """The preparation as JSON."""
        return json.dumps(self.model_dump())

    @property
    def shown(self) -> str:
        """'pad on #ffffff, light on dark'."""
        fit = f"{self.fit} on {self.background}" if self.fit == "pad" else self.fit
        return fit if self.drawing == "mixed" else f"{fit}, {self.drawing.replace('-', ' ')}"


AS_IS = Preparation()
FASHION = Preparation(fit="object", drawing="light-on-dark")
"""Of Fashion-MNIST and of its sample."""


def preparation_of(dataset: str, tag: str | None) -> Preparation:
    """The preparation of a model.

    Args:
        dataset: name of the model's data set.
        tag: what `Preparation.to_tag` gave; None for a model that was trained before there was
            such a tag, whose pictures were only resized unless they were Fashion-MNIST's.

    Raises:
        UserError: the tag is not what `to_tag` gives.
    """
    if tag is None:
        return FASHION if dataset in CATALOGS else AS_IS
    try:
        return Preparation.model_validate_json(tag)
    except ValidationError:
        raise UserError(
            f"the tag 'preparation' of a model of {dataset} must say how its pictures were "
            f"prepared, as {AS_IS.to_tag()}, received {tag[:200]!r}: something else wrote it. "
            "Train the model again, or restore the tag."
        ) from None


def size_of(image_size: str) -> tuple[int, int]:
    """Height and width for the setting `image_size`, 'HxW'."""
    height, width = image_size.split("x")
    return int(height), int(width)


def declared(settings: DataSettings) -> dict[str, str]:
    """The settings of the preparation that are not the default."""
    plain = DataSettings()
    return {
        name: getattr(settings, name)
        for name in ("image_size", "fit", "color", "background")
        if getattr(settings, name) != getattr(plain, name)
    }


def recorded(settings: DataSettings, steps: Iterable[str]) -> Preparation:
    """The preparation that a model's pictures get, from the one that its images got.

    Args:
        settings: what was declared.
        steps: the steps that were taken for at least one image, as `Steps.counted` has them.
    """
    needed = "background" in declared(settings) or any(
        step == PADDED or step.startswith(PUT_ON) for step in steps
    )
    background = _NAMED.get(settings.background, settings.background)
    return Preparation(fit=settings.fit, background=background if needed else CORNERS)


def catalog_faults(settings: DataSettings) -> list[str]:
    """Why a named data set cannot be prepared as declared; empty for own data."""
    if settings.source not in CATALOGS:
        return []
    return [
        f"{name} must be left out with {settings.source}, whose images are 28x28 and grey, "
        f"received {value!r}; it is for your own data"
        for name, value in declared(settings).items()
    ]
