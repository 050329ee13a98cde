"""A year of retraining: a real Prefect server, the command line, MLflow's store.

The tests stand in the order of a story and share one home: first model, nothing new, a worse
model, two at once, wrong labels, other data, a promotion by hand and a rollback.

The first retraining and the one that another finds running are commands in processes of their
own. All others run in this process, and their trainers come from the tests' one fork server.
"""

from __future__ import annotations

import datetime
import http
import io
import json
import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest import mock

import httpx
import numpy as np
import pytest
from mlflow.tracking import MlflowClient
from prefect.blocks.notifications import CustomWebhookNotificationBlock
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import DeploymentScheduleCreate
from prefect.client.schemas.filters import DeploymentFilter, DeploymentFilterId
from prefect.client.schemas.objects import FlowRun
from prefect.client.schemas.schedules import IntervalSchedule
from prefect.client.schemas.sorting import FlowRunSort
from prefect.context import refresh_global_settings_context
from prefect.events.worker import EventsWorker
from prefect.flow_engine import load_flow, run_flow
from prefect.logging.handlers import APILogWorker

from cnn_pipeline.base.home import Home, cache_dir
from cnn_pipeline.champion.registry import CHAMPION, PREVIOUS, ModelVersion, Registry
from cnn_pipeline.champion.retraining.settings import load_settings
from cnn_pipeline.cli import launch
from cnn_pipeline.cli.app import status_of
from cnn_pipeline.data.dataset import load_dataset
from cnn_pipeline.services.temporary_prefect import TemporaryServer
from cnn_pipeline.settings.trial import DataSettings
from cnn_pipeline.tracking.store import Store
from tests.e2e.webhook import Webhook
from tests.running import wait_until

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

ROOT = Path(__file__).parent.parent.parent
MODEL = "toy-cnn"
SECRET = "canary-7f3a9c"
SNEAKER, BOOT, BAG = 7, 9, 8

SETTINGS = """
notify = {{ blocks = ["custom-webhook/team"], on = {on} }}
champion_variant = {champion_variant}
[gate]
max_latency_ms = {max_latency_ms}
max_model_bytes = {max_model_bytes}
[sweep]
name = "weekly"
seeds = [0]
[sweep.variant]
filters = {filters}
[sweep.training]
epochs = {epochs}
batch_size = 64
threads = 1
precision = "float32"
[sweep.data]
source = "{source}"
validation_size = 300
"""


