"""A finding of `cnn-pipeline doctor`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Level = Literal["ok", "warn", "fail"]
OK: Level = "ok"
WARN: Level = "warn"
FAIL: Level = "fail"


@dataclass(frozen=True)
class Finding:
    """Result of one check."""

    level: Level
    name: str
    message: str
    remedy: str = ""
    """What to do; empty for level 'ok'."""


@dataclass(frozen=True)
class Examination:
    """All that `doctor` found."""

    ok: bool
    """Whether no check failed."""
    findings: tuple[Finding, ...]


def ok(name: str, message: str) -> Finding:
    """A check that passed."""
    return Finding(OK, name, message)


def warn(name: str, message: str, remedy: str) -> Finding:
    """A check that passed, but needs attention."""
    return Finding(WARN, name, message, remedy)


def fail(name: str, message: str, remedy: str) -> Finding:
    """A check that failed: something does not work, or soon will not."""
    return Finding(FAIL, name, message, remedy)


def failed(name: str, error: Exception, otherwise: str = "repeat it") -> Finding:
    """A check that failed with an error whose last sentence is the remedy.

    `otherwise` is the remedy of an error of one sentence.
    """
    text = str(error).strip().removesuffix(".")
    message, found, remedy = text.rpartition(". ")
    if not found:
        return fail(name, text, otherwise)
    if remedy[1:2].islower():  # not 'MLflow'
        remedy = remedy[0].lower() + remedy[1:]
    return fail(name, message, remedy)
