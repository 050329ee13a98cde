"""An environment of its own for each alternative, made once, out of the project's dependencies.

    .venv/bin/python -m benchmarks.environments

makes all of them, one after the other.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).parent
RIVALS = HERE / "rivals"
_ENVIRONMENTS = HERE / ".environments"


def names() -> list[str]:
    """The alternatives: the folders that say what they need."""
    return sorted(path.parent.name for path in RIVALS.glob("*/requirements.txt"))


def python_of(rival: str) -> Path:
    """The interpreter of an alternative's environment; the first time packages are installed.

    Raises:
        CalledProcessError: pip could not install them; it has said why.
    """
    requirements = RIVALS / rival / "requirements.txt"
    wanted = hashlib.sha256(requirements.read_bytes()).hexdigest()
    folder = _ENVIRONMENTS / rival
    python = folder / "bin" / "python"
    stamp = folder / ".installed"
    if not stamp.exists() or stamp.read_text() != wanted:
        print(f"installing {rival}: {requirements}", file=sys.stderr, flush=True)
        venv.create(folder, clear=True, with_pip=True)
        pip: list[str | Path] = [python, "-m", "pip", "--quiet", "--disable-pip-version-check"]
        subprocess.run([*pip, "install", "--requirement", requirements], check=True)
        stamp.write_text(wanted)
    return python


if __name__ == "__main__":
    for name in names():
        print(python_of(name))
