"""Checkpoints of one training: after a kill it goes on from the newest, bit for bit.

A checkpoint is a folder that is there whole or not at all, also after a power loss:

- `arrays.npy`: variables of the model and of the optimizer, the weights after the best epoch if
  they are wanted, then the losses of the steps of an unfinished epoch, one array in NumPy's format
  after the other;
- `state.json`: whose it is and how far the training has come (`Progress`);
- `manifest.json`: SHA-256 of both.

One that does not match its manifest, or is another training's, is never used.

With a place that several machines share, each is put there, too, as one object, and only those
that are there count: the next machine goes on from them.
"""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import io
import json
import os
import shutil
import tarfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from filelock import FileLock, Timeout

from cnn_pipeline.base.files import make_private, move_whole, sha256_of, sync
from cnn_pipeline.network.history import Epoch, Progress, Sums
from cnn_pipeline.network.place import Place

_ARRAYS, _STATE, _MANIFEST = "arrays.npy", "state.json", "manifest.json"
_KEPT = 2
_LOCK_SECONDS = 60.0
_FORGOTTEN_AFTER_DAYS = 30


class CheckpointsInUse(Exception):
    """Another process trains with these checkpoints."""


class _Unusable(Exception):
    """Why a checkpoint cannot be used."""


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """A training between two steps."""

    progress: Progress
    arrays: Sequence[np.ndarray]
    """Of the model and its optimizer, in their order."""
    sums: Sums | None = None
    """Of an unfinished epoch; None between epochs."""
    best: Sequence[np.ndarray] = ()
    """The model's weights after its best epoch; empty if they are not wanted."""


def reached(step: int) -> None:
    """Called after each step of saving, numbered as in `Checkpoints._write`, for tests to kill."""


class Checkpoints:
    """The checkpoints of one training in one folder. `hold` opens them.

    They are written by a thread while training goes on.
    """

    def __init__(
        self,
        folder: Path,
        identity: Mapping[str, str],
        told: Callable[[str], None],
        place: Place | None = None,
    ) -> None:
        """`told` is called with a sentence about each checkpoint that is not usable."""
        self._folder = folder
        self._place = place
        self._identity = dict(identity)
        self._told = told
        self._writer = ThreadPoolExecutor(1)
        self._writing: Future[None] | None = None
        self._failed = False

    def load(self) -> Checkpoint | None:
        """The newest usable checkpoint, or None. Those that cannot be used are removed."""
        if self._place is not None:
            try:
                _fetch(self._place, self._folder)
            except OSError as error:
                self._told(f"not all checkpoints can be fetched: {error.strerror or error}")
        for path in sorted(self._folder.glob("ckpt-*"), reverse=True):
            if ".tmp." not in path.name:
                try:
                    return self._read(path)
                except _Unusable as fault:
                    self._told(f"checkpoint {path.name} is not used: {fault}")
                if self._place is not None:
                    with contextlib.suppress(OSError):
                        self._place.remove(path.name)
            _remove(path)
        return None

    def save(self, checkpoint: Checkpoint) -> None:
        """Write a checkpoint in the background, once the one before is written."""
        self.wait()
        self._writing = self._writer.submit(self._try_to_write, checkpoint)

    def wait(self) -> None:
        """Return once all checkpoints are written."""
        if self._writing is not None:
            self._writing.result()

    def close(self) -> None:
        """Return once all checkpoints are written; no further one can be."""
        self.wait()
        self._writer.shutdown()

    def remove(self) -> None:
        """Remove the folder, as the training's results are stored elsewhere."""
        self.wait()
        if self._place is not None:
            with contextlib.suppress(OSError):  # the results are stored: nobody needs what stays
                self._place.clear()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _try_to_write(self, checkpoint: Checkpoint) -> None:
        try:
            self._write(checkpoint)
        except OSError as error:  # training goes on: its results may still find room
            for scratch in self._folder.glob("ckpt-*.tmp.*"):
                _remove(scratch)
            if not self._failed:
                self._told(f"no checkpoint can be written: {error.strerror or error}")
            self._failed = True

    def _write(self, checkpoint: Checkpoint) -> None:
        sums = checkpoint.sums or Sums(np.empty(0), 0)
        name = f"ckpt-{len(checkpoint.progress.epochs):05d}-{len(sums.losses):08d}"
        scratch, final = self._folder / f"{name}.tmp.{os.getpid()}", self._folder / name
        scratch.mkdir(parents=True)
        reached(1)
        with (scratch / _ARRAYS).open("wb") as file:
            for array in (*checkpoint.arrays, *checkpoint.best, sums.losses):
                np.save(file, array, allow_pickle=False)
        reached(2)
        state = {
            "identity": self._identity,
            "arrays": len(checkpoint.arrays),
            "best": len(checkpoint.best),
            "hits": sums.hits,
            "progress": dataclasses.asdict(checkpoint.progress),
        }
        (scratch / _STATE).write_text(json.dumps(state, indent=1), encoding="utf-8")
        reached(3)
        hashes = {name: sha256_of(scratch / name) for name in (_ARRAYS, _STATE)}
        (scratch / _MANIFEST).write_text(json.dumps(hashes), encoding="utf-8")
        reached(4)
        for path in scratch.iterdir():
            sync(path)
        reached(5)
        move_whole(scratch, final)
        reached(6)
        for old in sorted(self._folder.glob("ckpt-*"))[:-_KEPT]:
            _remove(old)
        reached(7)
        if self._place is not None:
            self._place.put(name, _packed(final))
            for older in self._place.names()[:-_KEPT]:
                self._place.remove(older)

    def _read(self, path: Path) -> Checkpoint:
        content: dict[str, bytes] = {}
        try:
            hashes = json.loads(_bytes_of(path / _MANIFEST))
            for name in (_ARRAYS, _STATE):
                content[name] = _bytes_of(path / name)
                if hashlib.sha256(content[name]).hexdigest() != hashes[name]:
                    raise _Unusable(f"it is damaged: {name} is not what was written")
        except (ValueError, TypeError, LookupError):
            raise _Unusable(f"it is damaged: {_MANIFEST} is not what was written") from None
        except OSError as error:
            raise _Unusable(f"it is damaged: {error}") from None
        state = json.loads(content[_STATE])
        for key in sorted(self._identity | state["identity"]):
            mine, its = self._identity.get(key), state["identity"].get(key)
            if mine != its:
                raise _Unusable(f"its {key} must be {mine}, received {its}")
        file = io.BytesIO(content[_ARRAYS])
        own, count = state["arrays"], state["arrays"] + state["best"] + 1
        *arrays, losses = (np.load(file, allow_pickle=False) for _ in range(count))
        sums = Sums(losses, state["hits"]) if losses.size else None
        return Checkpoint(_progress(state["progress"]), arrays[:own], sums, best=arrays[own:])


