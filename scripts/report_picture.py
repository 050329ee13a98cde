"""Take the documentation's screenshots of a sweep's report: its first screen and its charts.

    python -m scripts.report_picture REPORT.html FOLDER

writes answer.png and report.png into the folder. Needs Chromium.
"""

from __future__ import annotations

import sys
from pathlib import Path

from PIL import Image

from tests.e2e import browser

ANSWER_WIDTH, WIDTH, HEIGHT = 1000, 1400, 860
_SETTLED_MS = 1500  # the page redraws the charts and scrolls smoothly


def main() -> None:
    """Save the top of the page down to its table, and the charts."""
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    page_file, folder = Path(sys.argv[1]).resolve(), Path(sys.argv[2])
    answer, charts = folder / "answer.png", folder / "report.png"
    with browser.chromium() as chromium:
        page = chromium.new_page(viewport={"width": ANSWER_WIDTH, "height": HEIGHT})
        page.goto(page_file.as_uri())
        page.wait_for_timeout(_SETTLED_MS)
        first = page.locator("#answer").bounding_box()
        assert first is not None
        below = first["y"] + first["height"] + 2
        page.screenshot(path=answer, clip={"x": 0, "y": 0, "width": ANSWER_WIDTH, "height": below})
        page.set_viewport_size({"width": WIDTH, "height": HEIGHT})
        page.wait_for_timeout(_SETTLED_MS)
        for name in ("Effects of settings", "Accuracy and cost"):
            page.get_by_role("heading", name=name).click()
        page.get_by_role("heading", name="Accuracy and cost").evaluate(
            "heading => heading.scrollIntoView()"
        )
        page.wait_for_timeout(_SETTLED_MS)
        page.screenshot(path=charts)
    for path in (answer, charts):
        with Image.open(path) as picture:
            picture.convert("RGB").quantize(256).save(path, optimize=True)


if __name__ == "__main__":
    main()