@dataclass(frozen=True)
class Story:
    """One home, one Prefect server, one data set that changes."""

    folder: Path
    api: str
    webhook: Webhook
    arrays: Mapping[str, np.ndarray]

    @property
    def home(self) -> Home:
        return Home(self.folder / "home")

    @property
    def registry(self) -> Registry:
        return Registry(Store(self.home.database_uri, None))

    def write_data(self, **changed: np.ndarray) -> None:
        np.savez(self.folder / "toy.npz", **{**self.arrays, **changed})

    def settings(self, **changed: Any) -> Path:
        values = {
            "champion_variant": "false",
            "max_latency_ms": 500.0,
            "max_model_bytes": 50_000_000,
            "filters": 8,
            "epochs": 3,
            "on": '["promoted", "refused", "stopped", "failed", "missed"]',
            "source": self.folder / "toy.npz",
        }
        path = self.folder / "settings.toml"
        path.write_text(SETTINGS.format(**{**values, **changed}), encoding="utf-8")
        return path

    def start(self, *words: str) -> subprocess.Popen[str]:
        """A command in a process of its own."""
        return subprocess.Popen(
            [sys.executable, "-m", "cnn_pipeline.cli", *words, "--home", str(self.home.root)],
            cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip

    def cli(self, *words: str, status: int = 0) -> str:
        """What a command prints that is run in this process."""
        with redirect_stdout(io.StringIO()) as out, redirect_stderr(io.StringIO()) as err:
            ended = status_of([*words, "--home", str(self.home.root)])
        return checked(ended, out.getvalue(), err.getvalue(), status)

    def retrain(self, *words: str, status: int = 0, **settings: Any) -> dict[str, Any]:
        path = self.settings(**settings)
        made = self.cli("retrain", "--settings", str(path), "--json", *words, status=status)
        outcome: dict[str, Any] = json.loads(made)
        return outcome

    def champion(self) -> ModelVersion:
        found = self.registry.by_alias(MODEL, CHAMPION)
        assert found is not None
        return found

    def flow_runs(self) -> list[dict[str, Any]]:
        runs = httpx.post(
            f"{self.api}/flow_runs/filter", json={"sort": "START_TIME_DESC"}, timeout=30
        )
        listed: list[dict[str, Any]] = runs.json()
        return listed

    def artifacts(self, flow_run_id: str) -> dict[str, dict[str, Any]]:
        found = httpx.post(
            f"{self.api}/artifacts/filter",
            json={"artifacts": {"flow_run_id": {"any_": [flow_run_id]}}},
            timeout=30,
        )
        return {item["key"]: item for item in found.json() if item["key"]}


def checked(ended: int | None, out: str, err: str, status: int = 0) -> str:
    """What a command has printed; it has ended with this status and tells no secret."""
    assert ended == status, out + err
    assert SECRET not in out + err
    return out if status in (0, 1) and out else err


@contextmanager
def prefect_at(api: str, folder: Path) -> Iterator[None]:
    """This process and its children use this server and none of the user's folders and servers."""
    with mock.patch.dict(os.environ):
        for name in list(os.environ):
            if name.startswith(("PREFECT", "MLFLOW_", "CNN_PIPELINE_")):
                del os.environ[name]
        os.environ |= {"PREFECT_API_URL": api, "PREFECT_HOME": str(folder)}
        refresh_global_settings_context()
        yield
        # Threads that still have something to send would try to for minutes.
        for service in (EventsWorker, APILogWorker):
            service.drain_all(timeout=5)
    refresh_global_settings_context()


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory, shared_trainers: None) -> Iterator[Story]:
    folder = tmp_path_factory.mktemp("story")
    sample = load_dataset(DataSettings(source="fashion-mnist-sample", validation_size=100), folder)
    arrays = {
        "x_train": np.concatenate([sample.train.images, sample.validation.images]),
        "y_train": np.concatenate([sample.train.labels, sample.validation.labels]),
        "x_test": sample.test.images,
        "y_test": sample.test.labels,
    }
    server = TemporaryServer(folder / "server", cache_dir(os.environ))
    made = Story(folder, server.url, Webhook(), arrays)
    try:
        server.wait()
        with prefect_at(server.url, folder / "prefect"):
            CustomWebhookNotificationBlock(
                name="team",
                url=made.webhook.url,
                json_data={"text": "{{subject}} | {{body}}", "token": "{{token}}"},
                secrets={"token": SECRET},
            ).save("team")
            made.write_data()
            yield made
    finally:
        server.stop()
        made.webhook.server.shutdown()


def failed_rules(outcome: Mapping[str, Any]) -> list[str]:
    return [rule["name"] for rule in outcome["gate"]["rules"] if not rule["passed"]]


def test_the_first_model_is_promoted_and_everything_links_to_everything(story: Story) -> None:
    first = story.start("retrain", "--settings", str(story.settings()), "--json")
    out, err = first.communicate(timeout=600)
    outcome = json.loads(checked(first.returncode, out, err))
    assert (outcome["ending"], outcome["champion_before"], outcome["champion_after"]) == (
        "promoted", None, 1,
    )  # fmt: skip
    champion = story.champion()
    run = MlflowClient(story.home.database_uri).get_run(champion.run_id)
    (flow_run,) = story.flow_runs()
    assert (flow_run["state"]["type"], flow_run["state"]["name"]) == ("COMPLETED", "Promoted")
    # The model version names the run, the flow run and the data; the run names the flow run.
    assert champion.tags["prefect.flow_run_id"] == flow_run["id"]
    assert run.data.tags["prefect.flow_run_id"] == flow_run["id"]
    assert run.data.tags["prefect.flow_run_url"] == champion.tags["prefect.flow_run_url"]
    assert champion.data_digest == run.data.tags["data_digest"]
    assert champion.run_id in champion.tags["run_url"]
    assert float(champion.tags["test_accuracy"]) == run.data.metrics["test_accuracy"]
    # The flow run shows the gate and links to MLflow.
    shown = story.artifacts(flow_run["id"])
    assert champion.run_id in shown["challenger"]["data"]
    assert "first champion" in shown["retraining"]["data"]
    rules = json.loads(shown["gate"]["data"])
    assert {"rule": "loads from the registry", "passed": "yes"}.items() <= rules[0].items()
    # The parent run has the report as note and as HTML.
    client = MlflowClient(story.home.database_uri)
    parent = client.get_run(outcome["parent_run_id"])
    assert "is the first champion" in parent.data.tags["mlflow.note.content"]
    names = {item.path for item in client.list_artifacts(outcome["parent_run_id"])}
    assert {"retraining.html", "retraining.md", "retraining.json"} <= names
    # People are told, with the block's secret, which is nowhere else.
    assert [message["token"] for message in story.webhook.messages] == [SECRET]
    assert story.webhook.messages[0]["text"].startswith(
        "retrain: promoted | f8-max-s0 (version 1) is the first champion"
    )
    assert SECRET.encode() not in story.home.database.read_bytes()
    assert SECRET not in json.dumps(flow_run) + json.dumps(shown)


