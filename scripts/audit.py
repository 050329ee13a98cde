"""Ask for known advisories of every package in requirements.lock.

Run by `make audit`. The exit status is 0 if every package was asked for and none has an advisory,
1 if one has, and 2 if a package could not be asked for: nothing is known of it then, so this never
passes in silence. `--service osv` asks OSV instead of PyPI.

pip-audit asks. It is not in the lock, because nothing else needs it: uv runs it from its cache.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from scripts.check_lock import ROOT, read_lock

PIP_AUDIT = "pip-audit==2.10.1"
_SECONDS = 600
_SHOWN = 10


@dataclass
class Audit:
    """What is known of the packages, each as 'name version'."""

    asked: set[str] = field(default_factory=set)
    advisories: list[str] = field(default_factory=list)
    """One line each."""
    skipped: dict[str, str] = field(default_factory=dict)
    """Why nothing is known of a package."""


class NoAnswerError(Exception):
    """The source of advisories cannot be asked; the message says why."""


def pins_of(lock: str) -> list[tuple[str, str]]:
    """Name and version of every package in a lock file, for every environment."""
    pins, _ = read_lock(lock)
    return [(canonicalize_name(pin.name), _version(pin)) for pin in pins]


def _version(pin: Requirement) -> str:
    (clause,) = pin.specifier
    return clause.version


def rounds(pins: list[tuple[str, str]]) -> list[list[str]]:
    """The pins as 'name==version', in lists without two versions of one package."""
    lists: list[dict[str, str]] = []
    for name, version in pins:
        free = next((known for known in lists if name not in known), None)
        if free is None:
            lists.append(free := {})
        free[name] = f"{name}=={version}"
    return [list(known.values()) for known in lists]


def read_report(text: str, audit: Audit) -> None:
    """Add the JSON that pip-audit prints to `audit`.

    Raises:
        NoAnswerError: it is something else.
    """
    try:
        dependencies: list[dict[str, Any]] = json.loads(text)["dependencies"]
        for item in dependencies:
            name = canonicalize_name(item["name"])
            if "skip_reason" in item:
                audit.skipped[name] = item["skip_reason"]
                continue
            package = f"{name} {item['version']}"
            audit.asked.add(package)
            for found in item["vulns"]:
                ids = ", ".join([found["id"], *found["aliases"]])
                fixed = ", ".join(found["fix_versions"]) or "no version"
                audit.advisories.append(f"{package}: {ids}; fixed in {fixed}")
    except (ValueError, KeyError, TypeError) as error:
        raise NoAnswerError(f"pip-audit's report is not understood: {error!r}") from None


def verdict(audit: Audit, pins: list[tuple[str, str]]) -> tuple[int, list[str]]:
    """The exit status and what to print."""
    unknown = [f"{name} {version}" for name, version in pins]
    unknown = [package for package in unknown if package not in audit.asked]
    lines = list(audit.advisories)
    if unknown:
        reasons = [audit.skipped.get(package.partition(" ")[0], "not in the report") for package
                   in unknown]  # fmt: skip
        pairs = [f"{package}: {reason}" for package, reason in zip(unknown, reasons, strict=True)]
        lines += [
            *pairs[:_SHOWN],
            *([f"... and {len(pairs) - _SHOWN} more"] if pairs[_SHOWN:] else []),
        ]
        lines.append(
            f"{len(unknown)} of {len(pins)} packages could not be asked for, so nothing is known "
            "of them. Run `make audit` where the source of advisories can be reached, or try the "
            "other one: ARGS='--service osv'."
        )
        return 2, lines
    if audit.advisories:
        return 1, [*lines, "Raise the bounds in pyproject.toml and run `make lock`."]
    return 0, [f"no known advisory for the {len(pins)} packages of requirements.lock"]


def ask(requirements: list[str], service: str) -> str:
    """pip-audit's JSON report on packages given as 'name==version'.

    Raises:
        NoAnswerError: it printed none; the message has the end of what it said.
    """
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8") as file:
        file.write("\n".join(requirements))
        file.flush()
        command = [
            str(Path(sys.executable).with_name("uv")), "tool", "run", "--quiet",
            "--from", PIP_AUDIT, "pip-audit",
            "--requirement", file.name, "--no-deps", "--disable-pip",
            "--vulnerability-service", service,
            "--format", "json", "--progress-spinner", "off",
        ]  # fmt: skip
        try:
            done = subprocess.run(
                command, capture_output=True, text=True, timeout=_SECONDS, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise NoAnswerError(str(error)) from None
    if not done.stdout.strip():
        said = done.stderr.strip().splitlines() or [f"it ended with status {done.returncode}"]
        raise NoAnswerError(f"{PIP_AUDIT} gave no report: {said[-1][:500]}")
    return done.stdout


def main(argv: list[str] | None = None) -> int:
    """Ask, print and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--service", choices=("pypi", "osv"), default="pypi")
    service = parser.parse_args(argv).service
    pins = pins_of((ROOT / "requirements.lock").read_text(encoding="utf-8"))
    audit = Audit()
    try:
        for requirements in rounds(pins):
            read_report(ask(requirements, service), audit)
    except NoAnswerError as error:
        print(f"{service}: {error}", file=sys.stderr)
    status, lines = verdict(audit, pins)
    print("\n".join(lines), file=sys.stderr if status else sys.stdout)
    return status


if __name__ == "__main__":
    sys.exit(main())
