"""Load a logged model after its file was verified, and only if it is built of known layers."""

from __future__ import annotations

import json
import re
import stat
import struct
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cnn_pipeline.base.errors import UserError
from cnn_pipeline.base.files import sha256_of
from cnn_pipeline.base.startup import import_keras_quietly

if TYPE_CHECKING:
    import keras

_MEMBERS = {"metadata.json", "config.json", "model.weights.h5"}
# What `network.build` makes. Keras itself would import any class below `keras`, and some of those
# read files, fetch addresses or run what a file holds.
_BUILT_IN = {
    "keras": {"DTypePolicy", "Sequential"},
    "keras.layers": {
        "Activation",
        "AveragePooling2D",
        "BatchNormalization",
        "Conv2D",
        "Dense",
        "Dropout",
        "Flatten",
        "InputLayer",
        "MaxPooling2D",
        "ReLU",
        "Rescaling",
    },
    "keras.initializers": {"GlorotUniform", "Ones", "Zeros"},
}
_MAX_DEPTH = 50


class _Unsafe(ValueError):
    pass


# Raised for damaged archives; an encrypted member is a RuntimeError.
_UNREADABLE = (ValueError, RuntimeError, OSError, struct.error, zipfile.BadZipFile)


def load_verified(path: Path, sha256: str, name: str) -> keras.Model:
    """Load a `.keras` file that must have the given SHA-256 (hex).

    `name` is used in errors, as 'the model of run f64-max-s0'. A file that holds anything but the
    layers of `network.build` is refused before Keras reads it.

    Raises:
        UserError: the file is not the logged one, holds something else, or Keras cannot read it.
    """
    if not stat.S_ISREG(path.lstat().st_mode):  # a pipe would block
        raise UserError(f"{name} must be a file, and {path} is a link, folder, pipe or device")
    received = sha256_of(path)
    if received != sha256:
        raise UserError(
            f"{name} must have SHA-256 {sha256}, received {received}: the file is damaged or was "
            "replaced. Train the variant again, or restore the artifacts from a backup."
        )
    check_content(path, name)
    import_keras_quietly()
    import keras

    try:
        return keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras raises what the file makes it raise
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise UserError(
            f"{name} must be one that Keras {keras.__version__} reads without running code, "
            f"received: {reason}. Train the variant again."
        ) from None


def check_content(path: Path, name: str) -> None:
    """Check, without Keras, that a `.keras` file holds the layers of `network.build` only.

    Raises:
        UserError: it holds something else.
    """
    try:
        _check_archive(path)
    except _UNREADABLE as error:
        raise UserError(
            f"{name} must be a .keras file of this project's layers, received: {error}. "
            "Do not use it, and find out who wrote it."
        ) from None


def _check_archive(path: Path) -> None:
    """Check that nothing in the archive is unknown, or larger than it is on disk.

    Raises:
        _Unsafe: something is.
        _UNREADABLE: it cannot be read.
    """
    with zipfile.ZipFile(path) as archive:
        members = archive.infolist()
        names = sorted(member.filename for member in members)
        if names != sorted(_MEMBERS):
            raise _Unsafe(f"an archive with the members {', '.join(names)[:200] or 'none'}")
        # Keras writes without compression. So a decompression bomb is refused here.
        if any(member.file_size != member.compress_size for member in members):
            raise _Unsafe("a compressed archive")
        config = json.loads(archive.read("config.json"))
    for item in _described_objects(config, 0):
        known = _BUILT_IN.get(str(item.get("module")), ())
        if item.get("registered_name") is not None or str(item["class_name"]) not in known:
            shown = f"{item.get('module')}.{item['class_name']}"[:200]
            raise _Unsafe(f"the class {shown!r}")
        called = item["config"].get("name", "") if isinstance(item.get("config"), dict) else ""
        if not re.fullmatch(r"\w*", str(called)):  # becomes part of file names
            raise _Unsafe(f"the name {str(called)[:200]!r}")


def _described_objects(value: Any, depth: int) -> Iterator[dict[str, Any]]:
    """Every object with a class name in Keras' configuration, at any depth."""
    if depth > _MAX_DEPTH:
        raise _Unsafe(f"a configuration nested more than {_MAX_DEPTH} deep")
    if isinstance(value, dict):
        if "class_name" in value:
            yield value
        for inner in value.values():
            yield from _described_objects(inner, depth + 1)
    elif isinstance(value, list):
        for inner in value:
            yield from _described_objects(inner, depth + 1)