def test_unchanged_data_settings_and_code_train_nothing(story: Story) -> None:
    logs = set((story.home.state / "logs").iterdir())
    outcome = story.retrain()
    assert (outcome["ending"], outcome["message"]) == (
        "unchanged", "nothing changed since version 1",
    )  # fmt: skip
    assert set((story.home.state / "logs").iterdir()) == logs, "no trainer has been started"
    newest = story.flow_runs()[0]
    assert newest["state"]["message"] == "nothing changed since version 1"
    assert newest["state"]["type"] == "COMPLETED"
    assert len(story.webhook.messages) == 1


def test_a_misspelt_block_is_an_error_before_anything_is_trained(story: Story) -> None:
    logs = set((story.home.state / "logs").iterdir())
    said = story.cli("retrain", "--force", "--notify", "custom-webhook/teem", status=2)
    assert "no notification block 'custom-webhook/teem' at http://" in said
    assert "there are custom-webhook/team; did you mean 'custom-webhook/team'?" in said
    assert set((story.home.state / "logs").iterdir()) == logs, "no trainer has been started"
    assert story.flow_runs()[0]["state"]["type"] == "FAILED"
    assert len(story.webhook.messages) == 1


def test_a_block_is_tried_and_blocks_are_listed(story: Story) -> None:
    assert story.cli("notify") == "custom-webhook/team\n"
    told = len(story.webhook.messages)
    assert story.cli("notify", "--test", "custom-webhook/team") == (
        "sent: custom-webhook/team accepted the message\n"
    )
    assert story.webhook.messages.pop(told)["text"].startswith("cnn-pipeline: test | ")
    story.webhook.status = http.HTTPStatus.BAD_GATEWAY
    try:
        said = story.cli("notify", "--test", "custom-webhook/team", status=1)
    finally:
        story.webhook.status = http.HTTPStatus.NO_CONTENT
        story.webhook.messages.pop()
    assert "custom-webhook/team could not send: HTTPStatusError, HTTP status 502" in said


def test_a_worse_model_is_refused_and_a_second_retraining_is_skipped_meanwhile(
    story: Story,
) -> None:
    path = story.settings(filters=2, epochs=1)
    first = story.start("retrain", "--settings", str(path), "--json")
    try:
        holder = story.home.state / "retrain.json"
        wait_until(holder.exists, "the first retraining to hold the lock")
        second = story.cli("retrain", "--settings", str(path), "--json", "--force")
        skipped = json.loads(second)
        assert skipped["ending"] == "skipped"
        assert f"another retraining runs (process {first.pid}, since" in skipped["message"]
    finally:
        out, err = first.communicate(timeout=600)
    outcome = json.loads(checked(first.returncode, out, err))
    assert (outcome["ending"], outcome["champion_after"]) == ("refused", 1)
    assert outcome["change"]["what"] == ["configuration"]
    assert "more accurate than the champion" in failed_rules(outcome)
    states = {run["state"]["name"]: run["state"] for run in story.flow_runs()[:2]}
    assert states.keys() == {"Skipped", "Refused"}
    # The same sentence everywhere.
    message = outcome["message"]
    assert re.match(
        r"Refused: (less|not significantly more) accurate than the champion \(", message
    )
    assert states["Refused"]["message"] == message
    why = message.removeprefix("Refused: ")
    assert story.registry.version(MODEL, outcome["challenger"]).tags["why"] == why
    assert f"version 2 refused (champion stays 1): {why}" in story.cli("history")
    assert [item["text"].splitlines()[0] for item in story.webhook.messages[1:]] == [
        f"retrain: refused | {message}"
    ]