@contextlib.contextmanager
def hold(
    folder: Path, identity: Mapping[str, str], told: Callable[[str], None], place: str = ""
) -> Iterator[Checkpoints]:
    """The checkpoints in `folder`, for this process alone until the block ends.

    Waits a minute for a predecessor that is about to end. Also removes checkpoints of other
    trainings, in the folders next to it, that are 30 days old.

    Args:
        folder: this training's own, on this machine.
        identity: what a checkpoint must have been made with.
        told: is called with a sentence about each checkpoint that is not usable.
        place: address of this training's `Place`; empty for none.

    Raises:
        CheckpointsInUse: another process holds them.
    """
    make_private(folder)
    with contextlib.ExitStack() as stack:
        try:
            stack.enter_context(FileLock(folder / "lock", timeout=_LOCK_SECONDS))
        except Timeout:
            raise CheckpointsInUse(
                f"another process trains with the checkpoints in {folder}: wait until it has ended"
            ) from None
        _forget(folder.parent)
        checkpoints = Checkpoints(folder, identity, told, Place(place) if place else None)
        stack.callback(checkpoints.close)
        yield checkpoints


def forget(folder: Path, place: str = "") -> None:
    """Remove a training's checkpoints, also from its `Place`: it starts at its beginning."""
    for path in folder.glob("ckpt-*"):
        _remove(path)
    if place:
        Place(place).clear()


def _packed(folder: Path) -> bytes:
    content = io.BytesIO()
    with tarfile.open(fileobj=content, mode="w") as packed:
        packed.add(folder, arcname=".")
    return content.getvalue()


def _fetch(place: Place, folder: Path) -> None:
    """Make `folder` have the checkpoints of `place` and no others."""
    forget(folder)
    for name in place.names():
        (folder / name).mkdir()
        # One that cannot be unpacked has no manifest, so it is named and not used.
        with (
            contextlib.suppress(tarfile.TarError),
            tarfile.open(fileobj=io.BytesIO(place.get(name))) as packed,
        ):
            packed.extractall(folder / name, filter="data")


def _forget(root: Path) -> None:
    before = time.time() - _FORGOTTEN_AFTER_DAYS * 86_400
    for old in root.glob("*/ckpt-*"):
        with contextlib.suppress(OSError):  # its own trainer has just removed it
            if old.stat().st_mtime < before:
                _remove(old)


def _bytes_of(path: Path) -> bytes:
    if not path.is_file():  # reading a pipe would wait for ever
        raise _Unusable(f"it is damaged: {path.name} is missing")
    return path.read_bytes()


def _remove(path: Path) -> None:
    shutil.rmtree(path, ignore_errors=True)


def _progress(fields: Mapping[str, Any]) -> Progress:
    """What `dataclasses.asdict` and JSON have made lists and dictionaries of."""
    return Progress(
        epochs=tuple(Epoch(**epoch) for epoch in fields["epochs"]),
        fit_seconds=tuple(fields["fit_seconds"]),
        starts=tuple(fields["starts"]),
        stop_reason=fields["stop_reason"],
        seconds=fields["seconds"],
    )
