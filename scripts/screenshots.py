"""Take the documentation's screenshots of MLflow's pages for the last sweep of a home folder.

    python -m scripts.screenshots HOME FOLDER

The screenshots are 1400 pixels wide. Needs Chromium.
"""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, expect

from cnn_pipeline.base import links
from cnn_pipeline.base.home import Home
from cnn_pipeline.services.loopback import free_port
from cnn_pipeline.tracking.reader import Reader
from cnn_pipeline.tracking.store import open_store
from tests.e2e import browser
from tests.running import stop

HEIGHTS = {"list": 640, "charts": 980, "compare": 640, "run": 900}
MAX_BYTES = 250_000
_SETTLED_MS = 2500  # charts move into place


def main() -> None:
    """Write `mlflow-<page>.png` for each page into the folder."""
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    home, folder = Home(Path(sys.argv[1]).resolve()), Path(sys.argv[2])
    if browser.executable() is None:
        sys.exit(f"required: {browser.REMEDY}")
    reader = Reader(open_store(home, {}, create=False))
    record = reader.sweep(None)
    best = max(
        (trial for trial in reader.trials(record) if trial.finished),
        key=lambda trial: trial.metrics["val_accuracy_final"],
    )
    folder.mkdir(parents=True, exist_ok=True)
    with serving(home) as (runs, charts, compare), browser.chromium() as chromium:
        page = chromium.new_page(viewport={"width": browser.WIDTH, "height": browser.HEIGHT})
        page.set_default_timeout(browser.PATIENCE_MS)
        expect.set_options(timeout=browser.PATIENCE_MS)

        page.goto(runs)
        browser.close_assistant(page)  # stays closed on the next pages
        expect(page.get_by_role("link", name=best.name, exact=True)).to_be_visible()
        take(page, folder, "list")

        visit(page, charts)
        expect(page.get_by_text("Parallel Coordinates")).to_be_visible()
        take(page, folder, "charts")

        visit(page, compare)
        browser.choose_metric(page, "test_accuracy", instead_of="val_accuracy")
        take(page, folder, "compare")

        visit(page, links.run_page(record.experiment_id, best.run_id, runs.partition("/#")[0]))
        expect(page.get_by_text("About this run")).to_be_visible()
        take(page, folder, "run")


@contextmanager
def serving(home: Home) -> Iterator[tuple[str, str, str]]:
    """Run `cnn-pipeline ui`; yields the URLs of the list, the charts and the comparison."""
    words = ["ui", "--no-browser", "--port", str(free_port()), "--home", str(home.root)]
    process = subprocess.Popen(
        [sys.executable, "-m", "cnn_pipeline.cli", *words],
        start_new_session=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert process.stdout is not None
        runs, charts, compare = (process.stdout.readline().split()[-1] for _ in range(3))
        yield runs, charts, compare
    finally:
        stop(process)


def visit(page: Page, address: str) -> None:
    """Load a page from scratch, even if only the part of its URL after '#' differs."""
    page.goto("about:blank")
    page.goto(address)


def take(page: Page, folder: Path, name: str) -> None:
    """Save a screenshot with 256 colours, which is no visible loss for these pages."""
    page.set_viewport_size({"width": browser.WIDTH, "height": HEIGHTS[name]})
    page.wait_for_timeout(_SETTLED_MS)
    path = folder / f"mlflow-{name}.png"
    page.screenshot(path=path)
    with Image.open(path) as picture:
        picture.convert("RGB").quantize(256).save(path, optimize=True)
    size = path.stat().st_size
    if size > MAX_BYTES:
        sys.exit(f"{path} must not exceed {MAX_BYTES:,} bytes, received {size:,}")
    print(f"{path}  {size:,} bytes")


if __name__ == "__main__":
    main()
