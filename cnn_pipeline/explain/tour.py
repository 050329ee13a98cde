"""All pictures of one run, in the order in which they are shown."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

from cnn_pipeline.explain.images import ImageChoice
from cnn_pipeline.explain.part import PICTURES, Part

if TYPE_CHECKING:
    from cnn_pipeline.explain.subject import Subject


def run_tour(
    subject: Subject, pictures: Sequence[str] = PICTURES, choice: ImageChoice | None = None
) -> Iterator[Part]:
    """Yield each of `pictures` as soon as it is drawn.

    Raises:
        InvalidInput: the chosen file is not an image, or there is no such test image.
    """
    # Imported late: Keras takes seconds, and a wrong name must be reported first.
    from cnn_pipeline.explain.images import choose_images
    from cnn_pipeline.explain.inside.tour import ablation, looks, patches
    from cnn_pipeline.explain.plots.tour import journey, kernels

    dataset = subject.dataset
    images = choose_images(choice, dataset)
    makers: dict[str, Callable[[], Part]] = {
        "journey": lambda: journey(subject, images),
        "kernels": lambda: kernels(subject),
        "patches": lambda: patches(subject),
        "ablation": lambda: ablation(subject),
        "looks": lambda: looks(subject, images if choice else None),
    }
    for name in pictures:
        yield makers[name]()
