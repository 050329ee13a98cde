"""What the numbers of images per class make doubtful, in sentences.

`data`, `run`, the verdict and the report show the same ones. They are warnings, not faults: such
data can be what there is.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cnn_pipeline.base.quantities import percent

FEWEST = 20
"""Training and validation images of a class: below, its accuracy is mostly luck."""
DOMINANT = 0.9
"""Share of all images: above, always saying this class looks like a good answer."""
_MOST_NAMED = 5


def class_warnings(
    class_names: Sequence[str],
    train: Sequence[int],
    validation: Sequence[int],
    test: Sequence[int],
) -> tuple[str, ...]:
    """Sentences without a full stop, by the numbers of images per class; empty if all is well."""
    warnings = [
        _listed(
            class_names,
            [not count for count in test],
            lambda classes, its: f"{classes} without a test image: {its} accuracy is not measured",
        ),
        _listed(
            class_names,
            [not count for count in validation],
            lambda classes, its: (
                f"{classes} without a validation image: {its} accuracy does not count when the "
                "variant is chosen"
            ),
        ),
        _listed(
            class_names,
            [a + b < FEWEST for a, b in zip(train, validation, strict=True)],
            lambda classes, its: (
                f"{classes} with fewer than {FEWEST} training and validation images: {its} "
                "accuracy is mostly luck"
            ),
        ),
    ]
    everything = [sum(counts) for counts in zip(train, validation, test, strict=True)]
    largest = max(everything)
    if largest > DOMINANT * sum(everything):
        name = class_names[everything.index(largest)]
        share = percent(largest / sum(everything))
        warnings.append(
            f"{share} of all images are of the class {name}: a network that always says {name} "
            "has nearly that accuracy"
        )
    return tuple(warning for warning in warnings if warning)


def no_better_than_largest(label: str, accuracy: float, test: Sequence[int]) -> str:
    """That a variant has learned nothing, by its test accuracy and the test images per class.

    'f8-max gets 31.9 % of the test images right, where always saying the largest class gives
    33.3 %'; empty if it is better than that.
    """
    share = max(test, default=0) / max(1, sum(test))
    if accuracy > share:
        return ""
    return (
        f"{label} gets {percent(accuracy)} of the test images right, where always saying the "
        f"largest class gives {percent(share)}"
    )


def _listed(
    class_names: Sequence[str], chosen: Sequence[bool], sentence: Callable[[str, str], str]
) -> str:
    names = [name for name, is_chosen in zip(class_names, chosen, strict=True) if is_chosen]
    if not names:
        return ""
    shown = ", ".join(names[:_MOST_NAMED])
    more = f" and {len(names) - _MOST_NAMED} more" if len(names) > _MOST_NAMED else ""
    classes = "1 class" if len(names) == 1 else f"{len(names)} classes"
    return sentence(f"{classes} ({shown}{more})", "its" if len(names) == 1 else "their")
