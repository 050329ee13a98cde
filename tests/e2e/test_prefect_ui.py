"""Prefect's pages of a sweep, in a real browser: the flow run, its artifacts, the form."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from playwright.sync_api import Browser, Page, expect

from cnn_pipeline.base.home import Home
from tests.e2e import browser
from tests.flows.test_flow import environment, run_flow
from tests.running import TINY, free_port, stop, wait_until

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parent.parent.parent


@dataclass(frozen=True)
class Shown:
    """A server with one flow run of the tiny sweep, and its deployments."""

    ui: str
    flow_run_id: str
    deployment_id: str
    parent_run_id: str


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser.chromium() as one:
        yield one


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    folder = tmp_path_factory.mktemp("prefect")
    port = free_port()
    ui = f"http://127.0.0.1:{port}"
    variables = environment(
        folder, PREFECT_API_URL=f"{ui}/api", PREFECT_SERVER_ANALYTICS_ENABLED="false"
    )
    words = ["server", "start", "--host", "127.0.0.1", "--port", str(port)]
    with (folder / "log.txt").open("w") as log:
        server = subprocess.Popen(
            [sys.executable, "-m", "prefect", *words],
            env=variables, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
        try:
            wait_until(lambda: _healthy(ui), "Prefect's server answers")
            for command in (
                ["work-pool", "create", "cnn-pipeline", "--type", "process"],
                ["--no-prompt", "deploy", "--name", "train-variants"],
            ):
                _prefect(command, variables)
            home = Home(folder / "home")
            _, _, parent_run_id = run_flow(TINY, home, variables)
            yield Shown(
                ui,
                _only(ui, "flow_runs", {})["id"],
                _only(ui, "deployments", {})["id"],
                parent_run_id,
            )
        finally:
            stop(server)


def _healthy(ui: str) -> bool:
    try:
        return httpx.get(f"{ui}/api/health", timeout=5).status_code == httpx.codes.OK
    except httpx.TransportError:
        return False


def _prefect(words: list[str], variables: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "prefect", *words],
        cwd=ROOT, env=variables, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def _only(ui: str, what: str, query: dict[str, object]) -> dict[str, str]:
    answer = httpx.post(f"{ui}/api/{what}/filter", json=query, timeout=30)
    answer.raise_for_status()
    (record,) = answer.json()
    return dict(record)


@pytest.fixture
def page(
    need: Callable[[bool, str], None], request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[Page]:
    """A first visit; leaves a picture of the page as it was seen last."""
    need(browser.executable() is not None, browser.REMEDY)
    one: Browser = request.getfixturevalue("chromium")
    context = one.new_context(viewport={"width": browser.WIDTH, "height": 1400})
    context.set_default_timeout(browser.PATIENCE_MS)
    expect.set_options(timeout=browser.PATIENCE_MS)
    yield (visit := context.new_page())
    visit.screenshot(path=tmp_path / "last.png")
    context.close()


def test_the_flow_run_shows_named_tasks(page: Page, shown: Shown) -> None:
    page.goto(f"{shown.ui}/runs/flow-run/{shown.flow_run_id}")
    expect(page.get_by_text("1 of 3 trials failed").first).to_be_visible()
    page.get_by_text("Task Runs", exact=True).click()
    for name in (
        "fetch fashion-mnist-sample",
        "train f2-max-d16-s0",
        "train f2-none-d16-do25-s0",
        "train diverging-s0",
    ):
        expect(page.get_by_role("link", name=name).first).to_be_visible()


def test_the_artifacts_are_leaderboard_verdict_progress_and_link(page: Page, shown: Shown) -> None:
    page.goto(f"{shown.ui}/runs/flow-run/{shown.flow_run_id}")
    page.get_by_text("Artifacts", exact=True).last.click()
    for key in ("leaderboard", "verdict", "progress", "mlflow"):
        expect(page.get_by_text(key, exact=True).first).to_be_visible()

    open_artifact(page, shown, "leaderboard")
    expect(page.locator("td", has_text="f2-none-d16-do25")).to_be_visible()
    open_artifact(page, shown, "verdict")
    expect(page.get_by_role("heading", name="Verdict").first).to_be_visible()
    open_artifact(page, shown, "progress")
    expect(page.get_by_text("3 of 3 trials have ended").first).to_be_visible()
    open_artifact(page, shown, "mlflow")
    expect(page.locator(f"a[href*='{shown.parent_run_id}']").first).to_be_visible()


def open_artifact(page: Page, shown: Shown, key: str) -> None:
    page.goto(f"{shown.ui}/artifacts/key/{key}")
    page.locator("a[href^='/artifacts/artifact/']").first.click()


def test_the_form_has_typed_parameters_with_help(page: Page, shown: Shown) -> None:
    page.goto(f"{shown.ui}/deployments/deployment/{shown.deployment_id}/run")
    # Names and help of the nested settings, their types and their defaults.
    expect(
        page.get_by_text("Filters of each convolution: one number for all layers")
    ).to_be_visible()
    expect(page.get_by_text("How feature maps are downsampled")).to_be_visible()
    expect(page.locator("input[type=number]").first).to_have_value("64")
    expect(page.get_by_text("trainer processes at a time; 0 is one per core")).to_be_attached()
    expect(page.get_by_text("folder that holds all state")).to_be_attached()
