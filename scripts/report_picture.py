"""Take a screenshot of the charts in a sweep's report.

    python -m scripts.report_picture REPORT.html PICTURE.png

Needs Chromium.
"""

from __future__ import annotations

import sys
from pathlib import Path

from tests.e2e import browser

WIDTH, HEIGHT = 1400, 860
_SETTLED_MS = 1500  # the page redraws the charts and scrolls smoothly


def main() -> None:
    """Open the page at its charts and save a screenshot."""
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    page_file, picture = Path(sys.argv[1]).resolve(), Path(sys.argv[2])
    with browser.chromium() as chromium:
        page = chromium.new_page(viewport={"width": WIDTH, "height": HEIGHT})
        page.goto(page_file.as_uri())
        page.wait_for_timeout(_SETTLED_MS)
        page.get_by_role("heading", name="Accuracy and cost").evaluate(
            "heading => heading.scrollIntoView()"
        )
        page.wait_for_timeout(_SETTLED_MS)
        page.screenshot(path=picture)


if __name__ == "__main__":
    main()
