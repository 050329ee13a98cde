"""The page: complete, safe, self-contained and accessible."""

from __future__ import annotations

import dataclasses
import re
import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

import cnn_pipeline
from cnn_pipeline.base.errors import InvalidInput
from cnn_pipeline.comparison.report import charts
from cnn_pipeline.comparison.report.data import ReportData
from cnn_pipeline.comparison.report.page import prepare, render_html
from cnn_pipeline.comparison.rounds_text import ending
from cnn_pipeline.comparison.types import Expected
from tests.comparison.report.html import Page
from tests.comparison.report.scripted import CLASSES, answers, images, picture, trial, whole
from tests.comparison.scripted import clear_grid, comparison, failure, outcome, right
from tests.comparison.test_rounds import decided

SECTIONS = [
    "Answer",
    "Verdict",
    "Accuracy and cost",
    "Effects of settings",
    "Paired differences",
    "All numbers",
    "Expectations",
    "Learning curves",
    "Confusions",
    "Classes",
    "Where variants disagree",
    "Mistakes",
    "Journey of the image",
    "Data set",
    "Configuration and how to run it again",
    "Notes",
]


@pytest.fixture(scope="module", autouse=True)
def _bundled_once() -> Iterator[None]:
    """Bundle Vega's JavaScript for the first page only: it takes a second."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(charts, "runtime", cache(charts.runtime))
        yield


@pytest.fixture(scope="module")
def data() -> ReportData:
    compared = comparison(
        *clear_grid(),
        failure("f32-max", reason="<script>alert(1)</script>"),
        outcome("f8-max", validation=0.5, test_accuracy=0.7),
        expectations={"f16-max": (Expected("test_accuracy", "lower", "f64-max"),)},
    )
    return whole(compared=compared)


@pytest.fixture(scope="module")
def html(data: ReportData) -> str:
    return render_html(data)


@pytest.fixture(scope="module")
def page(html: str) -> Page:
    return Page(html)


def test_the_answer_comes_first_and_every_section_follows(page: Page, data: ReportData) -> None:
    assert [said for level, said in page.headings if level == 2] == SECTIONS
    found = data.comparison
    for sentence in (found.verdict.headline, *found.verdict.sentences, *found.notes):
        assert sentence in page.said
    assert page.said.index(found.verdict.headline) < page.said.index("Ranked by")


def test_the_first_screen_is_a_sentence_a_picture_and_a_table_and_the_rest_is_folded(
    html: str, data: ReportData
) -> None:
    first = html[html.index("<main>") : html.index('<details class="part">')]
    page = Page(f"{first}</main>")
    verdict = data.comparison.verdict
    assert verdict.headline in page.said and verdict.sentences[0] not in page.said
    drawn = [found["id"] for tag, found in page.attributes if found.get("class") == "plot"]
    assert drawn == ["forest-variants", "forest-effects"]
    assert page.tags.count("table") == 1
    folded = [found for tag, found in Page(html).attributes if found.get("class") == "part"]
    assert len(folded) == len(SECTIONS) - 1 and not any("open" in found for found in folded)


def test_a_star_marks_what_may_still_be_best() -> None:
    found = comparison(*clear_grid())
    first, *others = found.rows
    known = dataclasses.replace(found, rows=(dataclasses.replace(first, may_be_best=True), *others))
    page = Page(render_html(ReportData(known)))
    assert "★ May still be best" in page.said
    starred = {text.strip() for text in page.text if text.endswith((" ★", "1*"))}
    assert starred == {"f64-max ★", "1*"}
    said = Page(render_html(ReportData(found))).said
    assert "f16-max" in said and "★" not in said and "*" not in said


def test_the_first_screen_says_how_the_rounds_ended() -> None:
    rounds = decided({"a": [90, 90, 90], "b": [80, 80, 81]})
    known = dataclasses.replace(comparison(*clear_grid()), rounds=rounds)
    html = render_html(ReportData(known))
    first = Page(html[html.index("<main>") : html.index('<details class="part">')] + "</main>")
    assert ending(rounds)[1:] in first.said


def test_the_page_needs_no_network(html: str, page: Page) -> None:
    assert not {"iframe", "object", "embed", "video"} & set(page.tags)
    assert all(source.startswith("data:") for source in page.values("img", "src"))
    assert page.values("script", "src") == []
    assert all(href.startswith(("#", "data:")) for href in page.values("link", "href"))
    assert all(href.startswith("#") for href in page.values("a", "href"))
    style = html[html.index("<style>") : html.index("</style>")]
    assert "url(" not in style and "@import" not in style


def test_the_page_is_small(html: str) -> None:
    assert len(html.encode()) < 2_000_000


def test_user_texts_are_escaped(html: str, page: Page) -> None:
    assert "&lt;script&gt;alert(1)" in html
    assert "<script>alert" not in html
    assert "shirt &amp; tie" in html and "shirt & tie" in page.said


def test_a_class_name_cannot_end_the_script_that_holds_the_counts() -> None:
    names = ("</script><b>", "b", "c")
    first, second = clear_grid()[:2]
    trials = tuple(
        trial(one, answers=answers(correct, names))
        for one, correct in (first, second)
        for one in [(one, correct)]
        if correct is not None
    )
    assert "b" not in Page(render_html(whole(first, second, trials=trials))).tags


def test_the_page_is_accessible_to_screen_readers(page: Page) -> None:
    assert ("html", {"lang": "en"}) in page.attributes
    levels = [level for level, _ in page.headings]
    assert levels.count(1) == 1 and levels[0] == 1
    assert all(below - above <= 1 for above, below in pairwise(levels))
    assert {"header", "main", "footer"} <= set(page.tags)
    assert page.tags.index("a") < page.tags.index("header")  # the skip link is the first stop
    assert page.tags.count("caption") == page.tags.count("table") > 8
    assert all("scope" in found for tag, found in page.attributes if tag == "th")
    alts = page.values("img", "alt")
    assert len(alts) == page.tags.count("img") > 40 and all(alts)
    assert all(page.values("div", "aria-label"))


def test_ids_are_unique_and_every_reference_has_its_target(html: str, page: Page) -> None:
    assert len(page.ids) == len(set(page.ids))
    assert {href[1:] for href in page.values("a", "href")} <= set(page.ids)
    assert set(page.values("section", "aria-labelledby")) <= set(page.ids)
    drawn = html[: html.index('id="specs"')]
    assert set(re.findall(r"url\(#([^)]+)\)", drawn)) <= set(page.ids)


def test_charts_stand_in_the_page_without_javascript(page: Page) -> None:
    charts = [found for tag, found in page.attributes if found.get("class") == "plot"]
    assert [found["id"] for found in charts] == [
        "forest-variants",
        "forest-effects",
        "chart-num-params",
        "chart-macs",
        "chart-train-seconds",
        "chart-effects",
        "chart-val-accuracy",
        "chart-accuracy",
        "chart-val-loss",
        "chart-loss",
    ]
    assert all(found["role"] == "img" and found["aria-label"] for found in charts)
    # And one for each variant in the legend, which is printed beside two groups of charts.
    assert page.tags.count("svg") == len(charts) + 3 * 5


def _scheme(style: str, scheme: str) -> dict[str, str]:
    found = re.findall(r"(--[a-z0-9]+): (#[0-9a-f]{6})", style)
    half = len(found) // 2
    return dict(found[:half] if scheme == "light" else found[half:])


def _luminance(colour: str) -> float:
    """Relative luminance, WCAG 2.2."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def _contrast(one: str, other: str) -> float:
    low, high = sorted((_luminance(one), _luminance(other)))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_have_enough_contrast(scheme: str) -> None:
    folder = Path(cnn_pipeline.__file__).parent / "comparison" / "report" / "templates"
    colours = _scheme((folder / "style.css").read_text("utf-8"), scheme)
    assert len(colours) == 19
    for name in ("--ink", "--soft", "--accent", "--good", "--bad"):
        assert _contrast(colours[name], colours["--paper"]) >= 4.5, name
    for name in ("--paper", "--panel", "--heat", "--more", "--less"):
        assert _contrast(colours["--ink"], colours[name]) >= 4.5, name
    assert _contrast(colours["--soft"], colours["--panel"]) >= 4.5
    for number in range(8):
        assert _contrast(colours[f"--v{number}"], colours["--paper"]) >= 3, number


