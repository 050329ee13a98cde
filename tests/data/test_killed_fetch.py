"""A fetch that is killed at each step on the way of a file into the cache."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from cnn_pipeline.data.fetching.fetch import fetch
from tests.data.conftest import Server, Tiny
from tests.recording import Recorded

# Step by step: what is done before or after the first call of which function.
STEPS = {
    "the lock is held": ("fetch._fetch_one", "before"),
    "the server is asked": ("sources.Mirror.deliver", "before"),
    "all bytes are there, unverified": ("sources.Mirror.deliver", "after"),
    "the payload is verified": ("fetch.unpack", "after"),
    "the packed file is deleted": ("fetch.move_whole", "before"),
    "the payload is synced": ("os.fsync", "after"),
    "it has its final name": ("Path.replace", "after"),
    "its folder is synced": ("fetch.move_whole", "after"),
}
CHILD = """
import json, os, signal, sys
from pathlib import Path
from cnn_pipeline.data.catalog import Catalog, CatalogFile
from cnn_pipeline.data.fetching import fetch, sources

cache, url, files, place, when = json.loads(sys.argv[1])
owner, _, name = place.rpartition(".")
function = getattr(eval(owner), name)

def killed(*args, **kwargs):
    if when == "after":
        function(*args, **kwargs)
    os.kill(os.getpid(), signal.SIGKILL)

setattr(eval(owner), name, killed)
catalog = Catalog("tiny", ("a", "b"), 300, 20, *(CatalogFile(*file) for file in files))
fetch.fetch(Path(cache), catalog, [sources.Mirror("mirror", url, sources.Limits())])
"""


@pytest.mark.parametrize("step", STEPS)
def test_no_step_leaves_a_file_that_is_not_whole(
    tiny: Tiny, serve: Callable[[], Server], tmp_path: Path, recorded: Recorded, step: str
) -> None:
    server = serve()
    files = [[file.name, file.payload_bytes, file.sha256] for file in tiny.catalog.files]
    arguments = json.dumps([str(tmp_path), server.url, files, *STEPS[step]])
    number = list(STEPS).index(step) + 1
    moment = f"step {number}: {step}"
    with recorded(fault="kill -9 of a download", moment=moment, promises="I4 I7") as row:
        done = subprocess.run(
            [sys.executable, "-c", CHILD, arguments], capture_output=True, timeout=60, check=False
        )
        assert done.returncode == -signal.SIGKILL, done.stderr.decode()
        folder = tmp_path / "tiny"
        present = {name: folder / name for name in tiny.payloads if (folder / name).exists()}
        assert list(present) == (["train-images"] if number > 6 else [])
        assert all(path.read_bytes() == tiny.payloads[name] for name, path in present.items())
        begin = time.monotonic()
        fetch(tmp_path, tiny.catalog, [server.mirror()])
        row.recovered(time.monotonic() - begin)
        left = {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix != ".lock"}
        assert left == tiny.payloads
