"""Settings of Sphinx for `make docs`. decisions/0010-documentation.md says why Sphinx."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from cnn_pipeline import __version__  # noqa: E402
from scripts.reference import commands_page, configuration_page, json_page, python_page  # noqa: E402

if TYPE_CHECKING:
    from sphinx.application import Sphinx

project = "cnn-pipeline"
version = release = __version__
copyright = ""
html_show_copyright = False

extensions = ["myst_parser"]
myst_heading_anchors = 4
smartquotes = False  # flags start with two hyphens, also outside of code
exclude_patterns = ["_build"]

html_theme = "furo"
html_title = "cnn-pipeline"
html_copy_source = False
html_show_sourcelink = False
pygments_style = "default"
pygments_dark_style = "monokai"
# No edit links, no analytics, no remote fonts: a page needs no network.
html_theme_options = {"footer_icons": []}


def _file(name: str) -> Callable[[], str]:
    """Return a function that reads a Markdown file of the project without its title."""

    def text() -> str:
        _, _, body = (ROOT / name).read_text(encoding="utf-8").partition("\n")
        return body

    return text


PARTS: dict[str, Callable[[], str]] = {
    "commands": commands_page,
    "configuration": configuration_page,
    "json": json_page,
    "python": python_page,
    "changelog": _file("CHANGELOG.md"),
    "state": _file("mlruns/README.md"),
}
"""Functions that return the text for a line `<!-- made: NAME -->`."""

MOVED = {"../mlruns/README.md": "reference/state.md"}
"""Links to files outside of this folder, and the pages of the site that show them."""


def _fill(app: Sphinx, docname: str, source: list[str]) -> None:
    """Insert the generated parts before Sphinx parses a page."""
    text = re.sub(
        r"^<!-- made: (\w+) -->$", lambda found: PARTS[found[1]](), source[0], flags=re.MULTILINE
    )
    for path, page in MOVED.items():
        text = text.replace(f"]({path})", f"]({page})")
    source[0] = text


def setup(app: Sphinx) -> None:
    """Connect `_fill`; Sphinx calls this."""
    app.connect("source-read", _fill)
