"""Sweeps read from TOML files."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from cnn_pipeline.base.errors import InvalidInput
from cnn_pipeline.base.files import open_file
from cnn_pipeline.settings.engine import LOCAL, Engine, split_engine
from cnn_pipeline.settings.faults import dotted, find_faults
from cnn_pipeline.settings.sweep import Sweep

_MAX_BYTES = 1_000_000


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file that holds at least one setting.

    Raises:
        InvalidInput: the file cannot be read, is not valid TOML, or is empty.
    """
    try:
        with open_file(path) as file:
            content = file.read(_MAX_BYTES + 1)
        if len(content) > _MAX_BYTES:
            raise InvalidInput([f"{path}: must have at most {_MAX_BYTES:,} bytes, received more"])
        document = tomllib.loads(content.decode())
    except OSError as error:
        raise InvalidInput([f"{path}: cannot be read: {error.strerror or error}"]) from None
    except RecursionError:
        raise InvalidInput([f"{path}: is nested too deeply"]) from None
    except ValueError as error:  # a wrong byte or wrong TOML
        raise InvalidInput([f"{path}: is not valid TOML: {error}"]) from None
    if not document:
        raise InvalidInput([f"{path}: must hold at least one setting, received an empty file"])
    return document


def load_sweep_file(path: Path) -> Sweep:
    """Read a `Sweep` from a TOML file whose keys are its fields; the name defaults to the file's.

    Keys of an `Engine` are checked; `load_engine` reads them.

    Raises:
        InvalidInput: the file cannot be read, is not valid TOML, or has faults; each fault is
            listed with its TOML path.
    """
    _, document, wrong = split_engine(read_toml(path))
    document.setdefault("name", re.sub(r"[^a-z0-9_-]+", "-", path.stem.lower()).strip("-_")[:40])
    sweep, faults = find_faults(Sweep, document, refers=("baseline",))
    if sweep is None or wrong or faults:
        raise InvalidInput([f"{path}: {fault.text(dotted)}" for fault in (*wrong, *faults)])
    return sweep


def load_engine(path: Path) -> Engine:
    """Where trainers run, as the file of a sweep or of a retraining says.

    `LOCAL` if it says nothing, or is wrong: whoever reads the rest of the file tells the faults.
    """
    try:
        engine, _, faults = split_engine(read_toml(path))
    except InvalidInput:
        return LOCAL
    return LOCAL if faults else engine
