"""Which model answers `predict`, and that it says so."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from PIL import Image

from cnn_pipeline.base.errors import InvalidInput, UserError
from cnn_pipeline.base.home import Home
from cnn_pipeline.champion import find_model
from cnn_pipeline.champion.predict import predict_files
from cnn_pipeline.data.preparation import Preparation
from tests.champion.server.champions import CLASSES, NAME, Registered, crown, register
from tests.champion.server.test_request import BOOT, png


@pytest.fixture
def picture(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    # Logging a model names its store there for the whole process.
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "")
    path = tmp_path / "boot.png"
    path.write_bytes(png(BOOT))
    return path


def registered(home: Home) -> tuple[Registered, Registered]:
    made = register(home, 0), register(home, 1)
    os.environ["MLFLOW_TRACKING_URI"] = ""
    return made


def top(version: Registered) -> list[tuple[str, float]]:
    probabilities = version.answers(BOOT[None])[0]
    order = np.argsort(-probabilities)[:3]
    return [(CLASSES[index], pytest.approx(float(probabilities[index]))) for index in order]


def test_the_champion_answers_and_is_named(home: Home, picture: Path) -> None:
    first, second = registered(home)
    crown(home, first.number)
    (before,) = predict_files([picture], home)
    assert list(before.top) == top(first)
    assert (before.model, before.why) == (
        f"{NAME} version 1 (run {first.run_id})",
        "the champion",
    )
    crown(home, second.number)
    (after,) = predict_files([picture], home, model=NAME)
    assert list(after.top) == top(second)
    assert after.model.startswith(f"{NAME} version 2")


def test_a_run_or_a_sweep_goes_before_the_champion(
    home: Home, picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = registered(home)
    crown(home, first.number)
    (named,) = predict_files([picture], home, run_id=second.run_id)
    assert list(named.top) == top(second)
    assert (named.model, named.why) == (f"tiny-s1 ({second.run_id})", "the run asked for")
    monkeypatch.setattr(find_model, "best_run", lambda sweep_id, place: second.run_id)
    (best,) = predict_files([picture], home, sweep_id="sweep-1")
    assert (best.model, best.why) == (f"tiny-s1 ({second.run_id})", "the best of sweep sweep-1")


def test_without_a_champion_the_last_sweeps_best_answers_and_says_so(
    home: Home, picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, second = registered(home)
    asked: list[str | None] = []

    def best_run(sweep_id: str | None, place: Home) -> str:
        asked.append(sweep_id)
        return second.run_id

    monkeypatch.setattr(find_model, "best_run", best_run)
    (best,) = predict_files([picture], home)
    assert asked == [None]
    assert list(best.top) == top(second)
    assert best.why == f"the best of the last sweep, as there is no champion of {NAME} yet"


def test_after_a_sweep_on_own_data_their_model_answers(
    home: Home, picture: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fashion-MNIST's champion knows nothing of them."""
    first, second = registered(home)
    crown(home, first.number)
    monkeypatch.setattr(find_model, "best_run", lambda sweep_id, place: second.run_id)
    last = SimpleNamespace(dataset="my-photos")
    monkeypatch.setattr(find_model.Reader, "sweep", lambda *_, **__: last)
    (best,) = predict_files([picture], home)
    assert list(best.top) == top(second)
    assert best.why == "the best of the last sweep, as there is no champion of my-photos-cnn yet"
    last.dataset = NAME.removesuffix("-cnn")
    (champion,) = predict_files([picture], home)
    assert champion.why == "the champion" and list(champion.top) == top(first)


def test_a_model_that_was_named_must_have_a_champion(home: Home, picture: Path) -> None:
    registered(home)
    with pytest.raises(UserError, match=r"no champion of shoes-cnn in .*promote RUN --why TEXT"):
        predict_files([picture], home, model="shoes-cnn")


def test_a_damaged_champion_is_refused(home: Home, picture: Path) -> None:
    first, _ = registered(home)
    crown(home, first.number)
    first.damage()
    with pytest.raises(UserError, match="must have SHA-256"):
        predict_files([picture], home)


def test_every_unreadable_picture_is_named_before_a_model_is_loaded(
    home: Home, tmp_path: Path, picture: Path
) -> None:
    first, _ = registered(home)
    crown(home, first.number)
    first.damage()
    text = tmp_path / "text.png"
    text.write_text("no picture")
    with pytest.raises(InvalidInput) as caught:
        predict_files([picture, text, tmp_path / "none.png"], home)
    assert len(caught.value.faults) == 2


def test_a_picture_is_prepared_as_the_models_training_images_were(
    home: Home, picture: Path
) -> None:
    wide = np.full((28, 56), 250, np.uint8)
    wide[4:24, 8:48] = 10
    picture.write_bytes(png(wide))
    stretched = register(home, 0, preparation=Preparation(fit="stretch", drawing="light-on-dark"))
    os.environ["MLFLOW_TRACKING_URI"] = ""
    crown(home, stretched.number)
    squeezed = Image.fromarray(255 - wide).resize((28, 28), Image.Resampling.LANCZOS)
    for run_id in (None, stretched.run_id):  # the registered version, and the run itself
        (found,) = predict_files([picture], home, run_id=run_id)
        expected = stretched.answers(np.asarray(squeezed)[None, ..., None])[0]
        order = np.argsort(-expected)[:3]
        assert [name for name, _ in found.top] == [CLASSES[index] for index in order]
        assert [share for _, share in found.top] == pytest.approx(expected[order], abs=1e-3)
        assert found.notes == (
            "inverted: the background was bright, the object darker, and the training images are "
            "light on dark",
            "resized from 56x28 to 28x28",
        )
