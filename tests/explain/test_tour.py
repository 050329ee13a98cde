"""From a run or an image to files and sentences: by the functions, and by the command."""

from __future__ import annotations

import csv
import re
from io import BytesIO
from pathlib import Path

import click
import numpy as np
import pytest
from PIL import Image

from cnn_pipeline.base.errors import InvalidInput, UserError
from cnn_pipeline.base.home import Home
from cnn_pipeline.base.quantities import percent
from cnn_pipeline.champion.find_model import find_subject
from cnn_pipeline.cli.app import status_of
from cnn_pipeline.data.dataset import load_dataset
from cnn_pipeline.experiment.outcome import Outcome
from cnn_pipeline.explain.convolution.tour import arithmetic_tour
from cnn_pipeline.explain.images import ImageChoice, choose_images, parse_images
from cnn_pipeline.explain.part import PICTURES
from cnn_pipeline.explain.subject import Subject
from cnn_pipeline.explain.tour import run_tour
from cnn_pipeline.network.build import build_model
from cnn_pipeline.settings.trial import DataSettings, Variant

SAMPLE = DataSettings(source="fashion-mnist-sample", validation_size=200, train_limit=100)
NOWHERE = Path("/nonexistent")


@pytest.fixture(scope="module")
def subject() -> Subject:
    variant = Variant(filters=3, dense_units=8)
    dataset = load_dataset(SAMPLE, NOWHERE)
    model = build_model(variant, dataset.image_shape, dataset.num_classes, seed=0)
    return Subject("f3-max-d8-s0", "0" * 32, variant, model, dataset)


def is_png(content: bytes) -> bool:
    return Image.open(BytesIO(content)).format == "PNG"


def test_the_tour_of_a_run_draws_everything_and_says_what_is_seen(subject: Subject) -> None:
    parts = dict(zip(PICTURES, run_tour(subject), strict=True))
    files = {name: content for part in parts.values() for name, content in part.files.items()}
    assert set(files) == {
        "journey.png", "kernels.png", "patches-conv1.png", "patches-conv2.png",
        "ablation.png", "ablation.csv", "looks.png",
    }  # fmt: skip
    assert all(is_png(content) for name, content in files.items() if name.endswith(".png"))

    journey = parts["journey"].sentences
    assert journey[0].endswith("28x28x1 > 26x26x3 > 13x13x3 > 11x11x3 > 5x5x3 > 75 > 8 > 10.")
    assert len(journey) == 4
    assert parts["kernels"].sentences[0].startswith("conv1 has 3 kernels of 3x3x1")
    assert "one answer sees 8x8 pixels" in parts["patches"].sentences[1]

    rows = list(csv.DictReader(files["ablation.csv"].decode().splitlines()))
    assert sorted((row["layer"], int(row["filter"])) for row in rows) == [
        (layer, k) for layer in ("conv1", "conv2") for k in range(3)
    ]
    assert {row["images"] for row in rows} == {"200"}
    answers = subject.model.predict_on_batch(subject.dataset.validation.images).argmax(axis=1)
    accuracy = np.mean(answers == subject.dataset.validation.labels)
    first = rows[0]
    change = float(first["change_points"]) / 100
    assert float(first["accuracy"]) - change == pytest.approx(accuracy, abs=1e-5)
    told = parts["ablation"].sentences[0]
    without = percent(float(first["accuracy"]), 2)
    expected = f"goes from {percent(accuracy, 2)} to {without} on 200 validation"
    assert expected in told
    assert re.search(r"changes \d of \d", parts["looks"].sentences[0])


def test_only_the_pictures_that_were_asked_for(subject: Subject) -> None:
    (part,) = run_tour(subject, ["kernels"])
    assert list(part.files) == ["kernels.png"]


def test_the_users_own_image(subject: Subject, tmp_path: Path) -> None:
    file = tmp_path / "my boot.png"
    Image.fromarray(255 - subject.dataset.test.images[0, :, :, 0]).save(file)
    journey, looks = run_tour(subject, ["journey", "looks"], parse_images(str(file)))
    assert any("my boot.png: inverted" in sentence for sentence in journey.sentences)
    answer = journey.sentences[-1]
    assert re.fullmatch(r"my boot\.png: .+ [\d.]+ %\.", answer), answer  # neither right nor wrong
    assert is_png(looks.files["looks.png"])


def test_chosen_test_images_keep_their_order(subject: Subject) -> None:
    chosen = choose_images(ImageChoice(positions=(5, 2)), subject.dataset)
    test = subject.dataset.test
    np.testing.assert_array_equal([image.pixels for image in chosen], test.images[[5, 2]])
    assert [image.label for image in chosen] == test.labels[[5, 2]].tolist()
    assert chosen[0].title.endswith("(test image 5)")


def test_images_that_are_not_there_are_refused(subject: Subject, tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="at most 6 images, received 7"):
        parse_images("0,1,2,3,4,5,6")
    with pytest.raises(InvalidInput, match=r"there is no file 'boot\.png'"):
        parse_images("boot.png")
    with pytest.raises(InvalidInput, match="test images are 0 to 999, received 1000"):
        choose_images(parse_images("3,1000"), subject.dataset)
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    with pytest.raises(InvalidInput, match="not a PNG or JPEG"):
        choose_images(parse_images(str(broken)), subject.dataset)


