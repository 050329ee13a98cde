"""The named sweeps, and sweeps from files."""

import os
import shlex
from pathlib import Path

import pytest

from cnn_pipeline.base.errors import InvalidInput
from cnn_pipeline.cli.flags import FLAGS, sweep_from_flags
from cnn_pipeline.cli.parsing import collect
from cnn_pipeline.settings import command_line, files, named
from cnn_pipeline.settings.sweep import Sweep
from cnn_pipeline.settings.trial import DataSettings, Training, Trial, Variant


def write(folder: Path, text: str, name: str = "mine.toml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def faults_in(folder: Path, text: str) -> list[str]:
    path = write(folder, text)
    with pytest.raises(InvalidInput) as error:
        files.load_sweep_file(path)
    return [fault.removeprefix(f"{path}: ") for fault in error.value.faults]


@pytest.mark.parametrize("name", named.NAMED)
def test_a_named_sweep_carries_its_name_and_its_question(name: str) -> None:
    sweep = named.resolve(name)
    assert sweep.name == name
    assert "?" in sweep.description


def test_the_default_is_filters_with_and_without_pooling() -> None:
    sweep = named.resolve(named.DEFAULT)
    assert sweep.labels == (
        "f16-max", "f16-none", "f32-max", "f32-none", "f64-max", "f64-none",
    )  # fmt: skip
    assert (sweep.seeds, sweep.decide, sweep.max_rounds) == ("auto", 1.0, 10)
    assert (sweep.training.epochs, sweep.training.batch_size) == (5, 128)
    assert sweep.data == DataSettings()
    assert sweep.baseline_label == "f64-max"


def test_pooling_differs_in_pooling_alone() -> None:
    trials = named.pooling().trials()
    assert [trial.variant.pooling for trial in trials] == 2 * ["max", "average", "none", "strided"]
    assert {trial.variant.filters for trial in trials} == {(64, 64)}


def test_smoke_is_small_and_needs_no_network() -> None:
    sweep = named.smoke()
    assert sweep.data.source == "fashion-mnist-sample"
    assert sweep.data.train_limit is not None and sweep.data.train_limit <= 1000
    assert sweep.training.epochs == 1


def test_the_course_exercises_ask_every_question_once() -> None:
    trials = {trial.label: trial for trial in named.course_exercises().trials()}
    networks = {label: trial.variant.filters for label, trial in trials.items()}
    assert networks == {
        "f64-max": (64, 64),
        "f32-max": (32, 32),
        "f16-max": (16, 16),
        "f64-max-c1": (64,),
        "f64-max-c3": (64, 64, 64),
        "f64-max-stop90": (64, 64),
    }
    one_layer = trials["f64-max-c1"].hypothesis
    assert "dropped" in one_layer and "only the first one kept" in one_layer
    assert trials["f64-max-stop90"].training == Training(stop_at_accuracy=0.9)


def test_every_exercise_but_the_baseline_can_be_checked() -> None:
    for trial in named.course_exercises().trials():
        assert trial.hypothesis
        against = {expectation.against for expectation in trial.expect}
        assert against == (set() if trial.label == "f64-max" else {"f64-max"})


def test_expected_costs_agree_with_the_plans() -> None:
    from cnn_pipeline.network.plan import plan_layers

    trials = {trial.label: trial for trial in named.course_exercises().trials()}
    plans = {label: plan_layers(t.variant, (28, 28, 1), 10) for label, t in trials.items()}
    checked = 0
    for label, trial in trials.items():
        for expected in trial.expect:
            if expected.metric in ("macs", "num_params"):
                own = getattr(plans[label], expected.metric)
                base = getattr(plans[expected.against], expected.metric)
                assert (own > base) == (expected.direction == "higher"), (label, expected.metric)
                assert own != base
                checked += 1
    assert checked == 5


def test_an_unknown_name_is_refused_with_a_guess() -> None:
    with pytest.raises(InvalidInput) as error:
        named.resolve("smoek")
    (fault,) = error.value.faults
    assert "unknown sweep 'smoek'; did you mean 'smoke'?" in fault
    assert "filters-and-pooling, pooling, course-exercises, smoke" in fault


def test_a_file_holds_any_field(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        """
        description = "Ünïcode?"
        seeds = [0, 1]
        baseline = "f8-16-max"
        [axes]
        filters = [[8, 16], 32]
        dropout = [0, 0.5]
        [training]
        epochs = 2
        learning_rate = 1e-4
        [data]
        source = "fashion-mnist-sample"
        """,
    )
    sweep = files.load_sweep_file(path)
    assert sweep.name == "mine"
    assert sweep.baseline_label == "f8-16-max"
    assert sweep.labels == ("f8-16-max", "f8-16-max-do5", "f32-max", "f32-max-do5")
    assert sweep.seeds == (0, 1)
    assert sweep.training == Training(epochs=2, learning_rate=1e-4)


def test_a_file_may_list_entries(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        """
        name = "questions"
        [[entries]]
        hypothesis = "the base"
        [[entries]]
        variant = { filters = 16 }
        training = { epochs = 2 }
        expect = [{ metric = "macs", direction = "lower", against = "f64-max" }]
        """,
    )
    sweep = named.resolve(str(path))
    assert sweep.name == "questions"
    assert sweep.labels == ("f64-max", "f16-max")
    assert sweep.trials()[1].training.epochs == 2


@pytest.mark.parametrize(
    ("file", "name"), [("My Sweep.toml", "my-sweep"), ("_x_.toml", "x"), ("a.b.toml", "a-b")]
)
def test_the_name_comes_from_the_file(tmp_path: Path, file: str, name: str) -> None:
    assert files.load_sweep_file(write(tmp_path, "seeds = [0]", file)).name == name


def test_a_file_name_without_letters_needs_a_name(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="name: must be lower-case letters"):
        files.load_sweep_file(write(tmp_path, "seeds = [0]", "ü.toml"))


@pytest.mark.parametrize("text", ["", "\n", "# seeds = [0]\n"])
def test_an_empty_file_is_a_fault(tmp_path: Path, text: str) -> None:
    fault = "must hold at least one setting, received an empty file"
    assert faults_in(tmp_path, text) == [fault]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a = " + "[" * 3000, "is nested too deeply"),
        ("seeds = [0x" + "f" * 5000 + "]", "received a number of more than 4300 digits"),
        ("decide = " + "9" * 5000, "is not valid TOML"),
        ("# " + "x" * 1_000_000, "must have at most 1,000,000 bytes"),
        ("axes.filters = [%s]\naxes.dense_units = [%s]"
         % ((", ".join(map(str, range(1, 1001))),) * 2),
         "axes: must give at most 1000 variants, received 1000000"),
    ],
    ids=["deep", "hexadecimal", "decimal", "long", "grid"],
)  # fmt: skip
def test_a_hostile_file_is_refused(tmp_path: Path, text: str, reason: str) -> None:
    faults = faults_in(tmp_path, text)
    assert reason in faults[0]


