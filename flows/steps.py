"""Steps that a deployment in `prefect.yaml` takes before its flow starts."""

from __future__ import annotations

import os

from cnn_pipeline.base.home import resolve_home


def find_home() -> dict[str, str]:
    """The worker's home folder as `path`: CNN_PIPELINE_HOME, else the project's root.

    Found when a run starts, so no deployment holds a path of the machine that deployed it.
    Relative paths in a run's parameters, such as a folder of images, start there.
    """
    home = resolve_home(None, os.environ)
    home.root.mkdir(parents=True, exist_ok=True)
    return {"path": str(home.root)}
