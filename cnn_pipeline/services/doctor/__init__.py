"""Checks of the installation, its store and its services, each with a remedy."""

from __future__ import annotations

import os
from pathlib import Path

from cnn_pipeline.base.home import Home
from cnn_pipeline.services.control import running
from cnn_pipeline.services.doctor.finding import FAIL, OK, WARN, Finding
from cnn_pipeline.services.doctor.machine import check_data, check_disk, check_versions
from cnn_pipeline.services.doctor.prefect import check_prefect
from cnn_pipeline.services.doctor.servers import check_ports, check_servers
from cnn_pipeline.services.doctor.store import check_prefect_store, check_store

__all__ = ["FAIL", "OK", "WARN", "Finding", "examine"]


def examine(home: Home, cache: Path) -> list[Finding]:
    """Run every check, causes before their consequences. Nothing is changed."""
    found = [
        *check_versions(),
        check_disk(home, cache),
        check_data(cache),
        *check_store(home, os.environ),
        *check_prefect_store(home),
    ]
    now = running(home)
    if now is None:
        return [*found, *check_ports(home)]
    found += check_servers(now)
    if all(finding.level != FAIL for finding in found if finding.name == "prefect"):
        found += check_prefect(home, now.addresses)
    return found