def test_the_same_data_give_the_same_page(data: ReportData, html: str) -> None:
    assert render_html(data) == html


@pytest.mark.parametrize("outcomes", [(), (failure("f64-max"),), (outcome("f64-max"),)])
def test_a_page_with_nothing_to_draw_has_no_charting_library(outcomes: tuple) -> None:
    html = render_html(ReportData(comparison(*outcomes)))
    assert 'class="plot"' not in html
    assert len(html) < 40_000
    assert next(said for level, said in Page(html).headings if level == 2) == SECTIONS[0]


def test_a_comparison_alone_makes_a_page() -> None:
    said = Page(render_html(ReportData(comparison(*clear_grid())))).said
    assert "The data set cannot be described: they were not given to the report." in said


def test_missing_images_are_explained_and_the_rest_stays() -> None:
    page = Page(render_html(whole(images=None, dataset=None, no_images="the disk is <gone>")))
    assert page.said.count("The images cannot be shown: the disk is <gone>.") == 2
    assert "Where two variants differ" in page.said
    assert [source[:16] for source in page.values("img", "src")] == ["data:image/webp;"] * 4


def test_the_contact_sheet_takes_the_place_of_the_examples() -> None:
    page = render_html(whole(sheet=picture(300, 200)))
    assert 'class="sheet"' in page and 'class="examples"' not in page
    assert 'class="sheet"' not in render_html(whole())
    assert "0 further test images are nearly the same" in Page(page).said


