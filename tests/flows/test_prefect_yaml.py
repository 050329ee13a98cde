"""`prefect.yaml` against Prefect's own models. Prefect ignores what it does not know: a typo would
be a schedule that never fires."""

from __future__ import annotations

import copy
import importlib
import inspect
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from prefect import Flow
from prefect.cli.deploy._models import (
    ConcurrencyLimitSpec,
    DeploymentConfig,
    PrefectYamlModel,
    RawScheduleConfig,
    WorkPoolConfig,
)
from prefect.cli.deploy._triggers import DeploymentTriggerAdapter
from prefect.client.schemas.objects import ConcurrencyLimitStrategy
from prefect.client.schemas.schedules import CronSchedule
from prefect.events.schemas.deployment_triggers import DeploymentEventTrigger
from prefect.utilities.templating import PlaceholderType, find_placeholders
from prefect.workers.process import ProcessVariables
from pydantic import BaseModel

from cnn_pipeline.services.automations import FLOWS

Document = dict[str, Any]
FILE = Path(__file__).parent.parent.parent / "prefect.yaml"


def read() -> Document:
    document: Document = yaml.safe_load(FILE.read_text(encoding="utf-8"))
    return document


def known(model: type[BaseModel]) -> set[str]:
    return {field.alias or name for name, field in model.model_fields.items()}


def parts(document: Document) -> Iterator[tuple[str, Document, set[str]]]:
    """Each mapping of the file that Prefect reads, with the keys that Prefect knows there."""
    yield "file", document, known(PrefectYamlModel) | {"definitions"}
    for deployment in document["deployments"]:
        name = deployment["name"]
        yield name, deployment, known(DeploymentConfig)
        pool = deployment["work_pool"]
        yield f"{name}.work_pool", pool, known(WorkPoolConfig)
        yield f"{name}.job_variables", pool["job_variables"], known(ProcessVariables)
        limit = deployment.get("concurrency_limit", {})
        yield f"{name}.concurrency_limit", limit, known(ConcurrencyLimitSpec)
        for schedule in deployment.get("schedules", []):
            yield f"{name}.schedule", schedule, known(RawScheduleConfig)
        for trigger in deployment.get("triggers", []):
            yield f"{name}.trigger", trigger, known(DeploymentEventTrigger)


def unknown_keys(document: Document) -> list[str]:
    return [
        f"{where}: {key}" for where, part, keys in parts(document) for key in sorted({*part} - keys)
    ]


def by_name(name: str) -> Document:
    (found,) = [item for item in read()["deployments"] if item["name"] == name]
    deployment: Document = found
    return deployment


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from (key, *strings(item))
    elif isinstance(value, list):
        for item in value:
            yield from strings(item)
    elif isinstance(value, str):
        yield value


DEPLOYMENTS = [deployment["name"] for deployment in read()["deployments"]]


def test_prefect_knows_every_key() -> None:
    document = read()
    assert unknown_keys(document) == []
    assert len(PrefectYamlModel.model_validate(document).deployments) == len(DEPLOYMENTS)


def test_the_three_deployments_are_there() -> None:
    assert DEPLOYMENTS == ["train-variants", "retrain", "watch-data"]


def test_the_heartbeats_of_every_flow_are_watched() -> None:
    assert tuple(DEPLOYMENTS) == FLOWS


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda d: d.update(deployment=[]), "file: deployment"),
        (lambda d: d["deployments"][1].update(schedule_s=[]), "retrain: schedule_s"),
        (lambda d: d["deployments"][0]["work_pool"].update(queue="x"), "work_pool: queue"),
        (
            lambda d: d["deployments"][0]["work_pool"]["job_variables"].update(environ={}),
            "job_variables: environ",
        ),
        (
            lambda d: d["deployments"][1]["concurrency_limit"].update(strategy="ENQUEUE"),
            "concurrency_limit: strategy",
        ),
        (lambda d: d["deployments"][1]["schedules"][0].update(tz="UTC"), "schedule: tz"),
        (lambda d: d["deployments"][1]["triggers"][0].update(expects=[]), "trigger: expects"),
    ],
)
def test_a_typo_is_found_at_every_level(change: Callable[[Document], None], told: str) -> None:
    document = copy.deepcopy(read())
    change(document)
    assert any(told in fault for fault in unknown_keys(document))


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_an_entrypoint_is_a_flow_of_the_installed_package(name: str) -> None:
    entrypoint = by_name(name)["entrypoint"]
    assert ":" not in entrypoint and "/" not in entrypoint  # a module path, wherever it runs
    module, _, attribute = entrypoint.rpartition(".")
    flow = getattr(importlib.import_module(module), attribute)
    assert isinstance(flow, Flow)
    assert flow.name == name


