"""MLflow's server with one change: its pages open for model training.

MLflow's UI has two modes and starts in the one for language models, where an experiment opens as
an empty overview instead of its runs. It keeps the mode in the browser only: no option of
`mlflow server` and no tag of an experiment chooses it. This app, an entry point `mlflow.app` of the
package, sets it on a browser's first visit: `mlflow server --app-name cnn-pipeline`. The switch
in the UI works as before, and what was chosen by it stays.
"""

from __future__ import annotations

from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

from cnn_pipeline.base.errors import UserError

NAME = "cnn-pipeline"
_FIRST_VISIT = """<script>
if (localStorage.getItem("mlflow.workflowType_v1") === null)
  localStorage.setItem("mlflow.workflowType_v1", '"machine_learning"');
</script>"""


def options() -> list[str]:
    """The options of `mlflow server` that make it serve this app.

    Raises:
        UserError: the package was installed before it had the entry point.
    """
    if NAME not in {point.name for point in entry_points(group="mlflow.app")}:
        raise UserError(
            f"the package must be installed with its entry point mlflow.app: {NAME}, which is "
            "missing: it was installed from an older version. Run `make install` (or pip) again."
        )
    return ["--app-name", NAME]


def create_app() -> Any:
    """The FastAPI application that MLflow's uvicorn serves."""
    from flask import Response
    from mlflow.server import app as pages
    from mlflow.server.fastapi_app import app

    page = Path(str(pages.static_folder), "index.html").read_text(encoding="utf-8")
    first, head, rest = page.partition("<head>")
    # A name that MLflow does not document: a KeyError here means that it has changed.
    pages.view_functions["serve"]
    pages.view_functions["serve"] = lambda: Response(
        first + head + _FIRST_VISIT + rest, mimetype="text/html"
    )
    return app
