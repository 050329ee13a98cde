"""Charts written with Altair: SVG in the page, made interactive by the browser.

The SVG is drawn here, so that the page shows it at once, without JavaScript and in print. With
JavaScript, Vega draws the same specification again, with tooltips and a legend that highlights
a variant.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import altair as alt
import vl_convert
from markupsafe import Markup

from cnn_pipeline.base.file_cache import keep_file, kept_content

_RUNTIME = "vega"

_FONT = "system-ui, -apple-system, 'Segoe UI', sans-serif"
_AXIS = alt.AxisConfig(
    domainColor="var(--line)",
    gridColor="var(--line)",
    tickColor="var(--line)",
    labelColor="var(--soft)",
    titleColor="var(--ink)",
    labelFont=_FONT,
    titleFont=_FONT,
    labelFontSize=12,
    titleFontSize=12,
    titleFontWeight="normal",
    labelPadding=5,
    titlePadding=8,
)


@dataclass(frozen=True)
class Chart:
    """One chart, ready for the page."""

    key: str
    """Id, unique on the page: letters and hyphens."""
    title: str
    description: str
    """The text alternative: what the chart shows, in words."""
    svg: Markup
    vega: dict[str, Any]
    """Vega's specification of the chart."""


def faded(opacity: float) -> alt.OpacityValue:
    """Fade all but the focused variant to `opacity`. The variant of a row is its `label`."""
    focused = {"test": "!focus || datum.label === focus", "value": 1}
    return alt.OpacityValue(opacity, condition=focused)


def start() -> None:
    """Start the JavaScript engine that compiles and draws. The first call takes half a second."""
    vl_convert.vega_to_svg(
        _compiled(alt.LayerChart(layer=[alt.Chart(alt.InlineData([{}])).mark_point()]))
    )


def draw(
    key: str,
    title: str,
    description: str,
    chart: alt.LayerChart,
    still: alt.LayerChart | None = None,
) -> Chart:
    """Compile and draw `chart`, which must have the parameter `focus`.

    `still` is drawn as SVG instead if parts of `chart` only react to a pointer.
    """
    vega = _compiled(chart)
    svg = _with_own_ids(vl_convert.vega_to_svg(_compiled(still) if still else vega), key)
    return Chart(key, title, description, Markup(svg), vega)  # Vega escapes its texts


def _compiled(chart: alt.LayerChart) -> dict[str, Any]:
    whole = chart.add_params(alt.param("focus", value="")).configure(
        autosize="pad",
        background="transparent",
        font=_FONT,
        padding=4,
        view=alt.ViewConfig(stroke=None),
        axis=_AXIS,
        text=alt.MarkConfig(fill="var(--ink)", fontSize=12),
    )
    vega: dict[str, Any] = whole.to_dict(format="vega")
    return vega


def _with_own_ids(svg: str, key: str) -> str:
    """Make ids start with the chart's key: Vega numbers them across all charts of a process."""
    for number, name in enumerate(dict.fromkeys(re.findall(r'\bid="([^"]+)"', svg))):
        own = f"{key}-{number}"
        svg = svg.replace(f'id="{name}"', f'id="{own}"').replace(f"url(#{name})", f"url(#{own})")
    return svg


def runtime(cache: Path | None = None) -> Markup:
    """Vega's JavaScript, about 900 kB, which defines `vegaEmbed`.

    Bundling takes a second, so the result is kept in `cache`, if given.
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
