"""A network in words and tables."""

from __future__ import annotations

import json

import pytest

from cnn_pipeline.network.build import build_model
from cnn_pipeline.network.plan import plan_layers
from cnn_pipeline.network.summary import layers_json, summary_text, trial_note
from cnn_pipeline.settings.trial import Training, Trial, Variant

TUTORIAL = Variant()
SHAPE = (28, 28, 1)


def text_of(variant: Variant, shape: tuple[int, int, int] = SHAPE) -> str:
    plan = plan_layers(variant, shape, 10)
    return summary_text(build_model(variant, shape, 10, seed=0), plan)


def test_the_tutorials_summary() -> None:
    text = text_of(TUTORIAL)
    lines = text.splitlines()
    assert lines[0] == "28x28x1 > C64 3x3 > P2 > C64 3x3 > P2 > D128 > 10"
    assert lines[1] == "26x26x64 > 13x13x64 > 11x11x64 > 5x5x64 > 1600 > 128 > 10"
    assert "Total params: 243,786" in text
    assert lines[-1] == " Multiply-accumulates per image: 5,056,000"


@pytest.mark.parametrize(
    "variant",
    [
        TUTORIAL,
        Variant(filters=(3, 1024), pooling="average", batch_norm=True, dropout=0.5),
        Variant(filters=2, conv_layers=6, padding="same", pooling="none"),
        Variant(filters=2, pooling="strided", dense_units=16_384),
    ],
    ids=lambda variant: variant.name,
)
def test_a_summary_is_plain_ascii_that_lines_up(variant: Variant) -> None:
    text = text_of(variant)
    assert text.isascii()
    assert "\x1b" not in text
    table = [line for line in text.splitlines() if line[:1] in "+|" and line]
    assert len(table) > 8
    assert {len(line) for line in table} == {78}
    assert {line[-1] for line in table} == {"+", "|"}
    for name in ("conv1", "flatten", "dense", "probabilities"):
        assert name in text


def test_the_layer_table_adds_up() -> None:
    record = json.loads(layers_json(plan_layers(TUTORIAL, SHAPE, 10)))
    assert record["num_params"] == 243_786 == sum(row["params"] for row in record["layers"])
    assert record["macs"] == 5_056_000 == sum(row["macs"] for row in record["layers"])
    assert record["image_shape"] == [28, 28, 1]
    assert record["layers"][0] == {
        "name": "conv1",
        "kind": "convolution",
        "output_shape": [26, 26, 64],
        "params": 640,
        "macs": 26 * 26 * 64 * 9,
        "receptive_field": 3,
    }


METRICS = {
    "val_accuracy_final": 0.91234,
    "test_accuracy": 0.9,
    "train_seconds": 12.345,
    "latency_ms": 0.4567,
}


def note(trial: Trial) -> str:
    plan = plan_layers(trial.variant, SHAPE, 10)
    return trial_note(trial, plan, METRICS, "cnn-pipeline run --seeds 0", "#/page", "28x28x1, crop")


def test_a_note_is_markdown_with_numbers_and_the_command() -> None:
    trial = Trial(variant=TUTORIAL, training=Training(), seed=0, label="any", hypothesis="Sure?")
    assert note(trial) == (
        "**90.00 % on test, 91.23 % on validation**, 243,786 parameters, "
        "5,056,000 multiply-accumulates an image, 12 s of training, 0.46 ms an image at batch 1\n\n"
        "Sure?\n\n"
        "`28x28x1 > C64 3x3 > P2 > C64 3x3 > P2 > D128 > 10`\n\n"
        "Images: 28x28x1, crop.\n\n"
        "[The logged model](#/page). The variant is chosen by validation accuracy.\n\n"
        "Train it again:\n\n```\ncnn-pipeline run --seeds 0\n```\n"
    )


@pytest.mark.parametrize(
    ("variant", "question"),
    [
        (TUTORIAL, "What do 64 filters with max pooling reach?"),
        (Variant(filters=(8, 16), pooling="none"), "What do 8-16 filters with no pooling reach?"),
    ],
)
def test_without_a_hypothesis_the_note_asks(variant: Variant, question: str) -> None:
    trial = Trial(variant=variant, training=Training(), seed=0, label="any")
    assert note(trial).splitlines()[2] == question
