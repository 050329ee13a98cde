"""The processes, and the addresses at which they must answer."""

from __future__ import annotations

import httpx

from cnn_pipeline.base import versions
from cnn_pipeline.services.control import Running
from cnn_pipeline.services.doctor.finding import Finding, fail, ok, warn

_SECONDS = 10


def check_servers(now: Running) -> list[Finding]:
    """Each service's processes, then what the servers answer."""
    found = []
    if not now.ready:
        found.append(warn("services", "they are being started", "wait a minute, then look again"))
    for name, alive in now.services.items():
        if alive:
            found.append(ok("services", f"{name} runs"))
        else:
            found.append(
                fail(
                    "services",
                    f"{name} does not run",
                    f"it is started again by itself; if it stays so, read its log {name}.log and: "
                    "cnn-pipeline down, cnn-pipeline up",
                )
            )
    found.append(_answer("prefect", now.addresses.prefect_api, "/admin/version"))
    found.append(_answer("mlflow", now.addresses.mlflow, "/version"))
    return found


def _answer(package: str, address: str, page: str) -> Finding:
    """Whether a server answers, in the version that is installed here."""
    try:
        answer = httpx.get(f"{address}{page}", timeout=_SECONDS).raise_for_status()
    except httpx.HTTPError as error:
        return fail(
            package,
            f"{address} must answer, received: {error or type(error).__name__}",
            "restart everything: cnn-pipeline down, cnn-pipeline up; nothing is lost",
        )
    installed, served = versions.versions()[package], answer.text.strip().strip('"')
    if served != installed:
        return fail(
            package,
            f"{address} serves {package} {served}, installed is {installed}",
            "restart everything: cnn-pipeline down, cnn-pipeline up",
        )
    return ok(package, f"{address} answers, version {served}")
