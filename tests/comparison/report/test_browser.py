"""The page in a real browser: alone, without JavaScript, in a frame like MLflow's."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import pytest

from cnn_pipeline.comparison.report.page import render_html
from tests.comparison.report.scripted import whole

CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (Debian: apt install chromium)"),
]

NUM_CHARTS = 10


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    file = tmp_path_factory.mktemp("with späces") / "report.html"
    file.write_text(render_html(whole()), encoding="utf-8")
    return file.as_uri()


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox", "--disable-gpu", "--disable-background-networking",
                  "--disable-component-update", "--disable-sync", "--no-first-run"],
        )  # fmt: skip
        yield started
        started.close()


class Visit:
    """A page with its requests and console messages."""

    def __init__(self, browser: Any, address: str, **options: Any) -> None:
        self.context = browser.new_context(viewport={"width": 1280, "height": 800}, **options)
        self.page = self.context.new_page()
        self.requests: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("console", lambda message: self.complaints.append(message.text))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.goto(address)

    def open_all(self) -> None:
        """Unfold every section."""
        self.page.evaluate("document.querySelectorAll('.part').forEach(part => part.open = true)")

    def wait_for_charts(self, count: int = NUM_CHARTS) -> None:
        self.page.wait_for_function(
            f"document.querySelectorAll('.plot[data-live]').length === {count}"
        )


@pytest.fixture
def visit(browser: Any, address: str) -> Iterator[Visit]:
    made = Visit(browser, address)
    made.wait_for_charts()
    made.open_all()
    yield made
    made.context.close()


def test_nothing_is_fetched_and_the_console_is_empty(visit: Visit, address: str) -> None:
    outside = [url for url in visit.requests if not url.startswith(("data:", address))]
    assert outside == []
    assert visit.complaints == []
    broken = visit.page.evaluate("[...document.images].filter(i => !i.naturalWidth).length")
    assert broken == 0


def test_charts_are_drawn_and_have_tooltips(visit: Visit) -> None:
    page = visit.page
    points = page.locator("#chart-macs .mark-symbol path")
    assert points.count() == 4
    points.first.hover()
    tip = page.locator("#tip")
    tip.wait_for(state="visible")
    assert "test 95.0 %" in tip.inner_text() and "validation" in tip.inner_text()
    page.mouse.move(0, 0)
    tip.wait_for(state="hidden")


def test_the_keyboard_reaches_what_the_mouse_does(visit: Visit) -> None:
    page = visit.page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    assert page.evaluate("location.hash") == "#answer"
    reached = ""
    for _ in range(40):
        page.keyboard.press("Tab")
        reached = page.evaluate("document.activeElement.dataset.focus || ''")
        if reached:
            break
    assert reached == "f64-max"
    page.keyboard.press("Enter")
    assert page.locator("button[aria-pressed=true]").inner_text() == "f64-max"
    assert "rank 1, test accuracy 95.0 %" in page.locator("#summary").inner_text()
    assert page.locator("#answer tr.focus").count() == 1
    page.wait_for_function(
        "[...document.querySelectorAll('#chart-macs .mark-symbol path')]"
        ".filter(p => p.getAttribute('opacity') === '0.15').length === 3"
    )
    page.keyboard.press("Escape")
    assert page.locator("button[aria-pressed=true]").count() == 0
    assert page.locator(".focus").count() == 0


def test_the_difference_of_any_two_variants_is_shown(visit: Visit) -> None:
    page = visit.page
    first, second = page.locator("#pair select").all()
    as_written = page.locator("#difference tbody").inner_text()
    first.select_option("f16-none")
    assert "f16-none minus those of f64-none" in page.locator("#difference caption").inner_text()
    # Of 1000 images in turn of three classes f16-none misses 170 and f64-none 90: 80 more.
    hits = page.locator("#difference td.hit").all_inner_texts()
    assert sum(int(hit.replace("−", "-")) for hit in hits) == -80
    first.select_option("f64-max")
    second.select_option("f64-none")
    assert page.locator("#difference tbody").inner_text() == as_written


def test_dark_and_light_follow_the_reader(browser: Any, address: str) -> None:
    papers, lines = [], []
    for scheme in ("light", "dark"):
        visit = Visit(browser, address, color_scheme=scheme)
        visit.wait_for_charts()
        papers.append(visit.page.evaluate("getComputedStyle(document.body).backgroundColor"))
        point = "document.querySelector('#chart-macs .mark-symbol path')"
        lines.append(visit.page.evaluate(f"getComputedStyle({point}).stroke"))
        visit.context.close()
    assert papers == ["rgb(255, 255, 255)", "rgb(15, 20, 25)"]
    assert lines[0] != lines[1]


def test_paper_is_white_whatever_the_screen_is(browser: Any, address: str) -> None:
    visit = Visit(browser, address, color_scheme="dark")
    visit.page.emulate_media(media="print", color_scheme="dark")
    paper = visit.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert paper == "rgb(255, 255, 255)"
    assert not visit.page.locator(".legend").is_visible()
    assert visit.page.pdf(format="A4").startswith(b"%PDF")
    visit.context.close()


PAPER = """
  body { columns: 182mm; column-gap: 0; column-fill: auto; height: 269mm; width: 182mm; margin: 0; }
