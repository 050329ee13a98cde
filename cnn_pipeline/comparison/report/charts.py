"""Charts drawn with Vega: each stands in the page as SVG, and is brought to life where it can.

The SVG is drawn here, so that the page shows it without JavaScript, on paper and at once.
With JavaScript the same specification is drawn again by Vega's runtime, which adds the values
under the pointer and lets one variant stand out.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import vl_convert
from markupsafe import Markup

from cnn_pipeline.base.file_cache import keep_file, kept_content

_RUNTIME = "vega"

Spec = dict[str, Any]

FOCUS = "!focus || datum.label === focus"
"""Whether a datum belongs to the variant that stands out, in Vega's expression language."""

_FONT = "system-ui, -apple-system, 'Segoe UI', sans-serif"
_AXIS = {
    "domainColor": "var(--line)",
    "gridColor": "var(--line)",
    "tickColor": "var(--line)",
    "labelColor": "var(--soft)",
    "titleColor": "var(--ink)",
    "labelFont": _FONT,
    "titleFont": _FONT,
    "labelFontSize": 12,
    "titleFontSize": 12,
    "titleFontWeight": "normal",
    "labelPadding": 5,
    "titlePadding": 8,
}
_CONFIG = {
    "background": None,
    "font": _FONT,
    "view": {"stroke": None},
    "axis": _AXIS,
    "text": {"fill": "var(--ink)", "fontSize": 12},
}


@dataclass(frozen=True)
class Chart:
    """One chart, ready for the page."""

    key: str
    """Unique on the page; letters and dashes."""
    title: str
    description: str
    """What it shows, in words: the text alternative."""
    svg: Markup
    vega: Spec
    """What Vega's runtime draws it from."""


def start() -> None:
    """Start the JavaScript engine that compiles and draws: half a second at the first call."""
    values = {"values": [{"x": 0}]}
    x = {"field": "x", "type": "quantitative"}
    vl_convert.vega_to_svg(_compiled({"data": values, "mark": "point", "encoding": {"x": x}}))


def draw(key: str, title: str, description: str, spec: Spec, still: Spec | None = None) -> Chart:
    """Compile and draw a Vega-Lite specification; `focus` is a parameter of every chart.

    `still` is what to draw as SVG where not all of `spec` is seen without a pointer.
    """
    vega = _compiled(spec)
    svg = _with_own_ids(vl_convert.vega_to_svg(_compiled(still) if still else vega), key)
    return Chart(key, title, description, Markup(svg), vega)  # Vega escapes its texts


def _compiled(spec: Spec) -> Spec:
    whole = {
        **spec,
        "config": _CONFIG,
        "params": [{"name": "focus", "value": ""}],
        "padding": 4,
        "autosize": {"type": "pad"},
    }
    vega: Spec = vl_convert.vegalite_to_vega(whole)
    return vega


def _with_own_ids(svg: str, key: str) -> str:
    """Ids that start with the chart's key: Vega's count on with every drawing of a process."""
    for number, name in enumerate(dict.fromkeys(re.findall(r'\bid="([^"]+)"', svg))):
        own = f"{key}-{number}"
        svg = svg.replace(f'id="{name}"', f'id="{own}"').replace(f"url(#{name})", f"url(#{own})")
    return svg


def runtime(cache: Path | None = None) -> Markup:
    """Vega's JavaScript, which defines `vegaEmbed`: a script's text, about 900 kB.

    Bundling it takes a second; the result is kept in `cache`, where one is given.
    """
    made_from = version("vl-convert-python")
    found = kept_content(cache, _RUNTIME, made_from) if cache else None
    if found is not None:
        return Markup(found.decode("utf-8"))
    script: str = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    script = script.replace("</script", r"<\/script")
    if cache:
        keep_file(cache, _RUNTIME, made_from, lambda path: path.write_text(script, "utf-8"))
    return Markup(script)
