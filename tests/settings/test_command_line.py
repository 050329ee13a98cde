"""The command in a run's note trains the same trial again."""

from __future__ import annotations

import shlex

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cnn_pipeline.cli.commands.run import command
from cnn_pipeline.cli.flags import FLAGS, sweep_from_flags
from cnn_pipeline.cli.parsing import faults_of
from cnn_pipeline.settings.command_line import reproducing_command, sweep_commands
from cnn_pipeline.settings.named import course_exercises, filters_and_pooling
from cnn_pipeline.settings.sweep import Axes, Sweep
from cnn_pipeline.settings.trial import DataSettings, Training, Trial, Variant

counts = st.integers(1, 1024)
variants = st.builds(
    Variant,
    filters=counts | st.lists(counts, min_size=3, max_size=3).map(tuple),
    conv_layers=st.just(3),
    kernel_size=st.integers(1, 15),
    pooling=st.sampled_from(["max", "average", "strided", "none"]),
    pool_size=st.integers(2, 8),
    padding=st.sampled_from(["valid", "same"]),
    dense_units=st.integers(1, 16_384),
    dropout=st.floats(0, 0.95),
    batch_norm=st.booleans(),
    activation=st.sampled_from(["relu", "leaky_relu", "gelu", "silu", "tanh"]),
)
trainings = st.builds(
    Training,
    epochs=st.integers(1, 10_000),
    batch_size=st.integers(1, 65_536),
    optimizer=st.sampled_from(["adam", "adamw", "rmsprop", "sgd"]),
    learning_rate=st.floats(0, 10, exclude_min=True),
    schedule=st.sampled_from(["constant", "cosine", "one-cycle"]),
    weight_decay=st.none() | st.floats(0, 0.099),
    ema_momentum=st.floats(0, 1, exclude_max=True),
    class_weights=st.sampled_from(["none", "balanced"]),
    precision=st.sampled_from(["auto", "float32", "bfloat16"]),
    threads=st.integers(0, 1024),
    stop_at_accuracy=st.none() | st.floats(0, 1, exclude_min=True),
    augmentation=st.sampled_from(["none", "flip", "shift", "flip+shift", "random-erase"]),
    patience=st.none() | st.integers(1, 10_000),
)
sources = st.sampled_from(
    ["fashion-mnist", "fashion-mnist-sample", "/data/my photos", "it's $HOME;`x`", "späces/*.npz"]
)
data_settings = st.builds(
    DataSettings,
    source=sources,
    validation_size=st.integers(1, 10_000_000),
    train_limit=st.none() | st.integers(1, 100_000_000),
    split_seed=st.integers(0, 2**31 - 1),
    image_size=st.none() | st.sampled_from(["8x8", "480x9999"]),
    fit=st.sampled_from(["pad", "crop", "stretch"]),
    color=st.sampled_from(["auto", "grey", "rgb"]),
    background=st.sampled_from(["white", "black", "#00ff7f"]),
    test_share=st.none() | st.floats(0.01, 0.99),
    group_by=st.none() | st.sampled_from([r"^(\d+)_", "a,b|c d", "'$HOME'"]),
    name=st.none() | st.just("photos-2"),
)


def understood(line: str) -> Sweep:
    """The sweep that `cnn-pipeline run` would run for this line of a shell."""
    program, subcommand, *words = shlex.split(line)
    assert (program, subcommand) == ("cnn-pipeline", "run")
    context = command.make_context("run", words)
    faults_of(context).stop()
    known = {flag.key for flag in FLAGS} | {"sweep"}
    values = {k: v for k, v in context.params.items() if v is not None and k in known}
    return sweep_from_flags(values)


def check_round_trip(trial: Trial, data: DataSettings) -> None:
    sweep = understood(reproducing_command(trial, data))
    (again,) = sweep.trials()
    assert (again.variant, again.training, again.seed) == (
        trial.variant,
        trial.training,
        trial.seed,
    )
    assert sweep.data == data


@settings(max_examples=150, deadline=None)
@given(variants, trainings, st.integers(0, 2**31 - 1), data_settings)
def test_the_command_means_the_same_trial(
    variant: Variant, training: Training, seed: int, data: DataSettings
) -> None:
    trial = Trial(variant=variant, training=training, seed=seed, label="any")
    check_round_trip(trial, data)


@pytest.mark.parametrize("sweep", [filters_and_pooling(), course_exercises()], ids=lambda s: s.name)
def test_the_command_of_every_named_trial(sweep: Sweep) -> None:
    for trial in sweep.trials():
        check_round_trip(trial, sweep.data)


def test_the_command_says_only_what_differs() -> None:
    trial = Trial(variant=Variant(), training=Training(), seed=7, label="any")
    assert reproducing_command(trial, DataSettings()) == (
        "cnn-pipeline run --filters 64 --pooling max --seeds 7"
    )


@pytest.mark.parametrize(
    ("sweep", "lines"),
    [
        (Sweep(variant=Variant(filters=8), axes=Axes(dropout=(0.0, 0.5))), 1),
        (Sweep(variant=Variant(pooling="none"), axes=Axes(pooling=("none", "max"))), 1),
        (Sweep(axes=Axes(filters=((8, 16), (8, 16, 32))), seeds=(3, 4)), 1),
        (Sweep(axes=Axes(filters=(8, (8, 16)), pooling=("max", "none"), pool_size=(3,))), 1),
        (
            Sweep(
                axes=Axes(learning_rate=(0.01, 1e-5), epochs=(5,), optimizer=("sgd", "adam")),
                training=Training(epochs=3, learning_rate=0.5, batch_size=64),
            ),
            1,
        ),
        # One line would give 8 filters the two layers that are the default.
        (Sweep(variant=Variant(conv_layers=3), axes=Axes(filters=(8, (8, 16))), seeds=(0,)), 2),
        # One line would train each of them with one layer and with two.
        (Sweep(axes=Axes(filters=(8, (16,))), seeds=(0,)), 2),
    ],
)
def test_the_commands_of_a_grid_train_its_variants(sweep: Sweep, lines: int) -> None:
    commands = sweep_commands(sweep)
    assert len(commands) == lines
    trials = [trial for command in commands for trial in understood(command).trials()]
    assert [(t.variant, t.training, t.seed) for t in trials] == [
        (t.variant, t.training, t.seed) for t in sweep.trials()
    ]
    if lines == 1:
        assert understood(commands[0]).seeds_text == sweep.seeds_text


def test_the_metric_is_repeated_where_it_was_asked_for_or_found() -> None:
    sweep = filters_and_pooling().measured_on((90, 10))
    (line,) = sweep_commands(sweep)
    assert "--metric balanced_accuracy" in line
    assert understood(line).trials() == sweep.trials() and understood(line).metric == sweep.metric
    assert "--metric" not in sweep_commands(filters_and_pooling())[0]
