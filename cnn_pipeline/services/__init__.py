"""Prefect's server, MLflow's server and a worker on this machine: started, watched, stopped."""

from cnn_pipeline.services.control import Running, bring_up, detach, running, take_down
from cnn_pipeline.services.deploying import deploy
from cnn_pipeline.services.place import Addresses, Ports, ServiceFolder

__all__ = [
    "Addresses",
    "Ports",
    "Running",
    "ServiceFolder",
    "bring_up",
    "deploy",
    "detach",
    "running",
    "take_down",
]
