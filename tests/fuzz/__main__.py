"""`make fuzz`: search for bytes that a reader neither reads nor refuses, guided by its branches.

    python -m tests.fuzz idx npz --seconds 60

Each reader has a process and the time of `--seconds`. What crashes one, takes more than ten seconds
or 2 GiB is written to `fuzz-findings/`, and the exit status is 1. Add the file to `corpus/`: then
`test_parsers.py` reads it, too.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.fuzz import TARGET_NAMES

FINDINGS = Path("fuzz-findings")
# Branches of these count. What libraries import by themselves before is left out.
INSTRUMENTED = [
    "cnn_pipeline.champion.server.request",
    "cnn_pipeline.data",
    "cnn_pipeline.settings",
    "PIL",
    "tomllib",
    "zipfile",
]
LIMITS = ("-timeout=10", "-rss_limit_mb=2048", "-max_len=4096", "-verbosity=0")


def search(name: str, words: list[str]) -> None:
    """Fuzz one reader in this process, which ends with it."""
    import atheris

    with atheris.instrument_imports(include=INSTRUMENTED):
        from tests.fuzz import targets

    atheris.Setup([sys.argv[0], *words], targets.TARGETS[name])
    atheris.Fuzz()


def main() -> int:
    """Fuzz the readers one after the other; the exit status is 1 if there was a finding."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("readers", nargs="*", choices=[*TARGET_NAMES, []], help="default: all")
    parser.add_argument("--seconds", type=int, default=100, help="for each reader (default 100)")
    asked = parser.parse_args()
    FINDINGS.mkdir(exist_ok=True)
    failed = []
    for name in asked.readers or TARGET_NAMES:
        print(f"{name}: {asked.seconds} s", flush=True)
        with tempfile.TemporaryDirectory() as grown:  # what reaches new branches
            corpus = Path(__file__).parent / "corpus" / name
            words = [grown, str(corpus), f"-max_total_time={asked.seconds}", *LIMITS]
            words.append(f"-artifact_prefix={FINDINGS}/{name}-")
            script = f"from tests.fuzz.__main__ import search; search({name!r}, {words!r})"
            if subprocess.run([sys.executable, "-c", script], check=False).returncode:
                failed.append(name)
    if failed:
        print(f"findings in {', '.join(failed)}: see above and {FINDINGS}/", file=sys.stderr)
        return 1
    FINDINGS.rmdir()
    return 0


if __name__ == "__main__":
    sys.exit(main())