def test_the_page_names_its_metric_and_ends_its_sentences() -> None:
    compared = comparison(*clear_grid())
    sweep = dataclasses.replace(
        compared.sweep, description="mine with --filters 8", metric="macro_f1"
    )
    said = Page(render_html(whole(compared=dataclasses.replace(compared, sweep=sweep)))).said
    assert "mine with --filters 8. Sweep" in said
    assert "95 % intervals of test macro F1." in said


def test_warnings_stand_below_the_answer() -> None:
    compared = comparison(*clear_grid(), warnings=("1 class (<b>) without a test image",))
    page = Page(render_html(whole(compared=compared)))
    assert "Warning: 1 class (<b>) without a test image." in page.said
    assert page.said.index("Warning: 1") < page.said.index("Ranked by")


def test_the_pair_is_the_choice_and_the_baseline_unless_given(data: ReportData) -> None:
    grid = clear_grid()
    against = whole(compared=comparison(*grid, baseline="f16-none"))
    assert "Only f64-max is right, not f16-none" in Page(render_html(against)).said
    asked = Page(render_html(data, pair=("f16-max", "f64-none"))).said
    assert "Test images of f16-max minus those of f64-none." in asked
    assert "Only f64-none is right, not f16-max" in asked


def test_a_pair_that_cannot_be_compared_is_refused(data: ReportData) -> None:
    with pytest.raises(InvalidInput) as refused:
        render_html(data, pair=("f99-max", "f32-max"))
    assert len(refused.value.faults) == 2
    assert "received 'f99-max'; there are f64-max, f64-none" in refused.value.faults[0]
    with pytest.raises(InvalidInput, match="twice"):
        render_html(data, pair=("f64-max", "f64-max"))


def test_one_variant_has_no_disagreements() -> None:
    said = Page(render_html(whole(clear_grid()[0]))).said
    assert "Where variants disagree" not in said and "Wrong in every variant" not in said
    assert "Most confident mistakes" in said


def test_many_classes_are_listed_instead_of_a_matrix() -> None:
    names = tuple(f"class {number}" for number in range(30))
    trials = tuple(
        trial(one, answers=answers(one[1], names)) for one in clear_grid() if one[1] is not None
    )
    page = Page(render_html(whole(trials=trials)))
    assert "There are too many classes for a matrix" in page.said
    assert "matrix" not in " ".join(page.values("table", "class"))


def test_large_colour_images_keep_the_page_small() -> None:
    html = render_html(whole(images=images((300, 200, 3))))
    assert len(html) < 2_500_000
    assert CLASSES[0] in html


def test_a_large_sweep_stays_within_its_size() -> None:
    many = [outcome(f"f{n}-max", correct=right(range(50 + n))) for n in range(1, 41)]
    names = tuple(f"class {number}" for number in range(20))
    curves = dict.fromkeys(
        ("loss", "accuracy", "val_loss", "val_accuracy"), tuple(np.linspace(0.9, 0.1, 300))
    )
    trials = tuple(
        trial(one, answers=answers(one[1], names), curves=curves, journey=picture(1200, 300))
        for one in many
        if one[1] is not None
    )
    noise = np.random.default_rng(0).integers(0, 256, (1000, 64, 64, 3), dtype=np.uint8)
    html = render_html(whole(*many, trials=trials, images=noise))
    assert len(html.encode()) < 8_000_000
    assert "these are left out: f" in Page(html).said


def test_a_variant_with_several_seeds_counts_all_and_shows_the_first() -> None:
    seeds = [
        outcome("f64-max", seed=0, correct=right(range(50))),
        outcome("f64-max", seed=1, correct=right(range(50, 90))),
        outcome("f16-max", seed=0, correct=right(range(150))),
        outcome("f16-max", seed=1, correct=right(range(130))),
    ]
    said = Page(render_html(whole(*seeds))).said
    assert "Answers of f64-max on the test images, all 2 seeds together." in said
    assert "f64-max: 50 images, 14 shown" in said


def test_a_fresh_interpreter_imports_no_framework() -> None:
    heavy = ("keras", "tensorflow", "mlflow", "prefect", "sklearn", "matplotlib")
    code = (
        "import sys, cnn_pipeline.comparison.report.page, cnn_pipeline.comparison.render\n"
        f"print([name for name in {heavy} if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_prepared_process_writes_the_same_page(data: ReportData, html: str) -> None:
    code = "from cnn_pipeline.comparison.report.page import prepare; prepare(); prepare()"
    subprocess.run([sys.executable, "-c", code], check=True)  # as the first thing a process draws
    prepare()
    assert render_html(data) == html
