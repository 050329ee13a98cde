"""Check the lock files: a hash for every package, no index URL, pyproject.toml satisfied.

Run by `make check`. Prints every fault; the exit status is 1 if there is one.
"""

from __future__ import annotations

import re
import sys
import tomllib
from pathlib import Path

from packaging.markers import Marker
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
DEVELOPMENT = ("jax", "postgres", "ray", "s3", "search", "test", "docs", "dev")

# The lock is universal: requirements are checked for each of these.
ENVIRONMENTS = tuple(
    {"python_version": version, "python_full_version": f"{version}.0", **platform}
    for version in ("3.11", "3.12", "3.13")
    for platform in (
        {"sys_platform": "linux", "platform_system": "Linux", "platform_machine": "x86_64"},
        {"sys_platform": "linux", "platform_system": "Linux", "platform_machine": "aarch64"},
        {"sys_platform": "darwin", "platform_system": "Darwin", "platform_machine": "arm64"},
    )
)

_HASH = re.compile(r"--hash=(\S+)")
_SHA256 = re.compile(r"sha256:[0-9a-f]{64}")
_ADDRESS = re.compile(r"https?://|--(extra-)?index-url|--find-links|^-[if]\b", re.MULTILINE)


def read_lock(text: str) -> tuple[list[Requirement], list[str]]:
    """The pinned packages of a lock file, and the faults of its format."""
    faults = [f"has an address: {found.group()!r}" for found in _ADDRESS.finditer(text)]
    pins: list[Requirement] = []
    for entry in text.replace("\\\n", " ").splitlines():
        words = entry.split("#", 1)[0].strip()
        if not words or words.startswith("--") or _ADDRESS.search(words):
            continue
        hashes = _HASH.findall(words)
        pin = Requirement(_HASH.sub("", words).strip())
        if not hashes:
            faults.append(f"{pin.name} has no hash")
        faults += [
            f"{pin.name} has {h!r}, not a sha256" for h in hashes if not _SHA256.fullmatch(h)
        ]
        if [clause.operator for clause in pin.specifier] != ["=="]:
            faults.append(f"{pin.name} is not pinned with ==")
        pins.append(pin)
    return pins, faults


def unmet(wanted: list[str], pins: list[Requirement]) -> list[str]:
    """The requirements in `wanted` that the pins do not satisfy, in any environment."""
    faults: list[str] = []
    for text in wanted:
        need = Requirement(text)
        for environment in ENVIRONMENTS:
            if not _holds(need.marker, environment):
                continue
            versions = [
                next(iter(pin.specifier)).version
                for pin in pins
                if canonicalize_name(pin.name) == canonicalize_name(need.name)
                and _holds(pin.marker, environment)
            ]
            if not any(need.specifier.contains(v, prereleases=True) for v in versions):
                received = " and ".join(versions) or "nothing"
                where = f"Python {environment['python_version']}, {environment['sys_platform']}"
                faults.append(f"pyproject.toml requires {text}, but it pins {received} ({where})")
                break
    return faults


def lacking(runtime: list[Requirement], development: list[Requirement]) -> list[str]:
    """The runtime lock's pins that the development lock lacks, in any environment.

    Markers are evaluated, not compared: a package may be required under several markers.
    """
    return [
        f"lacks {pin}, which requirements.lock pins"
        for pin in runtime
        if any(
            _holds(pin.marker, environment)
            and not any(
                (other.name, other.specifier) == (pin.name, pin.specifier)
                and _holds(other.marker, environment)
                for other in development
            )
            for environment in ENVIRONMENTS
        )
    ]


def _holds(marker: Marker | None, environment: dict[str, str]) -> bool:
    return marker is None or marker.evaluate({**environment, "extra": ""})


def check(root: Path) -> list[str]:
    """Every fault of both lock files under `root`."""
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))
    runtime: list[str] = project["project"]["dependencies"]
    extras = project["project"]["optional-dependencies"]
    # The editable install has no build isolation, so the build's packages must be locked too.
    build: list[str] = project["build-system"]["requires"]
    locks = {
        "requirements.lock": [*runtime, *build],
        "requirements-dev.lock": [
            *runtime,
            *build,
            *(need for extra in DEVELOPMENT for need in extras.get(extra, [])),
        ],
    }
    faults: list[str] = []
    pinned: dict[str, list[Requirement]] = {}
    for name, wanted in locks.items():
        pins, found = read_lock((root / name).read_text(encoding="utf-8"))
        faults += [f"{name}: {fault}" for fault in [*found, *unmet(wanted, pins)]]
        pinned[name] = pins
    faults += [
        f"requirements-dev.lock: {fault}"
        for fault in lacking(pinned["requirements.lock"], pinned["requirements-dev.lock"])
    ]
    return faults


def main() -> int:
    """Print the faults; return 1 if there are any."""
    faults = check(ROOT)
    for fault in faults:
        print(fault, file=sys.stderr)
    if faults:
        print("`make lock` regenerates both files", file=sys.stderr)
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
