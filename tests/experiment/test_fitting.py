"""Small images and few of them get settings that fit, where the user has not chosen others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from cnn_pipeline.base.errors import InvalidInput
from cnn_pipeline.cli.flags import checked_sweep
from cnn_pipeline.experiment.data_card import DataShape
from cnn_pipeline.experiment.fitting import fit_to_data, smaller_network
from cnn_pipeline.experiment.preflight import check_fit
from cnn_pipeline.settings.named import NAMED, filters_and_pooling, resolve
from cnn_pipeline.settings.sweep import Axes, Sweep
from cnn_pipeline.settings.trial import Training, Variant

DIGITS = DataShape((8, 8, 1), 10, 1200, 360)


def test_the_default_sweep_fits_images_of_8x8() -> None:
    asked = filters_and_pooling()
    with pytest.raises(InvalidInput):
        check_fit(asked, DIGITS)

    sweep, (note,) = fit_to_data(asked, DIGITS)

    assert set(check_fit(sweep, DIGITS)) == {
        f"f{filters}-{pooling}-same" for filters in (16, 32, 64) for pooling in ("max", "none")
    }
    assert sweep.baseline_label == "f64-max-same"  # as the tutorial's network
    assert note == (
        "images of 8x8 are too small for these networks without padding, so all have --padding same"
    )
    assert Sweep(**sweep.model_dump()) == sweep


@pytest.mark.parametrize("shape", [(28, 28, 1), (10, 10, 3)])
def test_what_fits_stays_as_it_is(shape: tuple[int, int, int]) -> None:
    for name in NAMED:
        sweep, notes = fit_to_data(resolve(name), DataShape((28, 28, 1), 10, 128, 10))
        assert sweep == NAMED[name]() and notes == ()
    sweep, notes = fit_to_data(filters_and_pooling(), DataShape(shape, 10, 128, 10))
    assert sweep == filters_and_pooling() and notes == ()


def test_what_was_chosen_stays_and_the_refusal_has_a_flag_that_helps() -> None:
    asked = filters_and_pooling()

    valid = asked.model_copy(update={"variant": Variant(padding="valid")})
    assert fit_to_data(valid, DIGITS) == (asked, ())
    axes = Sweep(axes=Axes(padding=("valid", "same")))
    assert fit_to_data(axes, DIGITS) == (axes, ())
    course = NAMED["course-exercises"]()
    assert fit_to_data(course, DIGITS) == (course, ())
    with pytest.raises(InvalidInput) as refused:
        check_fit(asked, DIGITS)
    assert all(f.endswith("Images of 8x8 fit with --padding same.") for f in refused.value.faults)


@pytest.mark.parametrize(
    ("side", "variant", "flags"),
    [
        (8, Variant(), "--padding same"),
        (6, Variant(conv_layers=3), "--conv-layers 1"),
        (28, Variant(conv_layers=6), "--conv-layers 3"),
        (2, Variant(), "--padding same --conv-layers 1"),
        (1, Variant(), "--padding same --pooling none"),
        (1, Variant(filters=(8, 16)), "--padding same --pooling none"),
    ],
)
def test_the_flags_are_the_first_that_fit(side: int, variant: Variant, flags: str) -> None:
    said = smaller_network(variant, DataShape((side, side, 1), 10, 100, 10))

    assert said == f" Images of {side}x{side} fit with {flags}."


@pytest.mark.parametrize(
    ("images", "batch"), [(127, 8), (64, 8), (63, 4), (16, 2), (15, 1), (2, 1), (1, 1)]
)
def test_a_batch_larger_than_the_data_is_made_smaller(images: int, batch: int) -> None:
    shape = DataShape((28, 28, 1), 10, images, 10)

    sweep, (note,) = fit_to_data(Sweep(), shape)

    assert sweep.training == Training(batch_size=batch)
    assert check_fit(sweep, shape)
    assert note.startswith(f"a batch of 128 is larger than the {images} training images, so ")
    assert note.endswith(f"(--batch-size {batch})")
    chosen = Sweep(training=Training(batch_size=128))
    assert fit_to_data(chosen, shape) == (chosen, ())


def test_a_limit_of_training_images_makes_batches_smaller_too(tmp_path: Path) -> None:
    sweep, _ = checked_sweep({"data": "fashion-mnist-sample", "train_limit": "100"}, tmp_path)

    assert sweep.training.batch_size == 8


def test_flags_and_files_are_choices(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    images = np.arange(60 * 64, dtype=np.int64).reshape(60, 64) % 17
    np.savez(tmp_path / "d.npz", data=images, target=np.arange(60) % 3 + 1)
    asked = {"data": str(tmp_path / "d.npz"), "seeds": "0"}

    sweep, checked = checked_sweep(asked, tmp_path)

    assert (sweep.variant.padding, sweep.training.batch_size) == ("same", 4)
    assert set(checked.plans) == set(sweep.labels)
    told = capsys.readouterr().err
    assert "settings: images of 8x8 are too small" in told and "settings: a batch of 128" in told
    assert "\ndata: rows of 64 values became images of 8x8" in told
    (tmp_path / "s.toml").write_text(
        'name = "mine"\n[variant]\npadding = "valid"\n[training]\nbatch_size = 128\n'
    )
    for given in ({"padding": "valid", "batch_size": "128"}, {"sweep": str(tmp_path / "s.toml")}):
        with pytest.raises(InvalidInput) as refused:
            checked_sweep(asked | given, tmp_path)
        assert "--batch-size: must be at most 40" in str(refused.value)
        assert "Images of 8x8 fit with --padding same." in str(refused.value)