"""
CUT = """names => {
  const sheet = rect => Math.floor((rect.left + 1) / document.body.clientWidth);
  const first = element => sheet(element.getClientRects()[0]);
  const last = element => sheet([...element.getClientRects()].at(-1));
  const shown = selector => [...document.querySelectorAll(selector)].filter(e => e.offsetHeight);
  const cut = shown(names).filter(e => first(e) !== last(e));
  const after = e => e.nextElementSibling || after(e.parentElement);
  const next = e => after(e).offsetHeight ? after(e) : next(after(e));
  const alone = shown("h2, h3, h2 + p, h3 + p").filter(e => last(e) !== first(next(e)));
  return { sheets: last(document.querySelector("footer")) + 1,
           cut: cut.map(e => e.id || e.textContent.trim().slice(0, 60)),
           alone: alone.map(e => e.textContent) };
}"""


def test_on_paper_nothing_is_cut_and_no_heading_stands_alone(browser: Any, address: str) -> None:
    """Columns of the size of A4 break where pages do, and the browser tells where."""
    visit = Visit(browser, address)
    visit.wait_for_charts()
    page = visit.page
    page.emulate_media(media="print")
    page.add_style_tag(content=PAPER)
    page.evaluate("dispatchEvent(new Event('beforeprint'))")
    found = page.evaluate(
        CUT, ".matrix, figure, .card, tr, h2, h3, p, .headline, .printed, #curves"
    )
    assert found["sheets"] > 5
    assert found["cut"] == [] and found["alone"] == []
    for section in ("#trade-offs", "#curves"):
        assert page.locator(f"{section} .printed li").all_inner_texts()[0].split() == ["f64-max"]
    visit.context.close()


def test_a_cut_off_table_fades_at_the_edge_and_scrolls_by_keyboard(visit: Visit) -> None:
    page = visit.page
    table = page.locator("#answer .scroll")
    mask = "e => getComputedStyle(e).maskImage"
    assert table.get_attribute("tabindex") is None and table.evaluate(mask) == "none"
    page.set_viewport_size({"width": 400, "height": 800})
    edges = "document.querySelector('#answer .scroll').className"
    page.wait_for_function(f"{edges} === 'scroll more-right'")
    assert "gradient" in table.evaluate(mask)
    page.locator(".skip").focus()
    page.keyboard.press("Tab")
    assert table.evaluate("e => e === document.activeElement")
    page.keyboard.press("ArrowRight")
    page.wait_for_function(f"{edges} === 'scroll more-right more-left'")
    while "more-right" in table.evaluate("e => e.className"):
        page.keyboard.press("ArrowRight")
    assert table.evaluate("e => e.className") == "scroll more-left"


def test_a_narrow_window_does_not_scroll_sideways(browser: Any, address: str) -> None:
    visit = Visit(browser, address)
    visit.page.set_viewport_size({"width": 360, "height": 700})
    visit.wait_for_charts()
    assert visit.page.evaluate("document.documentElement.scrollWidth") == 360
    visit.context.close()


def test_without_javascript_the_page_is_whole(browser: Any, address: str) -> None:
    visit = Visit(browser, f"{address}#trade-offs", java_script_enabled=False)
    for title in ("Effects of settings", "Learning curves", "Confusions"):
        visit.page.get_by_role("heading", name=title).click()
    for key in ("chart-macs", "chart-effects", "chart-val-accuracy"):
        box = visit.page.locator(f"#{key} svg").bounding_box()
        assert box is not None and box["width"] > 250 and box["height"] > 80
    assert visit.page.locator("#pair").is_hidden()
    assert visit.page.locator("#difference td.hit").count() == 3
    visit.context.close()


def test_mlflow_shows_it_inline(browser: Any, address: str) -> None:
    """MLflow's UI shows an HTML artifact as a blob in a frame that allows only scripts."""
    visit = Visit(browser, "about:blank")
    html = Path(unquote(urlsplit(address).path))
    visit.page.evaluate(
        """html => {
            const frame = document.createElement("iframe");
            frame.setAttribute("sandbox", "allow-scripts");
            frame.style = "width: 1000px; height: 700px";
            frame.src = URL.createObjectURL(new Blob([html], { type: "text/html" }));
            document.body.append(frame);
        }""",
        html.read_text("utf-8"),
    )
    frame = visit.page.frame_locator("iframe")
    frame.locator("#chart-loss[data-live]").wait_for(state="attached")
    frame.get_by_role("heading", name="Accuracy and cost").click()
    frame.get_by_role("button", name="f64-max").click()
    assert "rank 1" in frame.locator("#summary").inner_text()
    frame.get_by_role("heading", name="Confusions").click()
    frame.locator("#difference").wait_for(state="visible")
    assert visit.complaints == []
    visit.context.close()
