"""The history of a registered model as a picture, and as a page with the reasons below it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import altair as alt
import vl_convert
from markupsafe import Markup

from cnn_pipeline.base.quantities import percent
from cnn_pipeline.champion.story import Moment
from cnn_pipeline.champion.story_text import PAST
from cnn_pipeline.comparison import templates

_FONT = "sans-serif"
_SOFT = "#57606a"
_LINE = "#0b5cad"
_KINDS = {  # by what happened: colour and shape, so that neither is needed alone
    "promoted": ("#0b5cad", "circle"),
    "rolled back": ("#8e3f00", "triangle-left"),
    "refused": ("#b42318", "cross"),
}
_SIZE = {"width": 820, "height": 320}


def story_svg(name: str, moments: Sequence[Moment], now: datetime) -> str:
    """The champion's accuracy as a line up to `now`, with every decision as a mark; SVG."""
    return str(vl_convert.vegalite_to_svg(_specification(name, moments, now)))


def story_png(name: str, moments: Sequence[Moment], now: datetime) -> bytes:
    """The same picture as PNG, twice as large for sharp screens."""
    return bytes(vl_convert.vegalite_to_png(_specification(name, moments, now), scale=2))


def story_html(name: str, moments: Sequence[Moment], now: datetime) -> str:
    """A page that needs no network: the picture, and the decisions as a table, newest first."""
    environment = templates.environment("champion/templates")
    environment.filters["percent"] = percent
    return environment.get_template("history.html").render(
        name=name,
        moments=tuple(reversed(moments)),
        past=PAST,
        svg=Markup(story_svg(name, moments, now)),  # Vega escapes its texts
    )


def _specification(name: str, moments: Sequence[Moment], now: datetime) -> dict[str, Any]:
    hours = (now - min(one.at for one in moments)) < timedelta(days=2) if moments else True
    x = (
        alt.X("at:T")
        .title("time (UTC)")
        .scale(padding=16, nice=False)
        .axis(labelOverlap=True, tickCount=6, format="%d %b %H:%M" if hours else "%Y-%m-%d")
    )
    y = (
        alt.Y("accuracy:Q")
        .title("test accuracy")
        .scale(zero=False, nice=True, padding=12)
        .axis(format="~%", tickCount=6)
    )
    line = (
        alt.Chart(alt.InlineData(_line(moments, now)))
        .mark_line(interpolate="step-after", color=_LINE, strokeWidth=2)
        .encode(x=x, y=y)
    )
    kinds = list(_KINDS)
    marks = alt.Chart(alt.InlineData(_points(moments))).encode(x=x, y=y)
    points = marks.mark_point(size=90, filled=True, opacity=1).encode(
        color=alt.Color("what:N")
        .title(None)
        .scale(domain=kinds, range=[color for color, _ in _KINDS.values()])
        .legend(orient="top", symbolOpacity=1),
        shape=alt.Shape("what:N")
        .title(None)
        .scale(domain=kinds, range=[shape for _, shape in _KINDS.values()]),
    )
    text = marks.encode(text="label:N")
    halo = text.mark_text(dx=9, dy=-11, fontSize=11, stroke="white", strokeWidth=4)
    labels = text.mark_text(dx=9, dy=-11, fontSize=11, color=_SOFT)
    layers: list[alt.Chart] = [line, points, halo, labels]
    changed = [{"at": _stamp(one.at), "label": "other data"} for one in moments if one.other_data]
    if changed:
        rules = alt.Chart(alt.InlineData(changed)).encode(x=x)
        layers += [
            rules.mark_rule(strokeDash=[4, 4], color=_SOFT),
            rules.mark_text(align="left", dx=4, color=_SOFT, fontSize=11).encode(
                y=alt.value(8), text="label:N"
            ),
        ]
    chart = (
        alt.LayerChart(layer=layers)
        .properties(title=f"{name}: test accuracy of the champion", **_SIZE)
        .configure(font=_FONT, background="white")
        .configure_title(anchor="start", fontSize=15, fontWeight="normal", offset=10)
        .configure_axis(titleFontWeight="normal", titleFontSize=12, labelFontSize=11)
        .configure_legend(labelFontSize=12)
        .configure_view(stroke=None)
    )
    specification: dict[str, Any] = chart.to_dict()
    return specification


def _line(moments: Sequence[Moment], now: datetime) -> list[dict[str, Any]]:
    """Where the champion changed, and where it stands now."""
    changes = [one for one in moments if one.action != "refuse"]
    steps = [{"at": _stamp(one.at), "accuracy": one.champion_accuracy} for one in changes]
    return [*steps, {**steps[-1], "at": _stamp(now)}] if steps else []


def _points(moments: Sequence[Moment]) -> list[dict[str, Any]]:
    return [
        {
            "at": _stamp(one.at),
            "accuracy": one.accuracy,
            "what": PAST[one.action],
            "label": str(one.version),
        }
        for one in moments
        if one.accuracy is not None
    ]


def _stamp(moment: datetime) -> str:
    """Without a zone: Vega would show the reader's."""
    return moment.strftime("%Y-%m-%dT%H:%M:%S")
