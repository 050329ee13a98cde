"""The arithmetic behind the benchmarks' tables. What they measure is never tested."""

from __future__ import annotations

import json
import re
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from packaging.requirements import Requirement

from benchmarks.contestants import OURS, RIVALS, TITLES, Sweep, answers_of
from benchmarks.race import RACES, Race, runs_of_whole_rounds
from benchmarks.race_report import sweep_table, training_table
from benchmarks.report import PAGES, RESULTS, filled, markdown, ratios, spread
from benchmarks.seeds import Row, accuracies, append, missing, read, recipe_table, tasks
from benchmarks.suite import PARTS
from benchmarks.timing import CommandFailed, answers_at_once, rotated, timed
from cnn_pipeline.cli.json_output import json_text
from cnn_pipeline.comparison.compare import compare
from cnn_pipeline.comparison.types import SweepInfo
from cnn_pipeline.experiment.outcome import Outcome
from cnn_pipeline.network.results import TrialResult

ROOT = Path(__file__).parent.parent.parent
SWEEP = Sweep((8,), ("max",), 1, 100)


def test_a_ratio_pairs_what_ran_in_the_same_round() -> None:
    found = ratios([10, 30, 80], [10, 10, 20])
    assert (found.median, found.low, found.high) == (3, 1, 4)
    with pytest.raises(ValueError, match="shorter"):
        ratios([1, 2], [1])
    with pytest.raises(ValueError, match="at least one"):
        ratios([], [])


def test_a_spread_reads_as_median_and_reach() -> None:
    assert spread([1234.5, 1000, 2000]).text(0, " s") == "1,234 s (1,000-2,000)"


def test_a_table_refuses_a_row_of_another_length() -> None:
    assert markdown(["a", "b"], [["x", "1"]]) == "| a | b |\n| --- | ---: |\n| x | 1 |\n"
    with pytest.raises(ValueError, match="2 cells"):
        markdown(["a", "b"], [["x"]])


def run(name: str, index: int, wall: float, right: float) -> dict[str, Any]:
    variant = {"variant": "f8-max", "test_accuracy": right, "fit_seconds": 4.0}
    return {
        "contestant": name,
        "round": index,
        "wall_s": wall,
        "cpu_s": 2 * wall,
        "peak_mib": 100.0,
        "variants": [variant | {"images_per_second": 100 * wall}],
    }


def cells(table: str, title: str) -> list[str]:
    """The first row of this title."""
    row = next(line for line in table.splitlines() if line.startswith(f"| {title} |"))
    return [cell.strip() for cell in row.strip("|").split("|")]


def test_a_sweep_is_compared_by_round_and_a_failed_run_counts_nowhere() -> None:
    rival = "keras_tuner"
    runs = [
        run(OURS, 0, 10, 0.80),
        run(rival, 0, 20, 0.81),
        run(rival, 1, 90, 0.82),
        run(OURS, 1, 30, 0.82),
        run(OURS, 2, 10, 0.10),
        {"contestant": rival, "round": 2, "failed": "ended with status 1"},
    ]
    found = cells(sweep_table(runs), TITLES[rival])
    assert found[1] == "2 of 3"
    assert found[2] == "55.0 (20.0-90.0)"
    assert found[3] == "2.50 (2.00-3.00)"
    assert found[7] == "81.50"
    # Student's interval by hand: mean 0.5, standard error 0.5, t(0.975, 1 degree) = 12.7062.
    assert found[8] == "+0.50 (95 % -5.85 to +6.85)"
    assert cells(sweep_table(runs), TITLES[OURS])[3] == "1"
    one_round = [run(OURS, 0, 10, 0.80), run(rival, 0, 20, 0.81)]
    assert cells(sweep_table(one_round), TITLES[rival])[8] == "+1.00"


def test_a_contestant_that_always_fails_is_shown() -> None:
    runs = [run(OURS, 0, 10, 0.8), {"contestant": "ray_tune", "round": 0, "failed": "no"}]
    assert cells(sweep_table(runs), TITLES["ray_tune"])[1:4] == ["0 of 1", "-", "-"]


def test_each_mode_of_pytorch_has_its_own_row() -> None:
    rival = run("pytorch", 0, 30, 0.7)
    rival["variants"][0]["mode"] = "float32"
    rival["variants"].append({"variant": "f8-max", "mode": "compiled", "failed": "no compiler"})
    table = training_table([run(OURS, 0, 10, 0.8), rival])
    assert cells(table, "PyTorch float32")[2:4] == ["3,000 (3,000-3,000)", "3.00 (3.00-3.00)"]
    assert cells(table, "PyTorch compiled")[1:3] == ["0", "no compiler"]


def test_the_order_rotates() -> None:
    assert [rotated("abc", index)[0] for index in range(4)] == ["a", "b", "c", "a"]
    assert sorted(rotated("abc", 2)) == ["a", "b", "c"]


BEFORE: dict[str, Any] = {
    "work": {"epochs": 1},
    "machine": {"processor": "P", "cores": 2, "versions": {}, "commit": "abc"},
    "runs": [
        {"contestant": name, "round": index}
        for index, name in [(0, "a"), (0, "b"), (1, "b"), (1, "a"), (2, "a")]
    ],
}


