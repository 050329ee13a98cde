"""Sweeps read from TOML files."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from cnn_pipeline.base.errors import InvalidInput
from cnn_pipeline.settings.faults import dotted, find_faults
from cnn_pipeline.settings.sweep import Sweep


def read_toml(path: Path) -> dict[str, Any]:
    """Read a TOML file.

    Raises:
        InvalidInput: the file cannot be read or is not valid TOML.
    """
    try:
        return tomllib.loads(path.read_bytes().decode())
    except OSError as error:
        raise InvalidInput([f"{path}: cannot be read: {error.strerror or error}"]) from None
    except ValueError as error:  # a wrong byte or wrong TOML
        raise InvalidInput([f"{path}: is not valid TOML: {error}"]) from None


def load_sweep_file(path: Path) -> Sweep:
    """Read a `Sweep` from a TOML file whose keys are its fields; the name defaults to the file's.

    Raises:
        InvalidInput: the file cannot be read, is not valid TOML, or has faults; each fault is
            listed with its TOML path.
    """
    document = read_toml(path)
    document.setdefault("name", re.sub(r"[^a-z0-9_-]+", "-", path.stem.lower()).strip("-_")[:40])
    sweep, faults = find_faults(Sweep, document, refers=("baseline",))
    if sweep is None or faults:
        raise InvalidInput([f"{path}: {fault.text(dotted)}" for fault in faults])
    return sweep