def test_swapped_labels_and_budgets_are_refused_with_every_reason(story: Story) -> None:
    """Bags and boots have changed places in the training files; the test files are right."""
    labels = story.arrays["y_train"].copy()
    labels[story.arrays["y_train"] == BAG] = BOOT
    labels[story.arrays["y_train"] == BOOT] = BAG
    story.write_data(y_train=labels)
    told = len(story.webhook.messages)
    outcome = story.retrain(max_latency_ms=0.0001, max_model_bytes=1000, on='["promoted"]')
    assert len(story.webhook.messages) == told, "nobody wants to be told of refusals"
    assert (outcome["ending"], outcome["champion_after"]) == ("refused", 1)
    assert outcome["change"]["what"] == ["data", "configuration"]
    assert failed_rules(outcome) == [
        "latency", "size", "more accurate than the champion", "no class loses recall",
    ]  # fmt: skip


def test_labels_swapped_everywhere_are_seen_by_the_champion(story: Story) -> None:
    """A challenger learns the swap and is better; that the champion falls gives it away."""
    swap = np.arange(10)
    swap[[BAG, BOOT, SNEAKER]] = BOOT, SNEAKER, BAG
    story.write_data(y_train=swap[story.arrays["y_train"]], y_test=swap[story.arrays["y_test"]])
    outcome = story.retrain()
    assert (outcome["ending"], outcome["champion_after"]) == ("refused", 1)
    failed = failed_rules(outcome)
    assert "more accurate than the champion" not in failed
    assert "the champion still knows the test images" in failed


def test_data_of_another_kind_stop_the_retraining_and_people_are_told(story: Story) -> None:
    keep = (story.arrays["y_train"] != BAG) | (np.arange(len(story.arrays["y_train"])) % 10 == 0)
    story.write_data(x_train=story.arrays["x_train"][keep], y_train=story.arrays["y_train"][keep])
    told = len(story.webhook.messages)
    outcome = story.retrain(status=1)
    assert (outcome["ending"], outcome["champion_after"]) == ("stopped", 1)
    assert "label shares of the training images: required Cramer's V" in outcome["message"]
    newest = story.flow_runs()[0]
    assert (newest["state"]["type"], newest["state"]["name"]) == ("FAILED", "Stopped")
    assert "NO" in story.artifacts(newest["id"])["retraining"]["data"]
    assert story.webhook.messages[told]["text"].startswith(
        "retrain: stopped | weekly: the new data"
    )


def test_a_vanished_class_stops_the_retraining_with_a_report(story: Story) -> None:
    keep = story.arrays["y_train"] != BAG
    story.write_data(x_train=story.arrays["x_train"][keep], y_train=story.arrays["y_train"][keep])
    # Not through the command line, which would refuse such files before any flow: on a schedule
    # nobody looks before.
    outcome = launch.run_retrain(load_settings(story.settings()), story.home)
    assert outcome.ending == "stopped"
    assert outcome.message.startswith("the data of ")
    known = ", ".join(str(label) for label in range(10) if label != BAG)
    assert f"must be among those of y_train, {known}, received {BAG}" in outcome.message
    newest = story.flow_runs()[0]
    assert (newest["state"]["type"], newest["state"]["name"]) == ("FAILED", "Stopped")
    assert "were refused" in story.artifacts(newest["id"])["retraining"]["data"]
    assert story.champion().version == 1


def test_promotion_by_hand_rollback_and_history(story: Story) -> None:
    refused = story.registry.version(MODEL, 2)
    assert "version 2 is now the champion; version 1 is 'previous'" in story.cli(
        "promote", refused.run_id, "--why", "a smaller one is wanted"
    )
    assert story.champion().version == 2
    assert "version 1 is the champion again" in story.cli("rollback", "--why", "it was too small")
    previous = story.registry.by_alias(MODEL, PREVIOUS)
    assert (story.champion().version, previous and previous.version) == (1, 2)
    decisions = json.loads(story.cli("history", "--json"))["decisions"]
    assert [item["action"] for item in decisions] == [
        "promote", "refuse", "refuse", "refuse", "promote", "rollback",
    ]  # fmt: skip
    assert [item["why"] for item in decisions[-2:]] == [
        "a smaller one is wanted", "it was too small",
    ]  # fmt: skip
    text = story.cli("champion")
    for known in (f"{MODEL} version 1", story.champion().data_digest, "flow run", "code digest"):
        assert known in text


