"""Find installed fonts that have the characters of a text; else class names become numbers.

matplotlib's own font, DejaVu Sans, has Latin, Greek, Cyrillic, Arabic and some emoji. Other
characters are looked up in the fonts of the system. matplotlib takes each character from the
first font of a list that has it, and draws an empty box if none has.
"""

from __future__ import annotations

import contextlib
import functools
import unicodedata
from collections.abc import Sequence

from matplotlib import font_manager
from matplotlib.font_manager import FontEntry, FontPath

OWN = "DejaVu Sans"
# Noto's fonts look alike in all scripts; its Japanese face has all Chinese characters, too.
_PREFERRED = ("Noto Sans CJK JP", "Noto Sans", "Noto")
# Say how the character before is drawn, and are no characters of a font.
_SELECTORS = dict.fromkeys(range(65024, 65040))
_UNKNOWN = "?"
_MOST_LISTED = 20


def families(text: str) -> list[str]:
    """Names of the fonts to draw a text with, matplotlib's own first."""
    return [OWN, *_found(_foreign(text))[0]]


def drawable(text: str) -> str:
    """The text as it can be drawn: what no installed font has is '?'."""
    lacking = _found(_foreign(text))[1]
    plain = text.translate(_SELECTORS)
    return "".join(_UNKNOWN if character in lacking else character for character in plain)


def legible(class_names: Sequence[str]) -> tuple[str, ...]:
    """Class names for a picture: 'class 3' where no installed font has all of a name."""
    return tuple(
        f"class {number}" if _found(_foreign(name))[1] else name
        for number, name in enumerate(class_names)
    )


def legend(class_names: Sequence[str]) -> str:
    """Which names `legible` made numbers, and what helps; empty if it made none."""
    shown = zip(legible(class_names), class_names, strict=True)
    numbers = [f"{number} is {name}" for number, name in shown if number != name]
    if not numbers:
        return ""
    more = len(numbers) - _MOST_LISTED
    listed = ", ".join(numbers[:_MOST_LISTED]) + (f" and {more} more" if more > 0 else "")
    return (
        f"No installed font has all characters of these class names, so the pictures have numbers: "
        f"{listed}. Install a font of their script, such as Noto, to see the names."
    )


def _foreign(text: str) -> frozenset[str]:
    """Characters that matplotlib's own font lacks."""
    if text.isascii():
        return frozenset()
    # Its bold face has fewer.
    faces = (OWN, f"{OWN}:bold")
    known = frozenset.intersection(*(_characters(font_manager.findfont(face)) for face in faces))
    return frozenset(
        character
        for character in text.translate(_SELECTORS)
        if ord(character) not in known and unicodedata.category(character) != "Cc"
    )


@functools.cache
def _found(foreign: frozenset[str]) -> tuple[tuple[str, ...], frozenset[str]]:
    """Names of fonts that have these characters, and the characters that no font has."""
    names: list[str] = []
    lacking = set(foreign)
    for font in _fonts() if foreign else ():
        has = {c for c in lacking if ord(c) in _characters(FontPath(font.fname, font.index))}
        if has:
            names.append(font.name)
            lacking -= has
        if not lacking:
            break
    return tuple(names), frozenset(lacking)


@functools.cache
def _fonts() -> tuple[FontEntry, ...]:
    """Upright fonts, preferred ones first; the regular weight of each tells what it has.

    matplotlib keeps a list of fonts in the user's cache; fonts that are newer are added.
    """
    manager = font_manager.fontManager
    listed = {font.fname for font in manager.ttflist}
    for path in sorted(set(font_manager.findSystemFonts()) - listed):
        # Damaged, or of bitmaps, such as those of coloured emoji.
        with contextlib.suppress(OSError, RuntimeError, NotImplementedError, ValueError):
            manager.addfont(path)
    upright = [
        font
        for font in manager.ttflist
        if font.style == "normal"
        and font.weight in (400, "normal", "regular")
        and not font.name.startswith(("Last Resort", "STIX", "cm", "DejaVu"))
    ]

    def order(font: FontEntry) -> tuple[int, str]:
        starts = [font.name.startswith(name) for name in _PREFERRED]
        return starts.index(True) if True in starts else len(starts), font.name

    return tuple(sorted(upright, key=order))


@functools.cache
def _characters(path: FontPath | str) -> frozenset[int]:
    try:
        return frozenset(font_manager.get_font(path).get_charmap())
    except (OSError, RuntimeError):  # deleted or damaged since it was listed
        return frozenset()
