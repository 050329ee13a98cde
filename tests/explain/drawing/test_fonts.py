"""Class names in any script: drawn with a font that has them, or as numbers with a legend."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib import font_manager

from cnn_pipeline.explain.drawing import fonts
from cnn_pipeline.explain.drawing.page import new_page, write
from cnn_pipeline.explain.plots.confusion import draw_confusion_matrix
from cnn_pipeline.explain.plots.journey import draw_journey
from cnn_pipeline.explain.plots.mistakes import draw_misclassified
from cnn_pipeline.network.evaluation import Evaluation
from tests.explain.pages import check, png, texts
from tests.explain.plots.scripted import fake_evaluation, layers

JAPANESE, ARABIC, EMOJI, BOOT = "靴下", "حذاء", "😀", "\N{WOMANS BOOTS}"
NAMES = (JAPANESE, ARABIC, EMOJI, "Ankle boot")


def write_font(path: Path, name: str, characters: str) -> None:
    """A font in which every character is a black square."""
    pen = TTGlyphPen(None)
    for i, point in enumerate([(0, 0), (0, 700), (700, 700), (700, 0)]):
        (pen.lineTo if i else pen.moveTo)(point)
    pen.closePath()
    square = pen.glyph()
    names = [".notdef", *(f"u{ord(character):x}" for character in characters)]
    font = FontBuilder(1000, isTTF=True)
    font.setupGlyphOrder(names)
    font.setupCharacterMap(dict(zip(map(ord, characters), names[1:], strict=True)))
    font.setupGlyf(dict.fromkeys(names, square))
    font.setupHorizontalMetrics(dict.fromkeys(names, (800, 50)))
    font.setupHorizontalHeader(ascent=800, descent=-200)
    font.setupNameTable({"familyName": name, "styleName": "Regular"})
    font.setupOS2()
    font.setupPost()
    font.save(path)


@pytest.fixture(autouse=True)
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder that holds the fonts of the system: none yet but matplotlib's own."""
    own = [font for font in font_manager.fontManager.ttflist if "mpl-data" in font.fname]
    monkeypatch.setattr(font_manager.fontManager, "ttflist", own)
    monkeypatch.setattr(
        font_manager, "findSystemFonts", lambda: sorted(map(str, tmp_path.iterdir()))
    )
    caches = (fonts._found, fonts._fonts, fonts._characters)
    for cache in caches:
        cache.cache_clear()
    with warnings.catch_warnings():
        warnings.simplefilter("error")  # 'Glyph 38772 missing from font'
        yield tmp_path
    for cache in caches:
        cache.cache_clear()


def test_a_name_is_drawn_with_the_font_that_has_it(installed: Path) -> None:
    write_font(installed / "a.ttf", "Another", "あ")
    write_font(installed / "b.ttf", "Japanese", JAPANESE)
    (installed / "c.ttf").write_bytes(b"damaged")
    assert fonts.families(f"{JAPANESE} (test image 0)") == [fonts.OWN, "Japanese"]
    assert fonts.legible(NAMES) == NAMES and fonts.legend(NAMES) == ""
    figure, page = new_page(200, 100, "")
    write(page, 32, 80, JAPANESE, color="#000000")
    dark = (np.asarray(png(figure)) < 128).all(axis=2)
    assert dark.sum() > 200  # two black squares, not two frames


def test_without_a_font_a_name_becomes_a_number_and_the_legend_says_which() -> None:
    assert fonts.legible(NAMES) == ("class 0", ARABIC, EMOJI, "Ankle boot")
    assert fonts.legend(NAMES) == (
        "No installed font has all characters of these class names, so the pictures have numbers: "
        f"class 0 is {JAPANESE}. Install a font of their script, such as Noto, to see the names."
    )
    assert fonts.legend(tuple(f"靴{i}" for i in range(30))).count(" is ") == 20


def test_other_texts_have_a_question_mark_for_each_character_that_no_font_has() -> None:
    figure, page = new_page(400, 100, f"{BOOT} boot.png")
    write(page, 32, 80, "\N{BLACK SUN WITH RAYS}\N{VARIATION SELECTOR-16} sun", weight="bold")
    assert texts(figure) == ["? boot.png", "\N{BLACK SUN WITH RAYS} sun"]
    png(figure)


def test_every_plot_with_class_names_is_legible() -> None:
    scored = fake_evaluation(4, strength=1.0)
    evaluation = Evaluation(NAMES, scored.labels, scored.probabilities)
    images = np.zeros((len(scored.labels), 8, 8, 1), np.uint8)
    outputs = layers()
    outputs[-1] = type(outputs[-1])("classes", "softmax", scored.probabilities[:3])
    titles = [f"{fonts.legible(NAMES)[i]} (test image {i})" for i in range(3)]
    for figure in (
        draw_confusion_matrix(evaluation, "f8: confusions"),
        draw_misclassified(evaluation, images, "f8: mistakes"),
        draw_journey(outputs, NAMES, titles, "f8: the journey"),
    ):
        said = " ".join(check(figure))
        assert "class 0" in said and ARABIC in said and EMOJI in said
        assert JAPANESE not in said and "?" not in said
