"""Checks of the services and of servers that the user's environment names; of ports if none run."""

from __future__ import annotations

import os

import httpx

from cnn_pipeline.base import versions
from cnn_pipeline.base.errors import UserError
from cnn_pipeline.base.home import TRACKING_VARIABLE, Home
from cnn_pipeline.base.links import check_address
from cnn_pipeline.base.reachable import short, silence
from cnn_pipeline.base.redaction import redacted
from cnn_pipeline.services.addresses import Ports
from cnn_pipeline.services.doctor.finding import FAIL, Finding, fail, failed, ok, warn
from cnn_pipeline.services.loopback import port_is_free
from cnn_pipeline.services.named import api_remedy, named_client
from cnn_pipeline.services.running import Running
from cnn_pipeline.services.supervisor import is_server
from cnn_pipeline.tracking.store import StoreError, open_store

_SECONDS = 10
# Asking connects, then waits for the answer: together less than ten seconds.
_NAMED_SECONDS = 4.0


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
    if "mlflow" in now.services:  # else `up` was started with a server of the user's
        found.append(_answer("mlflow", now.addresses.mlflow, "/version"))
    return found


def check_named_prefect(api: str) -> Finding:
    """Ask the Prefect server that PREFECT_API_URL or Prefect's profile names."""
    shown = redacted(api)
    remedy = api_remedy()
    try:
        with named_client(_NAMED_SECONDS) as client:
            served = str(client.request("GET", "/admin/version").json())
    except httpx.HTTPStatusError as error:
        status = f"{error.response.status_code} {error.response.reason_phrase}"
        if error.response.status_code == httpx.codes.UNAUTHORIZED:
            remedy = "set PREFECT_API_AUTH_STRING to its user and password: user:password"
        return fail("prefect", f"{shown} must answer, received: {status}", remedy)
    except (httpx.HTTPError, ValueError) as error:
        return fail("prefect", f"{shown} must answer, received: {short(error)}", remedy)
    return _compared("prefect", shown, served)


def require_named_prefect(api: str) -> None:
    """Ask that server before it is used: Prefect's client would ask a dead one for a minute.

    Raises:
        UserError: it does not answer.
    """
    answer = check_named_prefect(api)
    if answer.level == FAIL:
        raise UserError(f"{answer.message}. {answer.remedy[0].upper()}{answer.remedy[1:]}.")


def check_named_store(uri: str, home: Home) -> list[Finding]:
    """Ask the tracking server or the database that MLFLOW_TRACKING_URI names.

    Raises:
        InvalidInput: its password is not percent-encoded.
    """
    check_address(TRACKING_VARIABLE, uri)
    # For this process only: else MLflow waits for minutes and tries again.
    os.environ["MLFLOW_HTTP_REQUEST_TIMEOUT"] = f"{_NAMED_SECONDS:.0f}"
    os.environ["MLFLOW_HTTP_REQUEST_MAX_RETRIES"] = "0"
    shown = redacted(uri)
    served = reason = ""
    if is_server(uri):
        try:
            answer = httpx.get(f"{uri.rstrip('/')}/version", timeout=_NAMED_SECONDS)
            served = answer.text.strip() if answer.is_success else ""
        except httpx.TransportError as error:
            reason = short(error)
    else:
        reason = silence(uri, seconds=_NAMED_SECONDS)
    # MLflow knows certificates and passwords that the question above does not.
    if not reason or "certificate" in reason.lower():
        try:
            open_store(home, {TRACKING_VARIABLE: uri})
        except StoreError as error:
            return [failed("store", error, f"correct or unset {TRACKING_VARIABLE}")]
        found = [ok("store", f"{shown} answers: runs are written there")]
        return [*found, _compared("mlflow", shown, served)] if served else found
    remedy = f"start it, or correct or unset {TRACKING_VARIABLE}"
    return [fail("store", f"{shown} must answer, received: {reason}", remedy)]


def _compared(package: str, shown: str, served: str) -> Finding:
    """Compare a team's server with what is installed here."""
    installed = versions.versions()[package]
    if served == installed:
        return ok(package, f"{shown} answers, version {served}")
    return warn(
        package,
        f"{shown} runs {package} {served}, but {installed} is installed",
        "install the same version on both machines",
    )


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