def test_a_race_goes_on_after_its_last_whole_round(tmp_path: Path) -> None:
    file = tmp_path / "race.partial.json"
    file.write_text(json.dumps(BEFORE))
    found = runs_of_whole_rounds(file, Race("race", ("a", "b"), SWEEP, 5), BEFORE)
    assert found == [{"commit": "abc", **run} for run in BEFORE["runs"][:4]]
    assert len(runs_of_whole_rounds(file, Race("race", ("a", "b"), SWEEP, 1), BEFORE)) == 2
    # A file has been through JSON, what is measured now has not.
    now = {**BEFORE, "work": SWEEP.as_json()}
    file.write_text(json.dumps(now))
    assert len(runs_of_whole_rounds(file, Race("race", ("a", "b"), SWEEP, 5), now)) == 4
    killed = {**BEFORE["runs"][3], "failed": "ended with status -9"}
    file.write_text(json.dumps({**BEFORE, "runs": [*BEFORE["runs"][:3], killed]}))
    assert len(runs_of_whole_rounds(file, Race("race", ("a", "b"), SWEEP, 5), BEFORE)) == 2


def test_a_race_does_not_go_on_elsewhere_or_with_other_work(tmp_path: Path) -> None:
    race = Race("race", ("a", "b"), SWEEP, 5)
    file = tmp_path / "race.partial.json"
    with pytest.raises(SystemExit, match=r"is missing: leave out --go-on"):
        runs_of_whole_rounds(file, race, BEFORE)
    file.write_text(json.dumps(BEFORE))
    elsewhere = {**BEFORE, "work": {}, "machine": {**BEFORE["machine"], "processor": "Q"}}
    with pytest.raises(SystemExit, match="of other work and processor"):
        runs_of_whole_rounds(file, race, elsewhere)


@pytest.mark.parametrize("race", RACES.values(), ids=lambda race: race.name)
def test_all_get_the_images_that_the_alternatives_split_off(race: Any) -> None:
    # As Keras cuts validation_split=0.1.
    assert race.sweep.train == int(race.sweep.images * (1 - 0.1))
    assert race.sweep.train + race.sweep.validation == race.sweep.images


def test_an_answer_is_read_from_the_last_line_and_must_be_whole() -> None:
    line = '{"variants": [{"variant": "f8-max", "test_accuracy": 0.5}]}'
    assert answers_of("ray_tune", f"noise\n{line}\nmore", SWEEP)[0]["test_accuracy"] == 0.5
    with pytest.raises(ValueError, match="must print"):
        answers_of("ray_tune", "noise", SWEEP)
    with pytest.raises(ValueError, match="f8-none"):
        answers_of("ray_tune", line, Sweep((8,), ("max", "none"), 1, 100))


def test_our_answers_are_read_from_what_run_prints() -> None:
    metrics = {"test_accuracy": 0.5, "train_seconds": 1.0, "images_per_second": 100.0}
    result = TrialResult("f8-max-s0", "f8-max", 0, "r", "FINISHED", metrics=metrics)
    info = SweepInfo("grid-1", "grid", "pets", num_test=1000)
    comparison = compare([result], {}, num_validation=5000, sweep=info)
    printed = json_text("run", Outcome("grid-1", "1", "p", (result,), comparison))
    assert answers_of(OURS, printed, SWEEP)[0]["images_per_second"] == 100.0


def test_a_command_is_measured_with_what_it_starts() -> None:
    busy = "import time\nwhile time.process_time() < 0.3: pass"
    code = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {busy!r}]); print('hi')"
    begin = time.perf_counter()
    found = timed([sys.executable, "-c", code])
    assert found.output == "hi\n"
    assert found.cpu_s >= 0.3
    assert 0.3 <= found.wall_s <= time.perf_counter() - begin
    assert found.peak_mib > 5


def test_a_command_that_fails_says_what_it_wrote_last() -> None:
    with pytest.raises(CommandFailed, match=r"status 3[\s\S]*so bad"):
        timed([sys.executable, "-c", "import sys; print('so bad'); sys.exit(3)"])
    with pytest.raises(CommandFailed, match="ran past"):
        timed([sys.executable, "-c", "import time; time.sleep(60)"], limit_s=0.5)


@pytest.mark.parametrize("rival", sorted(set(TITLES) - {OURS}))
def test_an_alternative_is_pinned_to_the_versions_that_we_use(rival: str) -> None:
    lines = (RIVALS / rival / "requirements.txt").read_text("utf-8").splitlines()
    wanted = [Requirement(line) for line in lines]
    assert wanted
    lock = (ROOT / "requirements.lock").read_text("utf-8")
    for need in wanted:
        assert [clause.operator for clause in need.specifier] == ["=="], need
        if need.name in ("tensorflow", "keras", "mlflow"):
            pin = re.search(rf"^{need.name}==(\S+)", lock, re.MULTILINE)
            assert pin is not None and pin[1] in need.specifier


