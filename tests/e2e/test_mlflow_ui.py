"""MLflow's pages after a sweep, in a real browser on a first visit."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect

from cnn_pipeline.base.home import Home
from cnn_pipeline.champion.register import open_registry, promote_run, register_run
from cnn_pipeline.experiment.outcome import Outcome
from cnn_pipeline.services.loopback import free_port
from tests.e2e import browser
from tests.running import stop

pytestmark = pytest.mark.slow

REFUSAL = "not significantly more accurate than the champion (+0.1 points)"
POOLED, PLAIN, FAILED = "f2-max-d16-s0", "f2-none-d16-do25-s0", "diverging-s0"
# Cells of MLflow's grid by row and column: pinned and scrolling columns are separate elements.
GRID = """() => {
    const rows = {};
    for (const row of document.querySelectorAll('.ag-body-viewport [role=row]')) {
        const cells = rows[row.getAttribute('row-index')] ??= {};
        for (const cell of row.querySelectorAll('[role=gridcell]'))
            cells[cell.getAttribute('col-id')] = cell.innerText.trim();
    }
    return Object.values(rows);
}"""


@dataclass(frozen=True)
class Addresses:
    """What `cnn-pipeline ui` prints."""

    runs: str
    charts: str
    compare: str


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser.chromium() as one:
        yield one


@pytest.fixture(scope="module")
def decided(tiny: tuple[Home, Outcome], tmp_path_factory: pytest.TempPathFactory) -> Home:
    """A copy of the sweep's store, in which one network is champion and the other was refused."""
    place = Home(tmp_path_factory.mktemp("decided"))
    shutil.copytree(tiny[0].artifacts, place.artifacts)
    shutil.copy(tiny[0].database, place.database)
    runs = {result.name: result.run_id for result in tiny[1].results}
    promote_run(runs[POOLED], "the first one", place)
    open_registry(place).refuse(register_run(runs[PLAIN], place), REFUSAL, expected=1)
    return place


@pytest.fixture(scope="module")
def addresses(decided: Home) -> Iterator[Addresses]:
    words = ["ui", "--no-browser", "--port", str(free_port()), "--home", str(decided.root)]
    process = subprocess.Popen(
        [sys.executable, "-m", "cnn_pipeline.cli", *words],
        start_new_session=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        lines = dict(process.stdout.readline().strip().split(maxsplit=1) for _ in range(2))
        compare = process.stdout.readline().split()[-1]
        yield Addresses(lines["Runs:"], lines["Charts:"], compare)
    finally:
        stop(process)


@pytest.fixture
def page(
    need: Callable[[bool, str], None], request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[Page]:
    """A first visit; leaves a picture of each page as it was seen last."""
    need(browser.executable() is not None, browser.REMEDY)
    one: Browser = request.getfixturevalue("chromium")
    context = one.new_context(viewport={"width": browser.WIDTH, "height": browser.HEIGHT})
    context.set_default_timeout(browser.PATIENCE_MS)
    expect.set_options(timeout=browser.PATIENCE_MS)
    yield context.new_page()
    for number, visit in enumerate(context.pages):
        visit.screenshot(path=tmp_path / f"{number}.png")
    context.close()


def rows(page: Page) -> dict[str, dict[str, str]]:
    """The grid's visible cells: run name to column to text."""
    found: list[dict[str, str]] = page.evaluate(GRID)
    # Before the name stands the colour, for screen readers.
    return {row["attributes.`Run Name`"].splitlines()[-1]: row for row in found}


def open_run(page: Page, addresses: Addresses, name: str) -> None:
    page.goto(addresses.runs)
    browser.close_assistant(page)
    page.get_by_role("link", name=name, exact=True).click()
    expect(page.get_by_role("heading", name=name)).to_be_visible()


def test_an_experiment_opens_with_its_runs(
    page: Page, addresses: Addresses, tiny: tuple[Home, Outcome]
) -> None:
    """At an address without the mode, as it is typed and bookmarked, and from the list."""
    server = addresses.runs.partition("/#/")[0]
    page.goto(f"{server}/#/experiments/{tiny[1].experiment_id}")
    expect(page.get_by_role("heading", name="Runs", exact=True)).to_be_visible()
    expect(page.get_by_role("link", name=tiny[1].sweep_id)).to_be_visible()
    browser.close_assistant(page)
    page.goto(f"{server}/#/experiments")
    page.get_by_test_id("experiment-list-item-link").get_by_text("fashion-mnist-sample-cnn").click()
    expect(page.get_by_role("heading", name="Runs", exact=True)).to_be_visible()
    expect(page.get_by_role("link", name=tiny[1].sweep_id)).to_be_visible()


def test_the_description_of_the_experiment_leads_to_reports_and_sweeps(
    page: Page, addresses: Addresses, tiny: tuple[Home, Outcome]
) -> None:
    outcome = tiny[1]
    page.goto(f"{addresses.runs.partition('/#/')[0]}/#/experiments/{outcome.experiment_id}")
    browser.close_assistant(page)
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="all sweeps as a table").click()
    table = opened.value
    expect(table.get_by_text("matching run")).to_have_text("1 matching run")
    (row,) = rows(table).values()
    chosen = next(
        row for row in outcome.comparison.ranked if row.label == outcome.comparison.verdict.chosen
    )
    assert row["metrics.`chosen_test_accuracy`"] == f"{chosen.test_accuracy:g}"
    assert row["params.`axes`"].startswith("filters: ")
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="Report of the last sweep").click()
    report = opened.value.frame_locator("iframe")
    expect(report.get_by_role("heading", level=1)).to_contain_text("tiny")


