"""Checks of the services' processes and servers, and of their ports if none run."""

from __future__ import annotations

import httpx

from cnn_pipeline.base import versions
from cnn_pipeline.base.home import Home
from cnn_pipeline.services.addresses import Ports
from cnn_pipeline.services.control import Running
from cnn_pipeline.services.doctor.finding import Finding, fail, ok, warn
from cnn_pipeline.services.loopback import port_is_free

_SECONDS = 10


def check_servers(now: Running) -> list[Finding]:
    """Check each service's processes, then whether the servers answer."""
    found = []
    if not now.ready:
        found.append(warn("services", "starting", "wait a minute, then run doctor again"))
    for name, alive in now.services.items():
        if alive:
            found.append(ok("services", f"{name} runs"))
        else:
            found.append(
                fail(
                    "services",
                    f"{name} does not run",
                    f"wait: it is restarted automatically. If that fails, read {name}.log and "
                    "restart the services: cnn-pipeline down, cnn-pipeline up",
                )
            )
    found.append(_answer("prefect", now.addresses.prefect_api, "/admin/version"))
    found.append(_answer("mlflow", now.addresses.mlflow, "/version"))
    return found


def _answer(package: str, address: str, page: str) -> Finding:
    """Check that a server answers, with the version that is installed here."""
    try:
        answer = httpx.get(f"{address}{page}", timeout=_SECONDS).raise_for_status()
    except httpx.HTTPError as error:
        return fail(
            package,
            f"{address} must answer, received: {error or type(error).__name__}",
            "restart the services: cnn-pipeline down, cnn-pipeline up; nothing is lost",
        )
    installed, served = versions.versions()[package], answer.text.strip().strip('"')
    if served != installed:
        return fail(
            package,
            f"{address} runs {package} {served}, but {installed} is installed",
            "restart the services: cnn-pipeline down, cnn-pipeline up",
        )
    return ok(package, f"{address} answers, version {served}")


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
