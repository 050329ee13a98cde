"""From a run to files and sentences."""

from __future__ import annotations

import csv
import re
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from cnn_pipeline.base.errors import InvalidInput
from cnn_pipeline.base.quantities import percent
from cnn_pipeline.data.dataset import load_dataset
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
    with pytest.raises(InvalidInput, match="not a PNG, JPEG, GIF"):
        choose_images(parse_images(str(broken)), subject.dataset)