def test_the_list_shows_the_sweep_with_its_settings_and_scores(
    page: Page, addresses: Addresses, tiny: tuple[Home, Outcome]
) -> None:
    page.goto(addresses.runs)
    expect(page.get_by_role("link", name=PLAIN, exact=True)).to_be_visible()
    expect(page.get_by_text("matching runs")).to_have_text("4 matching runs")
    shown = rows(page)
    results = {result.name: result for result in tiny[1].results}
    accuracies = {name: results[name].metrics["val_accuracy_final"] for name in (POOLED, PLAIN)}
    best = sorted(accuracies, key=lambda name: -accuracies[name])
    # The failed one and the sweep itself have no accuracy, so they come last.
    assert list(shown)[:2] == best
    assert set(shown) == {POOLED, PLAIN, FAILED, tiny[1].sweep_id}
    assert {name: row["params.`filters`"] for name, row in shown.items()} == {
        POOLED: "2", PLAIN: "2", FAILED: "8", tiny[1].sweep_id: "-",
    }  # fmt: skip
    assert (shown[POOLED]["params.`pooling`"], shown[PLAIN]["params.`pooling`"]) == ("max", "none")

    browser.close_assistant(page)
    page.set_viewport_size({"width": 2600, "height": browser.HEIGHT})
    expect(page.locator("[col-id='attributes.`Models`']").first).to_be_visible()
    shown = rows(page)
    for name in best:
        metrics = results[name].metrics
        for metric in ("val_accuracy_final", "test_accuracy", "num_params", "macs"):
            assert float(shown[name][f"metrics.`{metric}`"]) == metrics[metric]
    # What else differs is a column too.
    assert shown[PLAIN]["params.`dropout`"] == "0.25"
    assert shown[PLAIN]["attributes.`Models`"] == "model"
    for row in shown.values():
        assert "fashion-mnist-sample-train" in row["attributes.`Dataset`"]


def test_the_charts_compare_headline_metrics(page: Page, addresses: Addresses) -> None:
    page.goto(addresses.charts)
    browser.close_assistant(page)
    comparison = page.get_by_text("Comparison", exact=True)
    expect(comparison).to_be_visible()
    axes = page.locator("text.label")
    # The two that a sweep asks about, all else that differs, and what came of it.
    expect(axes).to_have_text(
        ["filters", "pooling", "conv_layers", "padding", "dense_units", "dropout", "epochs",
         "optimizer", "learning_rate", "test_accuracy"]
    )  # fmt: skip
    for name in ("val_accuracy_final", "test_accuracy", "num_params"):
        expect(page.get_by_text(name, exact=True).first).to_be_visible()
    # The page draws a chart when it comes into sight.
    page.mouse.move(browser.WIDTH * 0.7, browser.HEIGHT * 0.7)
    page.mouse.wheel(0, 600)
    for name in ("macs", "train_seconds"):
        expect(page.get_by_text(name, exact=True).first).to_be_visible()
    expect(page.get_by_text("Learning curves", exact=True)).to_be_attached()


def test_the_compare_view_opens_with_settings_and_validation_accuracy(
    page: Page, addresses: Addresses
) -> None:
    page.goto(addresses.compare)
    browser.close_assistant(page)
    expect(page.get_by_text("Comparing 2 Runs from 1 Experiment")).to_be_visible()
    axes = page.locator("text.axis-title")
    expect(axes).to_have_text(["dropout", "pooling", "variant", "val_accuracy"])
    browser.choose_metric(page, "test_accuracy", instead_of="val_accuracy")
    expect(axes).to_have_text(["dropout", "pooling", "variant", "test_accuracy"])
    for name in (POOLED, PLAIN):
        expect(page.get_by_text(name, exact=True).first).to_be_visible()