@pytest.mark.parametrize("name", DEPLOYMENTS)
def test_a_deployment_sets_no_hyperparameters_and_no_tracking_server(name: str) -> None:
    deployment = by_name(name)
    assert "parameters" not in deployment
    assert deployment["work_pool"]["name"] == "cnn-pipeline"
    # It would override the worker's own.
    assert "MLFLOW_TRACKING_URI" not in deployment["work_pool"]["job_variables"]["env"]


def test_sweeps_have_no_limit_and_the_others_run_one_at_a_time() -> None:
    limits = {name: by_name(name).get("concurrency_limit") for name in DEPLOYMENTS}
    assert limits.pop("train-variants") is None
    for item in limits.values():
        limit = ConcurrencyLimitSpec.model_validate(item)
        assert limit.limit == 1
        assert limit.collision_strategy == ConcurrencyLimitStrategy.ENQUEUE.value


def test_schedules_have_a_slug_and_utc_and_can_be_paused_for_good() -> None:
    schedules = {
        deployment["name"]: deployment.get("schedules", []) for deployment in read()["deployments"]
    }
    assert {name: [item["slug"] for item in items] for name, items in schedules.items()} == {
        "train-variants": [],
        "retrain": ["weekly"],
        "watch-data": ["hourly"],
    }
    for schedule in (item for items in schedules.values() for item in items):
        assert "active" not in schedule
        assert RawScheduleConfig.model_validate(schedule).timezone == "UTC"
        CronSchedule(cron=schedule["cron"], timezone=schedule["timezone"])


def test_changed_data_start_the_retraining() -> None:
    from flows.watch_data import CHANGED, resource_id

    trigger = DeploymentTriggerAdapter.validate_python(
        {"name": "t", **by_name("retrain")["triggers"][0]}
    )
    assert isinstance(trigger, DeploymentEventTrigger)
    assert trigger.expect == {CHANGED}
    assert trigger.match.matches({"prefect.resource.id": resource_id("fashion-mnist")})
    assert not trigger.match.matches({"prefect.resource.id": "prefect.flow-run.1"})


@pytest.mark.parametrize("when", ["build", "pull"])
def test_the_steps_can_be_imported_and_called_as_written(when: str) -> None:
    for step in read()[when]:
        ((name, given),) = step.items()
        module, _, attribute = name.rpartition(".")
        function = getattr(importlib.import_module(module), attribute)
        arguments = {key: value for key, value in given.items() if key not in ("id", "requires")}
        inspect.signature(function).bind(**arguments)


def test_the_home_folder_is_found_where_the_run_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from flows.steps import find_home

    monkeypatch.setenv("CNN_PIPELINE_HOME", str(tmp_path / "new"))
    assert find_home() == {"path": str(tmp_path / "new")}
    assert (tmp_path / "new").is_dir()


def test_nothing_of_this_machine_is_in_the_file() -> None:
    document = read()
    texts = [*strings(document)]
    assert str(Path.home()) not in FILE.read_text(encoding="utf-8")
    assert not [text for text in texts if text.startswith(("/", "~"))]
    placeholders = {found for text in texts for found in find_placeholders(text)}
    assert {found.full_match for found in placeholders} == {
        "{{ home.path }}",
        "{{ server.tracking_server }}",
    }
    assert {found.type for found in placeholders} == {PlaceholderType.STANDARD}
