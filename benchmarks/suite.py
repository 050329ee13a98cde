"""Every measurement of docs/performance.md, one after the other.

    make bench                                       # all, about two hours
    .venv/bin/python -m benchmarks.suite startup memory

Each writes its table into `benchmarks/results`; the pages get them at the end.
"""

from __future__ import annotations

import argparse
import subprocess
import sys

from benchmarks.report import fill_pages, say

PARTS = {
    "sweep": ["race", "sweep"],
    "training": ["race", "training"],
    "training-speed": ["training_speed"],
    "overhead": ["overhead"],
    "checkpoint-cost": ["checkpoint_cost"],
    "startup": ["startup"],
    "engine": ["engine"],
    "compare-many-runs": ["compare_many_runs"],
    "memory": ["memory"],
    "scaling": ["scaling"],
    "default": ["race", "default"],
    "decided": ["decided"],
}


def main() -> int:
    """Run the parts that the command line names, also after a failure; return 1 if one failed."""
    parser = argparse.ArgumentParser(prog="suite", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; or all")
    given = parser.parse_args()
    unknown = set(given.parts) - set(PARTS)
    if unknown:
        parser.error(f"parts are {', '.join(PARTS)}, received {', '.join(sorted(unknown))}")
    failed = []
    for part in given.parts or PARTS:
        module, *words = PARTS[part]
        say(f"== {part}")
        if subprocess.run([sys.executable, "-m", f"benchmarks.{module}", *words]).returncode:
            failed.append(part)
    fill_pages()
    if failed:
        say(f"failed: {', '.join(failed)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
