"""The champion over HTTP, in MLflow's scoring protocol."""

from cnn_pipeline.server.process import serve
from cnn_pipeline.serving import DEFAULT_MODEL

__all__ = ["DEFAULT_MODEL", "serve"]
