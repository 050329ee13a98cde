"""Each command parses, calls one function, and prints. Functions that train are replaced."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from cnn_pipeline.base.events import SweepStarted, TrialEnded, emit
from cnn_pipeline.base.home import Home
from cnn_pipeline.base.quantities import duration
from cnn_pipeline.champion.predict import Prediction
from cnn_pipeline.cli.app import status_of
from cnn_pipeline.comparison.compare import compare
from cnn_pipeline.comparison.search import SearchRecord
from cnn_pipeline.comparison.types import Comparison, SweepInfo
from cnn_pipeline.experiment.preflight import Preflight
from cnn_pipeline.experiment.search.run import Found
from cnn_pipeline.experiment.search.space import Search, entry_of
from cnn_pipeline.network.results import TrialResult
from cnn_pipeline.settings.engine import LOCAL, Engine
from cnn_pipeline.settings.named import NAMED
from cnn_pipeline.settings.resuming import Resuming
from cnn_pipeline.settings.sweep import Sweep

SWEEP_ID = "pooling-20260901-101500-aa"


def trial(name: str, status: str, accuracy: float) -> TrialResult:
    label, _, seed = name.rpartition("-s")
    metrics = {"val_accuracy_final": accuracy, "test_accuracy": accuracy, "diverged": float("nan")}
    return TrialResult(
        name=name,
        label=label,
        seed=int(seed),
        run_id=f"run-{name}",
        status=status,  # type: ignore[arg-type]
        reason="" if status == "FINISHED" else "loss became NaN",
        params={"filters": 64, "pooling": label.split("-")[1]},
        metrics=metrics if status == "FINISHED" else {},
    )


def comparison(results: Sequence[TrialResult]) -> Comparison:
    sweep = SweepInfo(sweep_id=SWEEP_ID, name="pooling", dataset="fashion-mnist", num_test=1000)
    return compare(results, {}, num_validation=500, sweep=sweep)


@dataclass(frozen=True)
class Ended:
    """An outcome with the fields of `cnn_pipeline.experiment.sweep_run.Outcome`."""

    sweep_id: str
    experiment_id: str
    parent_run_id: str
    results: tuple[TrialResult, ...]
    comparison: Comparison
    trained: bool = True

    @property
    def ok(self) -> bool:
        return all(result.status == "FINISHED" for result in self.results)


class Flow:
    """Replaces the flow: records its arguments, and prints as libraries do."""

    def __init__(self, *statuses: str) -> None:
        self.calls: list[tuple[Sweep, Home, int, bool]] = []
        self.trained = True
        self.results = tuple(
            trial(f"f64-{pooling}-s0", status, 0.9 - number / 100)
            for number, (pooling, status) in enumerate(zip(("max", "none"), statuses, strict=True))
        )

    def __call__(
        self,
        sweep: Sweep,
        home: Home,
        *,
        workers: int,
        force: bool,
        resuming: Resuming,
        checked: Preflight,
        engine: Engine,
        search: str,
    ) -> Ended:
        self.resuming = resuming
        self.engine = engine
        self.search = search
        assert checked.plans.keys() == set(sweep.labels)
        self.calls.append((sweep, home, workers, force))
        print("a library's chatter on stdout")
        emit(SweepStarted(SWEEP_ID, {result.name: 1.0 for result in self.results}, 1))
        for result in self.results:
            emit(TrialEnded(result.name, result.status, 1.0, result.reason))
        compared = comparison(self.results)
        return Ended(SWEEP_ID, "7", "parent", self.results, compared, self.trained)


@pytest.fixture
def flow(monkeypatch: pytest.MonkeyPatch) -> Flow:
    return stand_in(monkeypatch, Flow("FINISHED", "FINISHED"))


def stand_in(monkeypatch: pytest.MonkeyPatch, flow: Flow) -> Flow:
    module("cnn_pipeline.cli.launch", monkeypatch, run_flow=flow)
    return flow


def module(name: str, monkeypatch: pytest.MonkeyPatch, **names: Any) -> None:
    """Replace a module for this test."""
    import sys

    made = ModuleType(name)
    vars(made).update(names)
    monkeypatch.setitem(sys.modules, name, made)
    package, _, short = name.rpartition(".")
    monkeypatch.setattr(__import__(package), short, made, raising=False)


def test_run_calls_the_flow_with_what_was_asked(flow: Flow, tmp_path: Path) -> None:
    status = status_of(
        ["run", "--filters", "8,16", "--pooling", "max", "--workers", "2", "--home", str(tmp_path)]
    )
    assert status == 0
    ((sweep, home, workers, force),) = flow.calls
    assert sweep.labels == ("f8-max", "f16-max")
    assert (home, workers, force) == (Home(tmp_path), 2, False)


def test_run_says_how_what_was_stopped_goes_on(flow: Flow, tmp_path: Path) -> None:
    words = ["run", "--home", str(tmp_path)]
    assert status_of(words) == 0
    assert flow.resuming == Resuming(fresh=False, checkpoint_seconds=60)
    assert status_of([*words, "--fresh", "--checkpoint-seconds", "2.5"]) == 0
    assert flow.resuming == Resuming(fresh=True, checkpoint_seconds=2.5)


def test_run_says_where_trainers_run(flow: Flow, tmp_path: Path) -> None:
    words = ["run", "--home", str(tmp_path)]
    assert status_of(words) == 0
    assert flow.engine == LOCAL
    given = ["--ray-address", "10.0.0.7:6379", "--gpu-share", "0.33", "--retries", "1"]
    given += ["--checkpoints", "s3://bucket/x"]
    assert status_of([*words, "--engine", "ray", *given]) == 0
    assert flow.engine == Engine(
        engine="ray",
        ray_address="10.0.0.7:6379",
        gpu_share=0.33,
        retries=1,
        checkpoints="s3://bucket/x",
    )
    file = tmp_path / "mine.toml"
    file.write_text('engine = "ray"\nretries = 5\n[data]\nsource = "fashion-mnist-sample"\n')
    words = [*words, "--sweep", str(file)]
    assert status_of(words) == 0
    assert flow.engine == Engine(engine="ray", retries=5)
    assert status_of([*words, "--gpu-share", "0.5", "--retries", "1"]) == 0
    assert flow.engine == Engine(engine="ray", gpu_share=0.5, retries=1)
    assert status_of([*words, "--engine", "local"]) == 0
    assert flow.engine == LOCAL


def test_a_search_hands_its_best_to_the_flow(
    flow: Flow, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("optuna")

    def search(asked: Search, base: Sweep, home: Home, **_: object) -> Found:
        best = entry_of(base, {"filters": 73})
        record = SearchRecord(
            sweep_id="mine-search-1",
            kind=asked.kind,
            seed=asked.seed,
            trials=asked.trials,
            trainings=8,
            failed=0,
            metric="accuracy",
            axes=asked.texts,
            scores={best.name: 0.95},
        )
        return Found(record, (best,))

    monkeypatch.setattr("cnn_pipeline.experiment.search.run.run_search", search)
    words = ["run", "--search", "tpe", "--trials", "8", "--filters", "8..128", "--pooling", "max"]
    assert status_of([*words, "--home", str(tmp_path)]) == 0
    assert flow.search == "mine-search-1"
    ((sweep, _, _, _),) = flow.calls
    assert sweep.labels == ("f73-max", "f64-max") and sweep.baseline_label == "f64-max"
    said = capsys.readouterr().out
    assert said.startswith("Search mine-search-1 (tpe) tried 8 variants of filters 8..128")
    # Another engine is refused with all else that is wrong.
    assert status_of([*words, "--engine", "ray", "--workers", "x"]) == 2
    err = capsys.readouterr().err
    assert "--engine: a search trains on this machine, received 'ray'" in err
    assert "--workers: must be a whole number" in err


def test_all_faults_of_the_engine_are_said_at_once(
    flow: Flow, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["--engine", "ray", "--ray-address", "x", "--gpu-share", "2", "--retries", "no"]
    assert status_of(["run", "--home", str(tmp_path), *words]) == 2
    said = capsys.readouterr().err
    assert "--ray-address: must be auto or HOST:PORT, received 'x'" in said
    assert "--gpu-share: must be at most 1, received 2.0" in said
    assert "--retries: must be a whole number, received 'no'" in said
    assert not flow.calls


def test_what_only_a_cluster_uses_is_refused_without_one(
    flow: Flow, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status_of(["run", "--home", str(tmp_path), "--retries", "1"]) == 2
    assert "--engine: must be ray for retries, received local" in capsys.readouterr().err
    assert not flow.calls


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x", "must be a number, received 'x'"),
        ("0", "must be at least 0.1, received 0.0"),
        ("nan", "must be a finite number, received nan"),
        ("86401", "must be at most 86400, received 86401.0"),
    ],
)
def test_bad_seconds_of_checkpoints_stop_before_the_run(
    flow: Flow, tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, said: str
) -> None:
    assert status_of(["run", "--home", str(tmp_path), "--checkpoint-seconds", text]) == 2
    assert f"--checkpoint-seconds: {said}" in capsys.readouterr().err
    assert not flow.calls


def test_run_force_retrains(flow: Flow, tmp_path: Path) -> None:
    assert status_of(["run", "--force", "--home", str(tmp_path)]) == 0
    assert flow.calls[0][2:] == (0, True)


def test_run_says_what_was_reused(
    flow: Flow, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    status_of(["run", "--home", str(tmp_path)])
    out = capsys.readouterr().out
    assert "Reused" not in out and "Nothing was trained" not in out
    first, second = flow.results
    flow.results = (replace(first, reused_from="4f1c"), second)
    status_of(["run", "--home", str(tmp_path)])
    assert "Reused: f64-max-s0 (same data" in capsys.readouterr().out
    flow.trained = False
    status_of(["run", "--home", str(tmp_path)])
    out = capsys.readouterr().out
    assert f"Nothing was trained: sweep {SWEEP_ID} is unchanged" in out
    assert "--force" in out


def test_run_prints_the_comparison_on_stdout_and_the_rest_on_stderr(
    flow: Flow, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    home = tmp_path / "ein Ördner"
    status_of(["run", "--home", str(home)])
    out, err = capsys.readouterr()
    assert "f64-max" in out
    assert f" ui --home '{home}'" in out
    assert "chatter" not in out and "chatter" in err
    assert "f64-max-s0: finished in 0:01" in err


def test_run_json_is_one_object(
    flow: Flow, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status_of(["run", "--home", str(tmp_path), "--json"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert set(result) == {
        "schema_version", "sweep_id", "experiment_id", "parent_run_id", "results", "comparison",
        "trained",
    }  # fmt: skip
    assert (result["sweep_id"], result["experiment_id"]) == (SWEEP_ID, "7")
    first = result["results"][0]
    assert (first["name"], first["run_id"], first["status"]) == (
        "f64-max-s0", "run-f64-max-s0", "FINISHED",
    )  # fmt: skip
    assert first["params"]["filters"] == 64
    assert first["metrics"] == {
        "val_accuracy_final": 0.9, "test_accuracy": 0.9, "diverged": None,
    }  # fmt: skip
    assert result["comparison"]["verdict"]["headline"]


def test_a_failed_variant_gives_status_1_and_is_named(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    stand_in(monkeypatch, Flow("FINISHED", "FAILED"))
    assert status_of(["run", "--home", str(tmp_path)]) == 1
    out, err = capsys.readouterr()
    assert "f64-none" in out and "loss became NaN" in out
    assert "f64-none-s0: failed in 0:01: loss became NaN" in err


def test_plan_shows_layers_costs_and_the_total(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("cnn_pipeline.cli.commands.plan.workers_for", lambda asked, trials: 2)
    assert status_of(["plan", "--filters", "64", "--pooling", "max,none", "--seeds", "0,1"]) == 0
    text = capsys.readouterr().out
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert "28x28x1 > C64 3x3 > P2 > C64 3x3 > P2 > D128 > 10" in lines
    assert "conv2 11x11x64 36,928 4,460,544 8x8" in lines
    assert "total 243,786 5,056,000" in lines
    assert any(line.startswith("total 4,757,578 ") for line in lines)
    assert lines[-2].startswith("2 variants x 2 seeds = 4 runs, about ")
    assert lines[-2].endswith(" with 1 trainer,")
    assert lines[-1].endswith(" with 2 trainers")
    assert all(len(line) <= 80 for line in text.splitlines())


@pytest.mark.parametrize("workers", [1, 2])
def test_plan_tells_what_the_default_trainers_take(
    workers: int, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("cnn_pipeline.cli.commands.plan.workers_for", lambda asked, trials: workers)
    words = ["plan", "--filters", "16,64", "--pooling", "max,none", "--seeds", "0"]
    assert status_of([*words, "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    each = [variant["estimated_seconds"] for variant in plan["variants"]]
    assert plan["workers"] == workers
    assert plan["estimated_seconds"] == pytest.approx(sum(each))
    expected = sum(each) if workers == 1 else max(each)  # 64 filters without pooling: most of it
    assert plan["estimated_wall_seconds"] == pytest.approx(expected)
    assert status_of(words) == 0
    assert ("2 trainers" in capsys.readouterr().out) == (workers == 2)


def test_plan_tells_the_range_of_the_rounds(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("cnn_pipeline.cli.commands.plan.workers_for", lambda asked, trials: 1)
    words = ["plan", "--filters", "8,16", "--decide", "2", "--max-rounds", "5"]
    assert status_of([*words, "--json"]) == 0
    plan = json.loads(capsys.readouterr().out)
    one_round = sum(variant["estimated_seconds"] for variant in plan["variants"])
    assert plan["seeds"] == [0, 1] and plan["runs"] == 8
    assert plan["estimated_seconds"] == pytest.approx(2 * one_round)
    rounds = plan["rounds"]
    assert (rounds["decide"], rounds["at_least"], rounds["at_most"]) == (2.0, 2, 5)
    assert rounds["wall_seconds"] == pytest.approx(one_round)
    assert 2 <= rounds["expected"] < 5
    assert status_of(words) == 0
    text = " ".join(capsys.readouterr().out.split())
    assert "4 variants x 1 round = 4 runs" in text
    assert "until no variant can be 2 points better than the one that leads: at least 2 (" in text
    assert f"at most 5 ({duration(5 * one_round)})" in text
    for alone in (["--seeds", "0,1"], ["--filters", "8", "--pooling", "max"]):
        assert status_of(["plan", *alone, "--json"]) == 0
        assert json.loads(capsys.readouterr().out)["rounds"] is None


def test_plan_refuses_all_impossible_stacks(capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of(["plan", "--conv-layers", "2,5,6", "--pooling", "max"]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.startswith("error: 6 faults")


def test_sweeps_lists_names_and_questions(capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of(["sweeps"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("filters-and-pooling (default)\n")
    assert "course-exercises\n" in text and "f64-max-stop90" in text
    assert status_of(["sweeps", "--json"]) == 0
    assert {
        "name": "smoke",
        "description": NAMED["smoke"]().description,
        "variants": ["f4-max", "f8-max"],
        "default": False,
    } in json.loads(capsys.readouterr().out)["sweeps"]


def test_data_describes_own_data(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    np = pytest.importorskip("numpy")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("CNN_PIPELINE_CACHE", str(tmp_path / "cache"))
    images = np.zeros((40, 8, 8), np.uint8)
    images[:, 0, 0] = np.arange(40)
    labels = np.tile(np.arange(2), 20)
    path = tmp_path / "own.npz"
    np.savez(path, x_train=images, y_train=labels, x_test=images, y_test=labels)
    words = ["data", "--data", str(path), "--validation-size", "4"]
    assert status_of([*words, "--json"]) == 0
    described = json.loads(capsys.readouterr().out)
    assert described["image_shape"] == [8, 8, 1]
    assert described["shared_with_test"] == 40
    assert not Path("contact-sheet.png").exists()
    assert status_of(words) == 0
    printed = capsys.readouterr()
    assert "8x8x1" in printed.out
    assert "\nwarning: 2 classes (0, 1) with fewer than 20 training" not in printed.out
    assert printed.err.endswith("wrote contact-sheet.png\n")
    assert Path("contact-sheet.png").read_bytes().startswith(b"\x89PNG")
    assert status_of([*words, "--json", "--sheet", "own.png"]) == 0
    assert json.loads(capsys.readouterr().out) == described
    assert Path("own.png").read_bytes() == Path("contact-sheet.png").read_bytes()
    assert status_of([*words, "--sheet", "no/own.png"]) == 2
    assert "--sheet: folder 'no' does not exist" in capsys.readouterr().err
    assert status_of([*words[:3], "--validation-size", "40"]) == 2
    assert capsys.readouterr().err.startswith("error: --validation-size: must be")


class Store:
    """Replaces the functions that read MLflow."""

    def __init__(self) -> None:
        self.asked: list[tuple[str | None, Home]] = []

    def load_comparison(self, sweep_id: str | None, home: Home) -> Comparison:
        self.asked.append((sweep_id, home))
        print("chatter")
        return comparison([trial("f64-max-s0", "FINISHED", 0.9)])

    def load_report(
        self, sweep_id: str | None, home: Home, pair: tuple[str, str] | None = None
    ) -> str:
        self.asked.append((sweep_id, home))
        print("chatter")
        return f"<!doctype html><p>f64-max {pair}"


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Store:
    made = Store()
    monkeypatch.setenv("CNN_PIPELINE_HOME", str(tmp_path))
    module(
        "cnn_pipeline.experiment.stored",
        monkeypatch,
        load_comparison=made.load_comparison,
        load_report=made.load_report,
        newer_running=lambda sweep, home: None,
    )
    return made


def test_compare_asks_for_the_last_sweep_or_the_one_named(store: Store, tmp_path: Path) -> None:
    assert status_of(["compare", "--home", str(tmp_path)]) == 0
    assert status_of(["compare", SWEEP_ID, "--home", str(tmp_path)]) == 0
    assert store.asked == [(None, Home(tmp_path)), (SWEEP_ID, Home(tmp_path))]


def test_compare_shows_details_on_request(store: Store, capsys: pytest.CaptureFixture[str]) -> None:
    assert status_of(["compare"]) == 0
    short = capsys.readouterr().out
    assert "Leaderboard" in short and "\nVerdict\n" not in short
    assert short.endswith("\n\nThe whole verdict and all tables: add --details\n")
    assert status_of(["compare", "--details"]) == 0
    whole = capsys.readouterr().out
    assert "\nVerdict\n" in whole and "--details" not in whole


@pytest.mark.parametrize("words", [["a", "b"], ["--format", "json"], ["--output", "a.csv"]])
def test_all_variants_are_asked_for_in_tables(
    words: list[str],
    store: Store,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert status_of(["compare", "--all", *words]) == 2
    assert "--all: needs one sweep and --format table or markdown" in capsys.readouterr().err
    assert store.asked == []


@pytest.mark.parametrize(
    "words", [["a", "b"], ["--columns", "label"], ["--format", "json"], ["--output", "a.html"]]
)
def test_details_are_of_one_sweep_in_the_terminal(
    words: list[str],
    store: Store,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert status_of(["compare", "--details", *words]) == 2
    assert "--details: needs one sweep and --format table" in capsys.readouterr().err
    assert store.asked == []


@pytest.mark.parametrize(
    ("form", "begin"),
    [("table", None), ("csv", "label,"), ("json", "{"), ("markdown", "#"), ("html", "<!")],
)
def test_compare_writes_every_format(
    form: str, begin: str | None, store: Store, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status_of(["compare", "--format", form]) == 0
    out, err = capsys.readouterr()
    assert "f64-max" in out and "chatter" not in out and "chatter" in err
    if begin:
        assert out.lower().startswith(begin)


def test_compare_takes_the_format_from_the_files_suffix(store: Store, tmp_path: Path) -> None:
    for name, begin in (("a.json", "{"), ("a.MD", "#"), ("a.html", "<!")):
        assert status_of(["compare", "--output", str(tmp_path / name)]) == 0
        assert (tmp_path / name).read_text().lower().startswith(begin)
    assert status_of(["compare", "--output", str(tmp_path / "b.txt"), "--format", "json"]) == 0
    assert json.loads((tmp_path / "b.txt").read_text())


def test_compare_refuses_before_it_reads(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["compare", "a", "b", "c", "--format", "cvs", "--output", str(tmp_path / "no" / "x")]
    assert status_of(words) == 2
    assert capsys.readouterr().err.startswith("error: 3 faults")
    assert store.asked == []


def test_report_writes_a_page_and_says_where(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    target = tmp_path / "page.html"
    words = ["report", SWEEP_ID, "--home", str(tmp_path), "--output", str(target)]
    assert status_of([*words, "--compare", "f64-max, f16-max"]) == 0
    assert store.asked == [(SWEEP_ID, Home(tmp_path))]
    assert target.read_text() == "<!doctype html><p>f64-max ('f64-max', 'f16-max')"
    out, err = capsys.readouterr()
    assert out == "" and f"wrote {target}" in err


def test_report_opens_the_page_or_tells_its_address(
    store: Store,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    opened: list[str] = []
    monkeypatch.setattr("webbrowser.open", lambda address: bool(opened.append(address)))
    assert status_of(["report", "--open"]) == 0
    address = (tmp_path / "report.html").as_uri()
    assert opened == [address]
    assert f"no browser was found; the page is at {address}" in capsys.readouterr().err


def test_report_refuses_before_it_reads(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["report", "a", "b", "--compare", "f64-max", "--output", str(tmp_path / "no" / "x")]
    assert status_of(words) == 2
    err = capsys.readouterr().err
    assert err.startswith("error: 3 faults")
    assert "--compare: must be two variants as A,B, received 'f64-max'" in err
    assert store.asked == []


class Model:
    def __init__(self) -> None:
        self.asked: list[tuple[list[Path], Home, dict[str, str | None]]] = []

    def __call__(self, paths: list[Path], home: Home, **named: str | None) -> list[Prediction]:
        self.asked.append((paths, home, named))
        print("chatter")
        top = (("Ankle boot", 0.875), ("Sneaker", 0.1), ("Sandal", 0.02))
        return [
            Prediction(str(path), "f64-max-s0 (r1)", "the run asked for", ("inverted",), top)
            for path in paths
        ]


@pytest.fixture
def model(monkeypatch: pytest.MonkeyPatch) -> Model:
    made = Model()
    monkeypatch.setattr("cnn_pipeline.champion.predict.predict_files", made)
    return made


def test_predict_shows_three_classes_and_what_was_done(
    model: Model, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = tmp_path / "boot.png"
    image.touch()
    assert status_of(["predict", str(image), "--run", "r1", "--home", str(tmp_path)]) == 0
    named = {"run_id": "r1", "sweep_id": None, "model": None}
    assert model.asked == [([image], Home(tmp_path), named)]
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == str(image)
    assert lines[1].strip() == "inverted"
    assert lines[2] == "    87.5 %  Ankle boot"
    assert lines[5] == ""
    assert lines[6] == "model: f64-max-s0 (r1), the run asked for"
    assert status_of(["predict", str(image), str(image), "--json"]) == 0
    predictions = json.loads(capsys.readouterr().out)["predictions"]
    assert [one["top"][0] for one in predictions] == [["Ankle boot", 0.875]] * 2


def test_predict_names_every_missing_file(
    model: Model, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status_of(["predict", "no.png", str(tmp_path), "--run", "a", "--sweep", "b"]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "error: 3 faults",
        "  no.png: no such file",
        f"  {tmp_path}: must be a file, and is a folder",
        "  --run: give --sweep or --run, not both",
    ]
    assert status_of(["predict"]) == 2
    assert "give at least one" in capsys.readouterr().err
    assert model.asked == []


def test_predict_takes_one_model(
    model: Model, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    image = tmp_path / "boot.png"
    image.touch()
    assert status_of(["predict", str(image), "--model", "shoes-cnn"]) == 0
    assert model.asked[0][2] == {"run_id": None, "sweep_id": None, "model": "shoes-cnn"}
    capsys.readouterr()
    assert status_of(["predict", str(image), "--model", "Shoes/1", "--run", "r1"]) == 2
    assert capsys.readouterr().err.splitlines() == [
        "error: 2 faults",
        "  --model: give --model, or --sweep or --run, not both",
        "  --model: must be a name like 'fashion-mnist-cnn', received 'Shoes/1'",
    ]


def test_serve_follows_the_model_asked_for(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    asked: list[tuple[Home, int, str | None, str | None]] = []

    def serve(
        home: Home, port: int, name: str | None, tell: Callable[[str], None], token: str | None
    ) -> None:
        asked.append((home, port, name, token))
        tell("ready")

    (tmp_path / "token").write_text("0123456789abcdef\n")
    (tmp_path / "token").chmod(0o600)

    module("cnn_pipeline.champion.server.process", monkeypatch, serve=serve)
    assert status_of(["serve", "--home", str(tmp_path)]) == 0
    words = ["serve", "--home", str(tmp_path), "--port", "0", "--model", "shoes-cnn"]
    assert status_of([*words, "--token-file", str(tmp_path / "token")]) == 0
    assert asked == [
        (Home(tmp_path), 8080, None, None),
        (Home(tmp_path), 0, "shoes-cnn", "0123456789abcdef"),
    ]
    assert capsys.readouterr().out == "ready\nready\n"
    monkeypatch.setenv("CNN_PIPELINE_SERVE_TOKEN", "too short")
    assert status_of(["serve", "--port", "65536", "--model", "a b"]) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: 3 faults") and "too short" not in said


def test_ui_serves_on_the_port_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: list[tuple[Home, int, bool]] = []

    def serve(home: Home, port: int, open_browser: bool, **told: object) -> None:
        assert set(told) == {"say", "ready"}
        asked.append((home, port, open_browser))

    module("cnn_pipeline.services.mlflow_ui", monkeypatch, serve=serve)
    assert status_of(["ui", "--home", str(tmp_path)]) == 0
    assert status_of(["ui", "--home", str(tmp_path), "--port", "5001", "--no-browser"]) == 0
    assert asked == [(Home(tmp_path), 5000, True), (Home(tmp_path), 5001, False)]


def test_a_home_that_is_a_file_is_refused(
    flow: Flow, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "file"
    file.touch()
    assert status_of(["run", "--home", str(file), "--epochs", "0"]) == 2
    assert capsys.readouterr().err.startswith("error: 2 faults")
    assert flow.calls == []


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("--add-seeds", ["needs a value"]),
        ("--add-seeds 0", ["must be from 1 to 1000, received 0", "needs a sweep after its number"]),
        ("--add-seeds x last", ["must be a whole number, received 'x'"]),
        (
            "--add-seeds 1 a b --filters 8 --sweep smoke --force",
            [
                "unexpected argument 'b': one sweep at a time",
                "--filters: --add-seeds keeps the sweep's settings",
                "--sweep: --add-seeds keeps the sweep's settings",
                "--force: --add-seeds reuses what is there",
            ],
        ),
        ("last --decide 0", ["unexpected argument 'last'", "--decide: must be more than 0"]),
        (
            "--seeds 0,1 --decide 30 --max-rounds 1",
            [
                "--decide: needs --seeds auto, received --seeds 0,1",
                "--max-rounds: needs --seeds auto, received --seeds 0,1",
                "--decide: must be at most 20, received 30.0",
                "--max-rounds: must be at least 2, received 1",
            ],
        ),
        ("--sweep smoke --decide 1", ["needs --seeds auto; sweep 'smoke' has the seeds 0"]),
    ],
)
def test_all_faults_of_the_seeds_are_reported_at_once(
    words: str, said: list[str], home: Home, capsys: pytest.CaptureFixture[str]
) -> None:
    assert status_of(["run", *words.split(), "--home", str(home.root)]) == 2
    told = capsys.readouterr().err
    for text in said:
        assert text in told
    assert len(told.splitlines()) == (1 if len(said) == 1 else 1 + len(said))
