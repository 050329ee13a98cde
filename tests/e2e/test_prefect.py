"""A flow run on a Prefect server that outlives it: its records, and its pages in a browser."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from mlflow.tracking import MlflowClient
from playwright.sync_api import Browser, Page, expect

from cnn_pipeline.base.home import Home
from cnn_pipeline.services.automations import HEARTBEAT_SECONDS
from cnn_pipeline.services.loopback import free_port, wait_until_healthy
from cnn_pipeline.settings.named import NAMED
from tests.e2e import browser
from tests.flows.test_flow import STATES, environment, run_flow
from tests.running import (
    COMPUTED,
    COUNTING,
    DEADLINE,
    TINY,
    counts_of_a_decision,
    one_trial,
    stop,
)

pytestmark = pytest.mark.slow

FULL_HD = 1080
NAMED_BY_DEFAULT = {"train-variants": "filters-and-pooling", "retrain": "retrain"}
ROOT = Path(__file__).parent.parent.parent


@dataclass(frozen=True)
class Finished:
    """A flow run of the tiny sweep on a server that has its deployment."""

    ui: str
    home: Home
    sweep_id: str
    ok: str
    parent_run_id: str

    def ask(self, what: str) -> list[dict[str, Any]]:
        """All records of a kind that the server has."""
        answer = httpx.post(f"{self.ui}/api/{what}/filter", json={}, timeout=30)
        answer.raise_for_status()
        records: list[dict[str, Any]] = answer.json()
        return records

    @property
    def flow_run(self) -> dict[str, Any]:
        """The only flow run that no schedule has made."""
        (flow_run,) = [run for run in self.ask("flow_runs") if not run["auto_scheduled"]]
        return flow_run


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser.chromium() as one:
        yield one


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a real Prefect server on loopback."""
    folder = tmp_path_factory.mktemp("server")
    port = str(free_port())
    ui = f"http://127.0.0.1:{port}"
    words = ["server", "start", "--host", "127.0.0.1", "--port", port]
    with (folder / "log.txt").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "prefect", *words],
            env=environment(
                folder,
                PREFECT_API_URL=f"{ui}/api",  # what its pages ask
                PREFECT_SERVER_ANALYTICS_ENABLED="false",
            ),
            stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
        try:
            assert wait_until_healthy(f"{ui}/api", process, DEADLINE), (
                folder / "log.txt"
            ).read_text()
            yield ui
        finally:
            stop(process)


@pytest.fixture(scope="module")
def finished(server: str, tmp_path_factory: pytest.TempPathFactory) -> Finished:
    """The tiny sweep, deployed, and run through the flow once."""
    home = Home(tmp_path_factory.mktemp("flow") / "home with späces")
    variables = environment(home.root.parent, PREFECT_API_URL=f"{server}/api")
    _prefect(["work-pool", "create", "cnn-pipeline", "--type", "process"], variables)
    for name in NAMED_BY_DEFAULT:
        _prefect(["--no-prompt", "deploy", "--name", name], variables)
    return Finished(server, home, *run_flow(TINY, home, variables))


def _prefect(words: list[str], variables: dict[str, str]) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "prefect", *words],
        cwd=ROOT, env=variables, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr


def test_each_trial_is_a_task_run_with_its_own_state(finished: Finished) -> None:
    flow_run = finished.flow_run
    assert (flow_run["name"], flow_run["state"]["type"]) == ("tiny", "FAILED")
    assert flow_run["state"]["message"].startswith("1 of 3 trials failed: diverging-s0: Diverged")
    task_runs = {run["name"]: run for run in finished.ask("task_runs")}
    compared = {name for name in task_runs if name.startswith("compare variants")}
    assert len(compared) == 1
    assert {name: task_runs[name]["state"]["type"] for name in task_runs.keys() - compared} == (
        STATES
    )
    assert {run["flow_run_id"] for run in task_runs.values()} == {flow_run["id"]}
    assert "lower the learning rate" in task_runs["train diverging-s0"]["state"]["message"]


def test_verdict_details_and_link_are_artifacts(finished: Finished) -> None:
    artifacts = {a["key"]: a for a in finished.ask("artifacts") if a["key"]}
    assert {key: a["type"] for key, a in artifacts.items()} == {
        "progress": "progress",
        "details": "markdown",
        "verdict": "markdown",
        "mlflow": "markdown",
    }
    for label in ("f2-max-d16", "f2-none-d16-do25", "diverging"):
        assert f" | {label} | " in artifacts["verdict"]["data"]
    assert "### Verdict" in artifacts["details"]["data"]
    client = MlflowClient(finished.home.database_uri)
    parent = client.get_run(finished.parent_run_id)
    assert artifacts["verdict"]["description"] == parent.data.tags["verdict"]
    page = f"/#/experiments/{parent.info.experiment_id}/runs/{finished.parent_run_id}"
    assert page in artifacts["mlflow"]["data"]
    assert artifacts["progress"]["data"] == 100
    assert artifacts["progress"]["description"] == "3 of 3 trials have ended"


def test_runs_in_mlflow_name_their_flow_run(finished: Finished) -> None:
    flow_run = finished.flow_run
    client = MlflowClient(finished.home.database_uri)
    experiments = [e.experiment_id for e in client.search_experiments()]
    runs = client.search_runs(experiments)
    assert len(runs) == 4
    assert {run.data.tags["prefect.flow_run_id"] for run in runs} == {flow_run["id"]}
    assert {run.data.tags["sweep_id"] for run in runs} == {finished.sweep_id}
    assert finished.ok == "False"
    assert client.get_run(finished.parent_run_id).info.status == "FAILED"


