"""What of the user's shell reaches MLflow, Prefect and every HTTP client: decided here alone.

Both libraries read hundreds of variables, and many shells of people who use them set some:
MLFLOW_RUN_ID or MLFLOW_ACTIVE_MODEL_ID of another program would send records there, and
MLFLOW_REGISTRY_URI would split the registry from the runs. So variables of theirs are dropped that
do not say which server is meant and how to log in. What this project sets for them, it sets later.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable, MutableMapping

MLFLOW = ("MLFLOW_", "_MLFLOW_")
PREFECT = ("PREFECT_",)

# Documented in docs/reference/environment.md. Everything about artifacts is there because they may
# lie in a bucket which MLflow's client asks itself.
KEPT = frozenset(
    {
        "MLFLOW_TRACKING_URI",
        "MLFLOW_TRACKING_USERNAME",
        "MLFLOW_TRACKING_PASSWORD",
        "MLFLOW_TRACKING_TOKEN",
        "MLFLOW_TRACKING_AUTH",
        "MLFLOW_TRACKING_AWS_SIGV4",
        "MLFLOW_TRACKING_INSECURE_TLS",
        "MLFLOW_TRACKING_SERVER_CERT_PATH",
        "MLFLOW_TRACKING_CLIENT_CERT_PATH",
        "MLFLOW_WORKSPACE",
        "MLFLOW_S3_ENDPOINT_URL",
        "MLFLOW_S3_IGNORE_TLS",
        "MLFLOW_S3_UPLOAD_EXTRA_ARGS",
        "PREFECT_API_URL",
        "PREFECT_API_KEY",
        "PREFECT_API_AUTH_STRING",
        "PREFECT_API_SSL_CERT_FILE",
        "PREFECT_API_TLS_INSECURE_SKIP_VERIFY",
        "PREFECT_CLIENT_CUSTOM_HEADERS",
        "PREFECT_HOME",
        "PREFECT_PROFILE",
        "PREFECT_PROFILES_PATH",
        "PREFECT_UI_URL",
    }
)

SOCKS = (
    "the environment names a SOCKS proxy (ALL_PROXY), for which a package is missing: install it "
    'with pip install "httpx[socks]", or unset ALL_PROXY and all_proxy.'
)
_PROXIES = ("http_proxy", "https_proxy", "all_proxy")
_LOOPBACK = ("127.0.0.1", "localhost", "::1")


def foreign(environ: Iterable[str], prefixes: tuple[str, ...]) -> tuple[str, ...]:
    """Names of the variables with these prefixes that must not reach a library, sorted."""
    return tuple(sorted(name for name in environ if name.startswith(prefixes) and name not in KEPT))


@functools.cache  # later there are only those that this project has set
def drop_foreign(prefixes: tuple[str, ...]) -> tuple[str, ...]:
    """Drop them from this process, and so from its children, at the first call.

    Returns:
        The names of what was dropped, also at later calls.
    """
    names = foreign(os.environ, prefixes)
    for name in names:
        del os.environ[name]
    return names


def reach_loopback_directly(environ: MutableMapping[str, str]) -> None:
    """Except the loopback address from the user's proxies, which cannot reach this machine's.

    Every HTTP client here (httpx, requests, urllib) reads these variables, of which that in lower
    case has precedence.
    """
    if not any(environ.get(name) or environ.get(name.upper()) for name in _PROXIES):
        return
    given = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
    hosts = [host.strip() for host in given.split(",") if host.strip()]
    if "*" not in hosts:
        hosts += [host for host in _LOOPBACK if host not in hosts]
    environ["no_proxy"] = environ["NO_PROXY"] = ",".join(hosts)
