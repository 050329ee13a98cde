"""Checks of the services' processes and servers."""

from __future__ import annotations

import httpx

from cnn_pipeline.base import versions
from cnn_pipeline.services.control import Running
from cnn_pipeline.services.doctor.finding import Finding, fail, ok, warn

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
