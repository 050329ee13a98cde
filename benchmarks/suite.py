"""Every measurement of docs/performance.md, one after the other.

    make bench                                       # all, about an hour and a half
    .venv/bin/python -m benchmarks.suite startup memory

Each writes its own table into `benchmarks/results`.
"""

from __future__ import annotations

import argparse
import subprocess
import sys

PARTS = {
    "sweep": ["race", "sweep"],
    "training": ["race", "training"],
    "training-speed": ["training_speed"],
    "overhead": ["overhead"],
    "startup": ["startup"],
    "compare-many-runs": ["compare_many_runs"],
    "memory": ["memory"],
    "default": ["race", "default"],
}


def main() -> int:
    """Run the parts that the command line names; 1 where one failed, and the others go on."""
    parser = argparse.ArgumentParser(prog="suite", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"of {', '.join(PARTS)}; or all")
    given = parser.parse_args()
    unknown = set(given.parts) - set(PARTS)
    if unknown:
        parser.error(f"parts are {', '.join(PARTS)}, received {', '.join(sorted(unknown))}")
    failed = []
    for part in given.parts or PARTS:
        module, *words = PARTS[part]
        print(f"== {part}", file=sys.stderr, flush=True)
        if subprocess.run([sys.executable, "-m", f"benchmarks.{module}", *words]).returncode:
            failed.append(part)
    if failed:
        print(f"failed: {', '.join(failed)}", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