_HEARTBEATS = """
import sys
from pathlib import Path
from prefect.settings import get_current_settings
from cnn_pipeline.base.home import Home
from cnn_pipeline.cli.launch import prefect_ready

with prefect_ready(Home(Path(sys.argv[1]))):
    import flows
    settings = get_current_settings()
    print(settings.api.url, settings.flows.heartbeat_frequency)
"""


def test_only_a_server_that_outlives_the_run_gets_heartbeats(
    home: Home, tmp_path: Path, server: str
) -> None:
    """Their interval is ours, whatever the user's shell says. A temporary server gets none: their
    thread ends up to a second late, and nobody waits for one.
    """
    api = f"{server}/api"

    def told(**more: str) -> list[str]:
        done = subprocess.run(
            [sys.executable, "-c", _HEARTBEATS, str(home.root)],
            capture_output=True,
            text=True,
            timeout=DEADLINE,
            env=environment(tmp_path, **more),
            check=True,
        )
        return done.stdout.split()

    assert told(PREFECT_API_URL=api) == [api, str(HEARTBEAT_SECONDS)]
    assert told(PREFECT_API_URL=api, PREFECT_FLOWS_HEARTBEAT_FREQUENCY="170") == [
        api, str(HEARTBEAT_SECONDS),
    ]  # fmt: skip
    url, seconds = told()
    assert (url.startswith("http://127.0.0.1:"), url != api, seconds) == (True, True, "None")


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


def test_the_flow_run_shows_named_tasks(page: Page, finished: Finished) -> None:
    page.goto(f"{finished.ui}/runs/flow-run/{finished.flow_run['id']}")
    expect(page.get_by_text("1 of 3 trials failed").first).to_be_visible()
    page.get_by_text("Task Runs", exact=True).click()
    for name in (
        "fetch fashion-mnist-sample",
        "train f2-max-d16-s0",
        "train f2-none-d16-do25-s0",
        "train diverging-s0",
    ):
        expect(page.get_by_role("link", name=name).first).to_be_visible()


def test_the_artifacts_are_verdict_details_progress_and_link(
    page: Page, finished: Finished
) -> None:
    page.goto(f"{finished.ui}/runs/flow-run/{finished.flow_run['id']}")
    page.get_by_text("Artifacts", exact=True).last.click()
    for key in ("verdict", "details", "progress", "mlflow"):
        expect(page.get_by_text(key, exact=True).first).to_be_visible()

    open_artifact(page, finished, "verdict")
    expect(page.locator("td", has_text="f2-none-d16-do25")).to_be_visible()
    picture = page.get_by_role("img", name="intervals and costs").first
    assert picture.evaluate("image => image.decode().then(() => image.naturalWidth)") > 250
    open_artifact(page, finished, "details")
    expect(page.get_by_role("heading", name="Verdict").first).to_be_visible()
    open_artifact(page, finished, "progress")
    expect(page.get_by_text("3 of 3 trials have ended").first).to_be_visible()
    open_artifact(page, finished, "mlflow")
    expect(page.locator(f"a[href*='{finished.parent_run_id}']").first).to_be_visible()


def open_artifact(page: Page, finished: Finished, key: str) -> None:
    page.goto(f"{finished.ui}/artifacts/key/{key}")
    page.locator("a[href^='/artifacts/artifact/']").first.click()


@pytest.mark.parametrize("name", ["train-variants", "retrain"])
def test_the_form_fits_two_screens_and_begins_with_a_choice_of_sweeps(
    page: Page, finished: Finished, name: str
) -> None:
    open_form(page, finished, name)
    expect(page.get_by_text("filter counts to try")).to_be_visible()
    heights = "[...document.querySelectorAll('*')].map(one => one.scrollHeight)"
    assert page.evaluate(f"Math.max(...{heights})") <= 2 * FULL_HD
    assert page.get_by_text('type "None"').count() == 0
    page.locator("button", has_text=NAMED_BY_DEFAULT[name]).focus()
    page.keyboard.press("ArrowDown")
    for choice in NAMED:
        expect(page.get_by_role("option", name=choice, exact=True)).to_be_visible()


def test_a_wrong_value_is_told_at_its_field(page: Page, finished: Finished) -> None:
    open_form(page, finished, "train-variants")
    page.locator("input[type=number]").first.fill("-5")
    page.get_by_role("button", name="Submit").click()
    told = "Validation failed for field 'decide'. Failure reason: -5 is less than the minimum of 0"
    expect(page.get_by_text(told).first).to_be_visible()


def open_form(page: Page, finished: Finished, name: str) -> None:
    (found,) = [one for one in finished.ask("deployments") if one["name"] == name]
    page.goto(f"{finished.ui}/deployments/deployment/{found['id']}/run")


ALONE = """
from pathlib import Path
from cnn_pipeline.settings.sweep import Sweep
from cnn_pipeline.trainers import pool
from flows.train_variants import train_variants
from tests.running import Untrained
pool.TrainerPool = Untrained
sweep = Sweep.model_validate_json(sys.argv[2])
state = train_variants(sweep, home=sys.argv[1], return_state=True)
print(json.dumps([state.name, state.message, len(Untrained.started), counts]))
"""


# The last test: its flow run is one more on the server.
def test_a_flow_that_no_command_called_decides_once_itself(
    home: Home, tmp_path: Path, server: str
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", COUNTING + ALONE, json.dumps(COMPUTED), str(home.root),
         one_trial().model_dump_json()],
        capture_output=True,
        text=True,
        timeout=DEADLINE,
        env=environment(tmp_path, PREFECT_API_URL=f"{server}/api"),
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    name, message, pools, counts = json.loads(done.stdout)
    assert (name, message) == (
        "Failed", "1 of 1 trials failed: f2-max-d16-s0: not trained in this test",
    )  # fmt: skip
    assert pools == 1
    assert counts == counts_of_a_decision(trials=1)
