"""The HTML report: whole, safe, self-contained, and laid out within its bounds."""

from __future__ import annotations

import subprocess
import sys
from html.parser import HTMLParser
from itertools import combinations

import pytest
from scripted import clear_grid, comparison, failure, outcome, right

from cnn_pipeline.comparison import Expected
from cnn_pipeline.report import render_html, scatter

VOID = {"meta", "line", "circle"}


class Page(HTMLParser):
    """Checks nesting and collects what the tests look at."""

    def __init__(self, html):
        super().__init__()
        self.open, self.tags, self.attributes, self.text = [], [], [], []
        self.feed(html)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.text.append(data)


@pytest.fixture(scope="module")
def whole():
    return comparison(
        *clear_grid(),
        failure("f32-max", reason="<script>alert(1)</script>"),
        outcome("f8-max", validation=0.5, test_accuracy=0.7),
        expectations={"f16-max": (Expected("test_accuracy", "lower", "f64-max"),)},
    )


def test_the_page_is_whole_and_well_formed(whole):
    html = render_html(whole)
    page = Page(html)
    assert html.startswith("<!doctype html>")
    assert page.tags.count("table") == 4
    assert page.tags.count("svg") == 2
    assert page.tags.count("h1") == 1
    said = "".join(page.text)
    for sentence in (whole.verdict.headline, *whole.verdict.sentences, *whole.notes):
        assert sentence in said
    assert len(html) < 100_000


def test_the_page_needs_no_network(whole):
    page = Page(render_html(whole))
    assert not {"script", "link", "img", "iframe", "object"} & set(page.tags)
    assert not any({"src", "href"} & attributes.keys() for _, attributes in page.attributes)
    assert "url(" not in render_html(whole)
    assert "@import" not in render_html(whole)


def test_reasons_are_escaped(whole):
    assert "&lt;script&gt;alert(1)" in render_html(whole)


def test_tables_and_charts_are_accessible(whole):
    page = Page(render_html(whole))
    assert all("scope" in attributes for tag, attributes in page.attributes if tag == "th")
    assert page.tags.count("caption") == page.tags.count("table")
    assert ("html", {"lang": "en"}) in page.attributes
    described = [a["aria-labelledby"].split() for tag, a in page.attributes if tag == "svg"]
    ids = {a["id"] for _, a in page.attributes if "id" in a}
    assert all(set(names) <= ids for names in described)
    assert "prefers-color-scheme: dark" in render_html(whole)
    assert "@media print" in render_html(whole)


def test_links_are_shown_and_checked(whole):
    html = render_html(whole, links={"Runs & models": "http://127.0.0.1:5000/?a=1&b=2"})
    assert '<a href="http://127.0.0.1:5000/?a=1&amp;b=2">Runs &amp; models</a>' in html
    with pytest.raises(ValueError, match="must start with http"):
        render_html(whole, links={"x": "javascript:alert(1)"})


@pytest.mark.parametrize("outcomes", [(), (failure("f64-max"),), (outcome("f64-max"),)])
def test_a_page_with_nothing_to_draw(outcomes):
    assert "svg" not in Page(render_html(comparison(*outcomes))).tags


def test_points_lie_where_their_numbers_say():
    chart = scatter(comparison(*clear_grid()).ranked, "macs", "MACs per image")
    assert chart is not None
    by_label = {point.label: point for point in chart.points}
    assert by_label["f16-max"].x < by_label["f64-max"].x < by_label["f64-none"].x
    assert by_label["f64-max"].y < by_label["f64-none"].y < by_label["f16-none"].y
    for point in chart.points:
        assert chart.top <= point.high < point.y < point.low <= chart.bottom
        assert chart.left <= point.x <= chart.right
    # Ticks and points share one scale: 10 k MACs is a tick and a variant.
    assert by_label["f16-max"].x == next(t.at for t in chart.x_ticks if t.text == "10.0 k")


def test_labels_do_not_cover_each_other():
    found = comparison(
        *(
            outcome(f"f{n}-average", validation=0.9, correct=right(range(90 + n % 3)), macs=1e6 + n)
            for n in range(1, 13)
        )
    )
    chart = scatter(found.ranked, "macs", "MACs per image")
    assert chart is not None
    boxes = [(p.text_y, p.anchor) for p in chart.points]
    assert all(chart.top <= y <= chart.bottom for y, _ in boxes)
    for (y, anchor), (other_y, other_anchor) in combinations(boxes, 2):
        assert anchor != other_anchor or abs(y - other_y) >= 14


def test_equal_costs_and_accuracies_can_be_drawn():
    found = comparison(
        outcome("f64-max", correct=right()), outcome("f16-max", correct=right(), num_params=1000)
    )
    chart = scatter(found.ranked, "num_params", "parameters")
    assert chart is not None
    assert len({point.text_y for point in chart.points}) == 2


def test_a_fresh_interpreter_imports_no_framework():
    heavy = ("keras", "tensorflow", "mlflow", "prefect", "sklearn", "matplotlib")
    code = (
        "import sys, cnn_pipeline.report, cnn_pipeline.results, cnn_pipeline.comparison.render\n"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
