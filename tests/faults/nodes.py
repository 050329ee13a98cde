"""Nodes of a Ray cluster on this machine, each with an address and folders of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

import psutil

from tests.flows.test_flow import environment
from tests.running import wait_until

ROOT = Path(__file__).parent.parent.parent
_START = [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", "--disable-usage-stats",
          "--object-store-memory=100000000", "--include-log-monitor=false"]  # fmt: skip
_STARTED = "Ray runtime started."


@dataclass(frozen=True)
class RayNode:
    """A node, which has its current folder, its cache and its log below `folder`."""

    folder: Path
    process: psutil.Process
    """The parent of all that runs there."""
    address: str = ""
    """Of the cluster, if this is its head."""

    def kill(self) -> None:
        """End everything on it at once, as when the machine loses power."""
        family = [self.process]
        with suppress(psutil.NoSuchProcess):
            family += self.process.children(recursive=True)
        for one in family:  # none can react to the end of another
            with suppress(psutil.NoSuchProcess):
                one.suspend()
        for one in family:
            with suppress(psutil.NoSuchProcess):
                one.kill()
        psutil.wait_procs(family, timeout=30)


@contextmanager
def node(folder: Path, *words: str, **variables: str) -> Iterator[RayNode]:
    """A node with one core, once it has joined its cluster."""
    folder.mkdir(parents=True)
    path = os.pathsep.join(filter(None, [variables.pop("PYTHONPATH", ""), str(ROOT)]))
    own = {"CNN_PIPELINE_CACHE": str(folder / "cache"), "PYTHONPATH": path}
    log_file = folder / "ray.log"
    with log_file.open("wb") as log:
        process = subprocess.Popen(
            [*_START, "--num-cpus=1", *words],
            env={**environment(folder), **own, **variables}, cwd=folder,
            stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True,
        )  # fmt: skip
    made = RayNode(folder, psutil.Process(process.pid))
    try:
        wait_until(
            lambda: _STARTED in log_file.read_text() or process.poll() is not None, "a node", 300
        )
        assert process.poll() is None, log_file.read_text()
        yield made
    finally:
        made.kill()
        process.wait()


@contextmanager
def head(folder: Path) -> Iterator[RayNode]:
    """A cluster with one node, which is its head."""
    sockets = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))  # their paths must be short
    words = ["--head", "--port=0", "--include-dashboard=false", f"--temp-dir={sockets}"]
    with ExitStack() as stack:
        stack.callback(shutil.rmtree, sockets, ignore_errors=True)
        made = stack.enter_context(node(folder, *words))
        yield replace(made, address=(sockets / "ray_current_cluster").read_text().strip())
