"""Check of the ports, if no services run."""

from __future__ import annotations

from cnn_pipeline.base.home import Home
from cnn_pipeline.services.addresses import Ports
from cnn_pipeline.services.doctor.finding import Finding, ok, warn
from cnn_pipeline.services.loopback import port_is_free


def check_ports(home: Home) -> list[Finding]:
    """Check that the ports of `cnn-pipeline up` are free."""
    found = [
        warn(
            "services",
            f"nothing runs under {home.root}, so scheduled runs do not start",
            "start the services: cnn-pipeline up",
        )
    ]
    ports = Ports()
    for flag, port in (("--prefect-port", ports.prefect), ("--mlflow-port", ports.mlflow)):
        if port_is_free(port):
            found.append(ok("ports", f"{port} is free"))
        else:
            remedy = f"stop that program, or: cnn-pipeline up {flag} N"
            found.append(warn("ports", f"{port} is in use by another program", remedy))
    return found
