"""Ask a server that the user has named before anything waits for it: libraries wait for minutes."""

from __future__ import annotations

import socket
from urllib.parse import urlsplit

from cnn_pipeline.base.redaction import redacted

SECONDS = 8.0
"""How long a server may take to accept a connection, or to answer its first question."""
_DATABASE_PORTS = {"postgresql": 5432, "mysql": 3306, "mssql": 1433}


def silence(address: str, page: str = "", seconds: float = SECONDS) -> str:
    """Why a server does not answer; empty if it does, or if `address` names none.

    Whatever an HTTP server answers is an answer, also that the page is missing or needs a password.
    So is a certificate that is not known here: the libraries have settings for it. Of a database
    server only the port is asked.
    """
    if address.startswith(("http://", "https://")):
        return _silent_page(f"{address.rstrip('/')}{page}", seconds)
    try:
        parts = urlsplit(address)
        port = parts.port or _DATABASE_PORTS.get(parts.scheme.partition("+")[0])
        if not parts.hostname or port is None:
            return ""
        socket.create_connection((parts.hostname, port), seconds).close()
    except ValueError:  # no address: the library says so
        return ""
    except OSError as error:
        return short(error)
    return ""


def _silent_page(address: str, seconds: float) -> str:
    import httpx

    try:
        with httpx.stream("GET", address, timeout=seconds):
            return ""
    except httpx.TimeoutException:
        return f"timed out after {seconds:.0f} s"
    except httpx.TransportError as error:
        said = str(error).lower()
        return "" if "certificate" in said or "[ssl" in said else short(error)
    except (httpx.InvalidURL, ImportError, ValueError):  # an address or a proxy that is none
        return ""


def short(error: Exception) -> str:
    """The first line of an error, without secrets; its kind if it says nothing."""
    return redacted(str(error).strip().partition("\n")[0]) or type(error).__name__