def test_the_arithmetic_of_both_and_of_one() -> None:
    both = arithmetic_tour(convolution=True, pooling=True)
    names = [name for part in both for name in part.files]
    assert names == ["convolution.png", "pooling.png", "filters.png"]
    assert all(is_png(content) for part in both for content in part.files.values())
    (first, filters) = arithmetic_tour(convolution=False, pooling=True)
    assert list(first.files) == ["pooling.png"]
    assert filters.sentences == ()


def test_the_arithmetic_of_an_even_image(tmp_path: Path) -> None:
    """No edge, nothing negative: still a picture and a text."""
    file = tmp_path / "black.png"
    Image.new("L", (28, 28)).save(file)
    parts = arithmetic_tour(convolution=True, pooling=True, choice=parse_images(str(file)))
    assert "0 of the 676 sums are above 0" in parts[0].sentences[-1]
    assert "ReLU makes it 0" not in parts[0].sentences[-1]


def test_the_command_prints_the_arithmetic_and_writes_its_pictures(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "new" / "ärithmetic"
    assert status_of(["explain", "--convolution", "--pooling", "--output", str(folder)]) == 0
    out, err = capsys.readouterr()
    assert max(map(len, out.splitlines()[:30])) <= 80
    assert "ReLU: max(0," in out
    assert {path.name for path in folder.iterdir()} == {
        "convolution.png", "pooling.png", "filters.png",
    }  # fmt: skip
    assert str(folder / "filters.png") in out
    assert f"wrote {folder / 'filters.png'}" in err


def test_a_png_file_takes_the_first_picture_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []
    monkeypatch.setattr(click, "launch", opened.append)
    file = tmp_path / "pooling.png"
    assert status_of(["explain", "--pooling", "--output", str(file), "--open"]) == 0
    assert is_png(file.read_bytes())
    assert list(tmp_path.iterdir()) == [file]
    assert opened == [str(file)]


def test_without_output_it_goes_below_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert status_of(["explain", "--convolution"]) == 0
    assert {path.name for path in Path("explained/arithmetic").iterdir()} == {
        "convolution.png", "filters.png",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("words", "messages"),
    [
        (
            ["a", "b", "--image", "x.png", "--only", "journeys,kernels", "--output", "no/x.png"],
            [
                "unexpected argument 'b': one run at a time",
                "there is no file 'x.png'",
                "--only: must be journey, kernels, patches, ablation or looks, received 'journeys'",
                "folder 'no' does not exist",
            ],
        ),
        (["f64", "--pooling"], ["unexpected argument 'f64': no run is needed"]),
        (["--pooling", "--only", "looks"], ["--only: needs a run"]),
        (["--output", __file__], ["--output: must be a folder or a .png file"]),
        (["--image", "1,2,3,4,5,6,7"], ["at most 6 images"]),
    ],
)
def test_all_faults_are_told_before_anything_is_drawn(
    words: list[str],
    messages: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert status_of(["explain", *words]) == 2
    err = capsys.readouterr().err
    assert all(message in err for message in messages), err
    assert list(tmp_path.iterdir()) == []


def test_without_any_sweep_it_says_so(home: Home, capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of(["explain", "--home", str(home.root)]) == 2
    assert "there is no sweep in" in capsys.readouterr().err


@pytest.mark.slow
def test_runs_are_found_by_id_name_and_variant(tiny: tuple[Home, Outcome], tmp_path: Path) -> None:
    home, outcome = tiny
    by_name = {result.name: result for result in outcome.results}
    wanted = by_name["f2-none-d16-do25-s0"]
    for word in (wanted.run_id, "f2-none-d16-do25-s0", "f2-none-d16-do25"):
        found = find_subject(word, home, tmp_path)
        assert (found.run_id, found.name) == (wanted.run_id, wanted.name)
        assert found.variant == Variant(filters=2, dense_units=16, pooling="none", dropout=0.25)
        assert len(found.dataset.validation) == 500
        assert found.notes == ()
    best = find_subject(None, home, tmp_path)
    assert best.name.removesuffix("-s0") == outcome.comparison.verdict.chosen
    with pytest.raises(UserError, match=r"f2-max-d16.*received 'f2-mx-d16'; did you mean"):
        find_subject("f2-mx-d16", home, tmp_path)
    with pytest.raises(UserError, match="has no model"):
        find_subject("diverging-s0", home, tmp_path)
    with pytest.raises(UserError, match="no run"):
        find_subject("0" * 32, home, tmp_path)


@pytest.mark.slow
def test_the_command_explains_a_run(
    tiny: tuple[Home, Outcome], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home, outcome = tiny
    folder = tmp_path / "pictures"
    words = ["explain", "f2-max-d16", "--home", str(home.root), "--output", str(folder)]
    assert status_of(words) == 0
    out = capsys.readouterr().out
    assert "f2-max-d16-s0: 28x28x1 > 26x26x2 > 13x13x2 > 11x11x2 > 5x5x2 > 50 > 16 > 10." in out
    assert max(len(line) for line in out.splitlines() if str(folder) not in line) <= 80
    assert len(list(folder.iterdir())) == 7
    # The whole network's accuracy is the one that the run has recorded.
    run = next(result for result in outcome.results if result.name == "f2-max-d16-s0")
    assert f"goes from {percent(run.metrics['val_accuracy_final'], 2)} to" in " ".join(out.split())