def test_a_run_tells_what_it_asked_and_found(
    page: Page, addresses: Addresses, tiny: tuple[Home, Outcome]
) -> None:
    open_run(page, addresses, POOLED)
    # Markdown, rendered.
    test = next(r for r in tiny[1].results if r.name == POOLED).metrics["test_accuracy"]
    expect(page.locator("strong", has_text=f"{100 * test:.2f} % on test")).to_be_visible()
    expect(page.get_by_text("Two filters are enough.")).to_be_visible()
    expect(page.locator("code", has_text="28x28x1 > C2 3x3 > P2")).to_be_visible()
    page.get_by_text("Show more").click()
    expect(page.get_by_text("cnn-pipeline run --filters 2")).to_be_visible()
    expect(page.get_by_text("fashion-mnist-sample-train", exact=False).first).to_be_visible()
    expect(page.get_by_text(re.compile(r"^tiny-\d+")).first).to_be_visible()  # the sweep it is of


def test_artifacts_are_shown_inline(page: Page, addresses: Addresses) -> None:
    open_run(page, addresses, POOLED)
    page.get_by_role("tab", name="Artifacts").click()
    page.get_by_text("model_summary.txt").click()
    expect(page.get_by_text("conv1 (Conv2D)")).to_be_visible()
    expect(page.get_by_text("+------").first).to_be_visible()
    page.get_by_text("plots", exact=True).click()
    page.get_by_text("journey.png").click()
    picture = page.locator("img[src^='blob:'], img[src*='get-artifact']").first
    expect(picture).to_be_visible()
    assert picture.evaluate("image => image.naturalWidth") > 300


def test_the_sweep_shows_verdict_and_report(
    page: Page, addresses: Addresses, tiny: tuple[Home, Outcome]
) -> None:
    outcome = tiny[1]
    open_run(page, addresses, outcome.sweep_id)
    headline = outcome.comparison.verdict.headline
    answer = page.locator("strong", has_text=headline).first
    picture = page.locator("img[src*='answer.svg']")
    more = page.get_by_text("Show more")
    expect(answer).to_be_visible()
    assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") > 250
    for shown in (answer, picture):
        box, end = shown.bounding_box(), more.bounding_box()
        assert box is not None and end is not None
        assert box["y"] + box["height"] <= end["y"]
    expect(page.get_by_role("link", name="chosen_test_accuracy")).to_be_visible()
    more.click()
    expect(page.get_by_role("heading", name="All numbers")).to_be_visible()
    page.get_by_role("tab", name="Artifacts").click()
    page.get_by_text("report.html").click()
    report = page.frame_locator("iframe")
    expect(report.get_by_role("heading", level=1)).to_contain_text("tiny")
    expect(report.get_by_text(headline).first).to_be_visible()


def test_the_model_page_links_run_data_and_scores(
    page: Page, addresses: Addresses, tiny: tuple[Home, Outcome]
) -> None:
    open_run(page, addresses, POOLED)
    page.get_by_text("Show more").click()
    with page.context.expect_page() as opened:
        page.get_by_role("link", name="The logged model").click()
    model = opened.value
    expect(model.get_by_role("link", name=POOLED).first).to_be_visible()
    found = next(result for result in tiny[1].results if result.name == POOLED)
    row = model.get_by_role("row").filter(has_text="test_accuracy")
    expect(row).to_contain_text("fashion-mnist-sample-test")
    expect(row).to_contain_text(f"{found.metrics['test_accuracy']:g}")
    row = model.get_by_role("row").filter(has_text="val_accuracy_final")
    expect(row).to_contain_text("fashion-mnist-sample-validation")


def test_a_registered_model_shows_its_versions_and_decisions_in_words(
    page: Page, addresses: Addresses
) -> None:
    model = "fashion-mnist-sample-cnn"
    server = addresses.runs.partition("/#/")[0]
    page.goto(f"{server}/#/models/{model}")
    expect(page.get_by_role("link", name="Version 2")).to_be_visible()
    browser.close_assistant(page)
    refused = page.get_by_role("row").filter(has_text="Version 2")
    expect(refused).to_contain_text(f": {REFUSAL}")
    promoted = page.get_by_role("row").filter(has_text="Version 1")
    expect(promoted).to_contain_text("Promoted on")
    expect(promoted).to_be_in_viewport()
    for number in (None, 1):
        if number:
            page.goto(f"{server}/#/models/{model}/versions/{number}")
            expect(page.get_by_text(": the first one")).to_be_visible()
            expect(page.get_by_role("cell", name="model_sha256: ")).to_be_visible()
        for json_like in ('{"', '["'):
            expect(page.get_by_text(json_like)).to_have_count(0)
