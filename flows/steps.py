"""Steps of `prefect.yaml`: one when it is deployed, one before a run starts."""

from __future__ import annotations

import os

from prefect.client.orchestration import get_client

from cnn_pipeline.base.files import make_private
from cnn_pipeline.base.home import TRACKING_VARIABLE, resolve_home
from cnn_pipeline.base.redaction import redacted
from cnn_pipeline.services.automations import install_automations
from cnn_pipeline.services.deploying import name_schedules


def prepare_server() -> dict[str, str]:
    """Do what `prefect.yaml` cannot say, and return the tracking server of this environment.

    Its address, as `tracking_server`, is without user and password: the deployment remembers it.
    """
    with get_client(sync_client=True) as client:
        install_automations(client)
        name_schedules(client)
    return {"tracking_server": redacted(os.environ.get(TRACKING_VARIABLE, "").strip())}


def find_home() -> dict[str, str]:
    """The worker's home folder as `path`: CNN_PIPELINE_HOME, else the project's root.

    Found when a run starts, so no deployment holds a path of the machine that deployed it.
    Relative paths in a run's parameters, such as a folder of images, start there.
    """
    home = resolve_home(None, os.environ)
    make_private(home.root)
    return {"path": str(home.root)}