def test_a_candidate_that_diverges_fails_the_retraining_and_keeps_the_champion(
    story: Story,
) -> None:
    story.write_data()
    path = story.settings()
    path.write_text(
        path.read_text("utf-8").replace(
            "[sweep.training]", '[sweep.training]\noptimizer = "sgd"\nlearning_rate = 10.0'
        ).replace("filters = 8", 'filters = 8\nconv_layers = 6\npadding = "same"\n'
                  'pooling = "none"\ndense_units = 64'),
        encoding="utf-8",
    )  # fmt: skip
    outcome = json.loads(
        story.cli("retrain", "--settings", str(path), "--json", "--force", status=1)
    )
    assert (outcome["ending"], outcome["champion_after"]) == ("failed", 1)
    assert "no candidate finished" in outcome["message"]
    assert story.webhook.messages[-1]["text"].startswith("retrain: failed | weekly: no candidate")


def test_a_retraining_that_died_while_it_scored_goes_on_with_its_candidates(
    story: Story,
) -> None:
    def sweeps() -> list[str]:
        client = MlflowClient(story.home.database_uri)
        ids = [one.experiment_id for one in client.search_experiments()]
        return [run.info.run_id for run in client.search_runs(ids, "tags.kind = 'sweep'")]

    scoring = "cnn_pipeline.champion.retraining.steps.score_both"
    path = str(story.settings())
    with mock.patch(scoring, side_effect=RuntimeError("the machine is gone")):
        said = story.cli("retrain", "--settings", path, "--force", status=1)
    assert "the machine is gone" in said
    before = sweeps()
    outcome = story.retrain("--force")
    assert outcome["ending"] in ("promoted", "refused")
    assert sweeps() == before, "its candidates were trained again"
    assert outcome["parent_run_id"] == before[0]
    again = story.retrain("--force")  # it is decided, so the next one trains its own
    assert again["parent_run_id"] not in before


def test_a_backlog_of_slots_is_skipped_with_the_reason(story: Story) -> None:
    """After an outage every missed slot is started, the oldest first."""
    settings = tomllib.loads(story.settings().read_text("utf-8"))
    now = datetime.datetime.now(datetime.UTC)
    with SyncPrefectClient(story.api) as client:
        deployment = client.create_deployment(
            client.create_flow_from_name("retrain"),
            name="weekly",
            entrypoint="flows.retrain.retrain",
            path=str(ROOT),
            parameters={
                "sweep": settings["sweep"],
                "notify": settings["notify"],
                "advanced": {"gate": settings["gate"], "stale_after_minutes": 150},
                "home": str(story.home.root),
            },
            enforce_parameter_schema=False,
            schedules=[
                DeploymentScheduleCreate(
                    schedule=IntervalSchedule(interval=datetime.timedelta(hours=1)), active=True
                )
            ],
        )
        asked = httpx.post(
            f"{story.api}/deployments/{deployment}/schedule",
            json={
                "start_time": (now - datetime.timedelta(hours=5)).isoformat(),
                "end_time": now.isoformat(),
                "min_runs": 10,
            },
            timeout=30,
        )
        assert asked.is_success, asked.text
        slots = client.read_flow_runs(
            deployment_filter=DeploymentFilter(id=DeploymentFilterId(any_=[deployment])),
            sort=FlowRunSort.EXPECTED_START_TIME_ASC,
        )
        assert len(slots) == 5

        def end(slot: FlowRun) -> tuple[str, str]:
            run_flow(load_flow(slot), flow_run=slot)
            state = client.read_flow_run(slot.id).state
            assert state is not None and state.is_completed()
            return state.name or "", state.message or ""

        told = len(story.webhook.messages)
        name, said = end(slots[0])
        assert name == "Skipped"
        assert re.search(r"5 h( \d min)? old, more than the 150 minutes", said)
        name, said = end(slots[-2])
        assert name == "Skipped" and "superseded by the one of" in said
        assert len(story.webhook.messages) == told, "the newest slot is still to come"
        for slot in slots[2:]:
            client.delete_flow_run(slot.id)
        name, said = end(slots[1])
        assert name == "Missed" and said.startswith("missed: its slot of 2")
    assert [item["text"].splitlines()[0] for item in story.webhook.messages[told:]] == [
        f"retrain: missed | {said}"
    ]