def test_a_pipe_or_device_is_refused(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.toml")
    for path in (tmp_path / "pipe.toml", Path("/dev/zero")):
        with pytest.raises(InvalidInput, match="must be a file, and is a"):
            files.load_sweep_file(path)


def test_every_fault_of_a_file_is_listed_with_its_toml_path(tmp_path: Path) -> None:
    faults = faults_in(
        tmp_path,
        """
        seeds = [0, 0]
        colour = 1
        [axes]
        filters = [16, 0, [8, "x"], true]
        poling = ["max"]
        pooling = ["maximum"]
        [training]
        epochs = 0
        learning_rate = nan
        [data]
        train_limit = inf
        """,
    )
    assert faults == [
        "axes.filters[1]: must be at least 1, received 0",
        "axes.filters[2][1]: must be a whole number, received 'x'",
        "axes.filters[3]: must be a whole number or a list, received true",
        "axes.pooling[0]: must be max, average, strided or none, received 'maximum'; "
        "did you mean 'max'?",
        "axes.poling: unknown key; did you mean 'pooling'?",
        "training.epochs: must be at least 1, received 0",
        "training.learning_rate: must be a finite number, received nan",
        "data.train_limit: must be a whole number, received inf",
        "colour: unknown key; known are name, description, variant, axes, entries, seeds, "
        "decide, max_rounds, metric, training, data, baseline",
        "seeds lists 0 2 times",
    ]


def test_faults_inside_an_entry_are_located(tmp_path: Path) -> None:
    faults = faults_in(
        tmp_path,
        """
        [[entries]]
        training = { epochs = 0, epoch = 3 }
        [[entries]]
        variant = { filters = "many" }
        """,
    )
    assert faults == [
        "entries[0].training.epochs: must be at least 1, received 0",
        "entries[0].training.epoch: unknown key; did you mean 'epochs'?",
        "entries[1].variant.filters: must be a whole number or a list, received 'many'",
    ]


def test_a_baseline_is_not_blamed_for_a_value_that_was_taken_out(tmp_path: Path) -> None:
    assert faults_in(tmp_path, 'baseline = "f32-max"\n[axes]\nfilters = [32, 0]') == [
        "axes.filters[1]: must be at least 1, received 0"
    ]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"filters = [1", "is not valid TOML"),
        (b"name = '\xff'", "is not valid TOML"),
        (None, "cannot be read: No such file"),
    ],
)
def test_an_unreadable_file_is_refused(tmp_path: Path, content: bytes | None, said: str) -> None:
    path = tmp_path / "sweep.toml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InvalidInput, match=said):
        named.resolve(str(path))


def test_a_folder_is_no_sweep(tmp_path: Path) -> None:
    with pytest.raises(InvalidInput, match="cannot be read"):
        named.resolve(f"{tmp_path}/")


def repeated(command: str) -> Sweep:
    """The sweep that a shell command describes, taken apart as the command line does it."""
    program, verb, *words = shlex.split(command)
    assert (program, verb) == ("cnn-pipeline", "run")
    flags, faults = collect(words, {flag.name for flag in FLAGS}, set(), takes_words=False)
    assert faults == []
    pairs = [word.partition("=") for word in flags if word != "--"]
    return sweep_from_flags({name[2:].replace("-", "_"): value for name, _, value in pairs})


@pytest.mark.parametrize(
    "sweep",
    [
        *(make() for make in named.NAMED.values()),
        Sweep(
            variant=Variant(filters=(8, 16, 8), pooling="strided", batch_norm=True, dropout=0.25),
            training=Training(optimizer="sgd", learning_rate=0.05, stop_at_accuracy=0.9),
            data=DataSettings(source="a folder/with 'quotes' & ü", train_limit=100),
            seeds=(7,),
        ),
    ],
    ids=lambda sweep: sweep.name,
)
def test_the_reproducing_command_gives_the_same_trial(sweep: Sweep) -> None:
    for trial in sweep.trials():
        again = repeated(command_line.reproducing_command(trial, sweep.data))
        (only,) = again.trials()
        assert isinstance(only, Trial)
        assert (only.variant, only.training, only.seed) == (
            trial.variant, trial.training, trial.seed,
        )  # fmt: skip
        assert again.data == sweep.data


def test_the_reproducing_command_is_short() -> None:
    trial = named.filters_and_pooling().trials()[0]
    assert (
        command_line.reproducing_command(trial, DataSettings())
        == "cnn-pipeline run --filters 16 --pooling max --seeds 0"
    )
