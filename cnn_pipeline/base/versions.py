"""The code and the package versions that a result was made with."""

from __future__ import annotations

import hashlib
import importlib.metadata
import platform
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from cnn_pipeline.base.machine import backend_name

RECORDED_PACKAGES = ("cnn-pipeline", "keras", "numpy", "mlflow", "prefect", "pandas")


def serving_packages() -> tuple[str, ...]:
    """Packages that a logged model needs, Keras' backend first."""
    return (backend_name(), "keras", "numpy")


def numeric_packages() -> tuple[str, ...]:
    """Packages that can change a number: those of a model and of `network/compiled`."""
    return (*serving_packages(), "numba", "scipy")


@dataclass(frozen=True)
class GitState:
    """Commit of the checkout; empty if the package is installed without one."""

    commit: str = ""
    dirty: bool = False


@cache
def versions() -> dict[str, str]:
    """Versions of Python and of the packages that can change a result."""
    found = {"python": platform.python_version()}
    for package in dict.fromkeys((*RECORDED_PACKAGES, *numeric_packages())):
        try:
            found[package] = importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            found[package] = "not installed"
    return found


def serving_requirements() -> list[str]:
    """Pinned requirements of a logged model: ['tensorflow==2.21.0', ...]."""
    return [f"{package}=={importlib.metadata.version(package)}" for package in serving_packages()]


@cache
def code_digest(parts: tuple[str, ...] | None = None) -> str:
    """SHA-256 (hex) of the package's Python source, including file names.

    Args:
        parts: folders and files of the package to hash, as 'data' or 'settings/trial.py'; all by
            default.
    """
    root = _package()
    digest = hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        relative = path.relative_to(root)
        if parts is not None and not any(relative.is_relative_to(part) for part in parts):
            continue
        digest.update(relative.as_posix().encode() + b"\0")
        digest.update(path.read_bytes() + b"\0")
    return digest.hexdigest()


@cache
def git_state() -> GitState:
    """Commit of the checkout that holds this package, and whether it has local changes."""
    root = _package().parent
    if not (root / ".git").exists():
        return GitState()
    try:
        commit = _git(root, "rev-parse", "HEAD")
        return GitState(commit, dirty=bool(_git(root, "status", "--porcelain")))
    except (OSError, subprocess.SubprocessError):
        return GitState()


def _package() -> Path:
    return Path(__file__).parent.parent


def _git(root: Path, *words: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(root), *words], capture_output=True, text=True, check=True, timeout=10
    )
    return done.stdout.strip()