def test_every_alternative_has_a_title_and_a_script_that_names_its_source() -> None:
    scripts = {path.parent.name: path for path in RIVALS.glob("*/sweep.py")}
    assert scripts.keys() == TITLES.keys() - {OURS}
    assert all("https://" in script.read_text("utf-8") for script in scripts.values())


def test_the_rivals_see_a_new_order_in_each_epoch_that_follows_from_the_seed() -> None:
    from benchmarks.rivals.common.network import batches_in_new_order

    numbers = np.arange(200)

    def epochs(seed: int) -> list[list[int]]:
        batches = batches_in_new_order(numbers, numbers, 128, seed)
        return [[n for _, labels in batches for n in labels.numpy()] for _ in range(3)]

    first = epochs(1)
    assert all(sorted(order) == list(numbers) for order in first)
    assert len({tuple(order) for order in first}) == 3
    assert epochs(1) == first
    assert epochs(2) != first


def test_recipes_are_compared_by_seed_and_ten_epochs_begin_with_five(tmp_path: Path) -> None:
    race = tmp_path / "race.json"
    race.write_text('{"runs": []}')
    rows = [
        Row("recipe", "f64-max", way, seed, 5, momentum, 0.2, 0.9, accuracy, 1.0)
        for way, seed, momentum, accuracy in [
            ("constant-10", 0, 0.0, 0.90), ("constant-10", 0, 0.99, 0.91),
            ("constant-5", 1, 0.0, 0.92), ("constant-5", 1, 0.99, 0.92),
            ("cosine-5", 1, 0.0, 0.92),
        ]
    ]  # fmt: skip
    path = tmp_path / "rows.csv"
    append(path, rows[:1])
    append(path, rows[1:])
    assert read(path) == rows
    table = recipe_table(accuracies(rows, race))
    tutorial = cells(table, "5 epochs, constant, last weights")
    assert tutorial[1:] == ["2", "91.00", "1.41", "90.00-92.00", "-", "1.00"]
    averaged = cells(table, "5 epochs, constant, average 0.99")
    assert averaged[3] == "0.71" and averaged[-1] == "0.25"
    assert averaged[5] == "+0.50 (95 % -5.85 to +6.85, 2 pairs)"
    assert "cosine" not in table  # one seed has no spread


def test_a_race_counts_where_nothing_else_was_trained(tmp_path: Path) -> None:
    race = tmp_path / "race.json"
    runs = [run(OURS, 0, 1, 0.8), run("keras_log_model", 0, 1, 0.7)]
    race.write_text(json.dumps({"runs": [each | {"seed": 0} for each in runs]}))
    race.write_text(race.read_text().replace("f8-max", "f16-max"))
    row = Row("order", "f16-max", "ours", 0, 5, 0.0, 0.2, 0.9, 0.9, 1.0)
    found = accuracies([row], race)
    assert found["order", "f16-max", "ours", 5, 0.0] == {0: 90.0}
    assert found["order", "f16-max", "loop", 5, 0.0] == {0: 70.0}
    left = missing(found)
    assert len(left) == len(list(tasks())) - 2
    assert {task.way for task in left if (task.variant, task.seed) == ("f16-max", 0)} == {
        "loop-new-order", "ours-one-order"
    }  # fmt: skip


def test_a_table_is_put_between_its_marks_and_nothing_else_changes(tmp_path: Path) -> None:
    (tmp_path / "speed.md").write_text("2 rounds.\n\n| a |\n| --- |\n")
    page = "before\n<!-- results: speed -->\nold\n<!-- end -->\nafter\n"
    once = filled(page, tmp_path)
    assert once == (
        "before\n<!-- results: speed -->\n\n2 rounds.\n\n| a |\n| --- |\n\n<!-- end -->\nafter\n"
    )
    assert filled(once, tmp_path) == once
    with pytest.raises(FileNotFoundError):
        filled(page.replace("speed", "unmeasured"), tmp_path)


@pytest.mark.docs
def test_the_pages_show_the_tables_as_they_were_measured() -> None:
    assert PAGES
    for path in PAGES:
        page = path.read_text("utf-8")
        assert filled(page, RESULTS) == page


@pytest.mark.docs
def test_every_table_is_shown_on_a_page() -> None:
    pages = "".join(path.read_text("utf-8") for path in PAGES)
    assert [
        path.stem for path in RESULTS.glob("*.md") if f"results: {path.stem} -" not in pages
    ] == []


def test_the_suite_names_modules_that_are_there() -> None:
    for module, *races in PARTS.values():
        assert (ROOT / "benchmarks" / f"{module}.py").is_file()
        assert set(races) <= RACES.keys()


def test_processes_answer_together_or_their_failure_is_named() -> None:
    words = [sys.executable, "-c", "print('noise'); print('[1, 2]')"]
    assert answers_at_once(words, 2) == [[1, 2], [1, 2]]
    with pytest.raises(CommandFailed, match="ended with status 3"):
        answers_at_once([sys.executable, "-c", "raise SystemExit(3)"], 2)
