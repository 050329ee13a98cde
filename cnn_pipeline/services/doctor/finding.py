"""One line of what `cnn-pipeline doctor` says."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warn", "fail"]
OK: Level = "ok"
WARN: Level = "warn"
FAIL: Level = "fail"


@dataclass(frozen=True)
class Finding:
    """What was looked at, how it is, and what to do."""

    level: Level
    name: str
    message: str
    remedy: str = ""
    """What to do; empty where all is well."""


def ok(name: str, message: str) -> Finding:
    """All is well."""
    return Finding(OK, name, message)


def warn(name: str, message: str, remedy: str) -> Finding:
    """It works, but somebody should know."""
    return Finding(WARN, name, message, remedy)


def fail(name: str, message: str, remedy: str) -> Finding:
    """It does not work, or soon will not."""
    return Finding(FAIL, name, message, remedy)
