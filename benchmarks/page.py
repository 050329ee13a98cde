"""Put the tables of `benchmarks/results` into docs/performance.md, each between its two marks.

.venv/bin/python -m benchmarks.page
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

PAGE = Path(__file__).parent.parent / "docs" / "performance.md"
RESULTS = Path(__file__).parent / "results"
_BLOCK = re.compile(r"<!-- results: (?P<name>[a-z0-9-]+) -->\n.*?<!-- end -->", re.DOTALL)


def main() -> int:
    """Write the page anew."""
    PAGE.write_text(filled(PAGE.read_text("utf-8"), RESULTS), encoding="utf-8")
    return 0


def filled(page: str, results: Path) -> str:
    """The page with every block as its table is now.

    Raises:
        FileNotFoundError: a block names a table that has not been measured.
    """

    def block(found: re.Match[str]) -> str:
        table = (results / f"{found['name']}.md").read_text("utf-8").strip()
        return f"<!-- results: {found['name']} -->\n\n{table}\n\n<!-- end -->"

    return _BLOCK.sub(block, page)


if __name__ == "__main__":
    sys.exit(main())
