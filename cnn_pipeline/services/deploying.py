"""Create the work pool and the deployments on a Prefect server."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from cnn_pipeline.base.errors import UserError
from cnn_pipeline.base.home import Home
from cnn_pipeline.services.addresses import POOL, Addresses, project_root
from cnn_pipeline.services.automations import own_flows
from cnn_pipeline.services.environment import client_environment, run_environment, with_inherited
from cnn_pipeline.services.named import named_client
from cnn_pipeline.services.notifying import install_notifications

if TYPE_CHECKING:
    from prefect.client.orchestration import SyncPrefectClient
    from prefect.client.schemas.responses import DeploymentResponse

_DEPLOY_SECONDS = 300


class DeployError(UserError):
    """`prefect deploy` failed."""

    exit_code = 1


@contextlib.contextmanager
def client_for(home: Home, addresses: Addresses) -> Iterator[SyncPrefectClient]:
    """A client of this home's Prefect server; the first one imports Prefect (seconds)."""
    # Prefect reads these on import; without them it writes into the user's own Prefect folder.
    os.environ.update(client_environment(home, addresses))
    from prefect.client.orchestration import SyncPrefectClient

    with SyncPrefectClient(addresses.prefect_api) as client:
        yield client


def deploy(home: Home, addresses: Addresses) -> str:
    """Deploy to this home's Prefect server.

    Changes made in Prefect's UI are kept: paused schedules, parameters of deployments, limits, and
    whether the automation is enabled.

    Returns:
        The output of `prefect deploy`.

    Raises:
        DeployError: the server does not answer or refuses a deployment.
    """
    with client_for(home, addresses) as client:
        return _deploy(client, with_inherited(run_environment(home, addresses), os.environ))


def deploy_to_named() -> str:
    """Deploy, in the same way, to the Prefect server that the user's environment names."""
    with named_client() as client:
        return _deploy(client, os.environ)


def _deploy(client: SyncPrefectClient, environ: Mapping[str, str]) -> str:
    ensure_pool(client)
    given = _parameters(client)
    said = _prefect_deploy(environ)
    _restore_parameters(client, given)
    install_notifications(client)
    return said


def ensure_pool(client: SyncPrefectClient) -> None:
    """Create the work pool; an existing one is not changed. Prefect creates the queues."""
    from prefect.client.schemas.actions import WorkPoolCreate
    from prefect.exceptions import ObjectAlreadyExists
    from prefect.workers.process import ProcessWorker

    with contextlib.suppress(ObjectAlreadyExists):
        client.create_work_pool(
            WorkPoolCreate(
                name=POOL,
                type=ProcessWorker.type,
                description="Runs of cnn-pipeline, as processes on this machine.",
                base_job_template=ProcessWorker.get_default_base_job_template(),
            )
        )


def _prefect_deploy(environ: Mapping[str, str]) -> str:
    root = project_root()
    command = [
        sys.executable, "-m", "prefect", "--no-prompt", "deploy", "--all",
        "--prefect-file", str(root / "prefect.yaml"),
    ]  # fmt: skip
    try:
        done = subprocess.run(
            command,
            cwd=root,
            env=dict(environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=_DEPLOY_SECONDS,
        )
    except subprocess.TimeoutExpired:
        raise DeployError(
            f"`prefect deploy` did not finish within {_DEPLOY_SECONDS} s. "
            "Check Prefect's log, then run `cnn-pipeline deploy` again."
        ) from None
    if done.returncode != 0:
        raise DeployError(f"`prefect deploy` ended with status {done.returncode}:\n{done.stdout}")
    return done.stdout


def own_deployments(client: SyncPrefectClient) -> list[DeploymentResponse]:
    """The deployments of this project's flows; a shared server has those of others, too."""
    return client.read_deployments(flow_filter=own_flows())


def name_schedules(client: SyncPrefectClient) -> None:
    """Give a slug to each schedule made in the UI.

    If a schedule of a deployment has no slug, `prefect deploy` deletes all of that deployment's
    schedules and creates its own: the user's schedules are lost, paused ones become active.
    """
    for deployment in own_deployments(client):
        for schedule in deployment.schedules:
            if schedule.slug is None:
                slug = f"made-by-hand-{str(schedule.id)[:8]}"
                client.update_deployment_schedule(deployment.id, schedule.id, slug=slug)


def _parameters(client: SyncPrefectClient) -> dict[str, dict[str, Any]]:
    """Parameters set in the UI by deployment id; `prefect deploy` resets them."""
    return {
        str(deployment.id): deployment.parameters
        for deployment in own_deployments(client)
        if deployment.parameters
    }


def _restore_parameters(client: SyncPrefectClient, given: Mapping[str, dict[str, Any]]) -> None:
    from prefect.client.schemas.actions import DeploymentUpdate

    for deployment in own_deployments(client):
        kept = given.get(str(deployment.id))
        if kept and deployment.parameters != kept:
            client.update_deployment(deployment.id, DeploymentUpdate(parameters=kept))
