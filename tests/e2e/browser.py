"""A real Chromium that talks to this machine only, for looking at pages as people see them."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, Page, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome")
REMEDY = "Chromium to look at pages with (Debian: apt install chromium)"
_ARGUMENTS = (
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--no-first-run",
)
WIDTH, HEIGHT = 1400, 900
PATIENCE_MS = 60_000  # only a page that never comes takes so long


def executable() -> str | None:
    """The installed Chromium."""
    return next((path for name in NAMES if (path := shutil.which(name))), None)


@contextmanager
def chromium() -> Iterator[Browser]:
    """A headless Chromium that ends with the block; each `new_context` is a first visit."""
    # Chromium's sandbox refuses to run as root, as in a container.
    arguments = [*_ARGUMENTS, *(["--no-sandbox"] if os.geteuid() == 0 else [])]
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable(), args=arguments)
        try:
            yield browser
        finally:
            browser.close()


def close_assistant(page: Page) -> None:
    """Close the panel that MLflow opens by itself on a first visit; no server setting does."""
    page.locator('[data-component-id="mlflow.assistant.chat_panel.close"]').click()


def choose_metric(page: Page, name: str, *, instead_of: str) -> None:
    """Change the metric of the compare view's parallel coordinates."""
    box = page.get_by_text("Metrics:", exact=True).locator("xpath=following-sibling::*[1]")
    box.click()
    page.keyboard.type(name)
    page.keyboard.press("Enter")
    page.keyboard.press("Escape")
    box.locator(f":text-is('{instead_of}') + span").click()
