"""The page: its sections in order, each with a template and its content."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache as once
from pathlib import Path
from typing import Any

from jinja2 import Environment

from cnn_pipeline.base.errors import InvalidInput
from cnn_pipeline.base.quantities import MOST as MOST_VARIANTS
from cnn_pipeline.base.quantities import duration, percent
from cnn_pipeline.comparison import cells, numbers, render, scope, search, templates
from cnn_pipeline.comparison.forest import may_be_best
from cnn_pipeline.comparison.report import charts, confusions, setup
from cnn_pipeline.comparison.report.charts import Chart
from cnn_pipeline.comparison.report.curves import HEADER, curve_charts, curve_rows
from cnn_pipeline.comparison.report.data import ReportData, detailed
from cnn_pipeline.comparison.report.effects import effects_chart
from cnn_pipeline.comparison.report.forest import captions, forest_charts
from cnn_pipeline.comparison.report.galleries import MOST, Panel
from cnn_pipeline.comparison.report.journeys import journeys
from cnn_pipeline.comparison.report.legend import legend
from cnn_pipeline.comparison.report.marks import marks
from cnn_pipeline.comparison.report.pictures import picture
from cnn_pipeline.comparison.report.trade_offs import COSTS, trade_off

Pair = tuple[str, str]
_SHEET = 1600  # pixels: the contact sheet keeps its own


@dataclass(frozen=True)
class Section:
    """A part of the page with a heading."""

    key: str
    """Its anchor, and the name of its template."""
    title: str
    content: Mapping[str, Any]
    """Passed to the template as `content`."""


def render_html(data: ReportData, *, pair: Pair | None = None, cache: Path | None = None) -> str:
    """The report as one HTML document without external resources.

    Args:
        data: what to show. Empty sections are left out or say why they are empty.
        pair: labels of the two variants whose answers are compared; by default the choice and the
            baseline, or without a baseline the choice and the next.
        cache: folder that keeps Vega's JavaScript for the next report.

    Raises:
        InvalidInput: a label of `pair` has no answers in this sweep.
    """
    shown = detailed(data.comparison, pair)
    data = replace(data, trials=tuple(one for one in data.trials if one.label in shown))
    forest = forest_charts(data.comparison)
    sections, drawn = _sections(data, pair)
    looks = marks(data.comparison.ranked, data.comparison.axes)
    return (
        _environment()
        .get_template("page.html")
        .render(
            comparison=data.comparison,
            forest=forest,
            captions=captions(data.comparison),
            may_be_best=may_be_best(data.comparison),
            starred=any(row.may_be_best for row in data.comparison.ranked),
            sections=sections,
            most=MOST_VARIANTS if data.many else None,
            legend=legend(
                data.comparison.ranked[:MOST_VARIANTS], looks, scope.measure(data.comparison.sweep)
            )
            if drawn
            else (),
            numbers=numbers,
            scope=scope,
            render=render,
            cells=cells,
            runtime=charts.runtime(cache) if forest or drawn else "",
            specs={chart.key: chart.vega for chart in (*forest, *drawn)},
        )
    )


def prepare() -> None:
    """Do what makes a process' first report slow: compile templates and start Vega, 0.6 s."""
    charts.start()
    environment = _environment()
    for name in environment.list_templates(["html"]):
        environment.get_template(name)


@once
def _environment() -> Environment:
    environment = templates.environment("comparison/report/templates")
    environment.filters |= {
        "duration": duration,
        "first_cells": lambda cells, count: cells[:count],
        "percent": percent,
        "pairwise_cells": cells.pairwise_cells,
        "remarks": cells.remarks,
        "unbroken": _unbroken,
    }
    return environment


def _unbroken(text: str) -> str:
    """Keep '90.9 %' on one line."""
    for part in (" %", " points"):
        text = text.replace(part, part.replace(" ", "\N{NO-BREAK SPACE}"))
    return text


def _sections(data: ReportData, pair: Pair | None) -> tuple[list[Section], list[Chart]]:
    """The sections with content, and all charts in them."""
    comparison = data.comparison
    measure = scope.measure(comparison.sweep)
    looks = marks(comparison.ranked, comparison.axes)
    costs = [c for cost in COSTS if (c := trade_off(comparison.ranked, cost, looks, measure))]
    effects = effects_chart(comparison)
    curves = curve_charts(data.trials, looks)
    found = confusions.confusions(data.trials, [row.label for row in comparison.rows])
    labels = [confusion.label for confusion in found]
    chosen = _checked(pair, labels) if pair else _default_pair(data, labels)
    panel = _panel(data, labels)
    drawn = [*costs, *([effects] if effects else []), *curves]
    sections = [
        Section("verdict", "Verdict", {}) if comparison.verdict.sentences else None,
        _search_section(data),
        Section("trade-offs", f"{measure[0].upper()}{measure[1:]} and cost", {"charts": costs})
        if costs
        else None,
        Section("effects", "Effects of settings", {"chart": effects}) if comparison.axes else None,
        Section("differences", "Paired differences", {}) if comparison.pairwise else None,
        Section("numbers", "All numbers", {}),
        Section("expectations", "Expectations", {}) if comparison.expectations else None,
        Section("curves", "Learning curves", _curves_content(data, curves)) if curves else None,
        Section("confusions", "Confusions", _confusion_content(data, found, chosen))
        if found
        else None,
        Section("classes", "Classes", _class_content(data, found)) if found else None,
        *(_image_sections(data, panel, chosen) if found and not comparison.sweep.runs else ()),
        _journey_section(data),
        _dataset_section(data, panel),
        _set_up_section(data),
        Section("notes", "Notes", {}) if comparison.notes else None,
    ]
    return [section for section in sections if section is not None], drawn


def _checked(pair: Pair, labels: list[str]) -> Pair:
    faults = [
        f"two variants with answers are needed to compare, received {label!r}; there are "
        f"{numbers.listed(labels) or 'none'}"
        for label in dict.fromkeys(pair)
        if label not in labels
    ]
    if pair[0] == pair[1]:
        faults.append(f"two different variants are needed to compare, received {pair[0]!r} twice")
    if faults:
        raise InvalidInput(faults)
    return pair


def _default_pair(data: ReportData, labels: list[str]) -> Pair | None:
    first = data.comparison.verdict.chosen
    if first not in labels:
        first = labels[0] if labels else None
    others = [label for label in labels if label != first]
    if first is None or not others:
        return None
    baseline = data.comparison.sweep.baseline
    return first, baseline if baseline in others else others[0]


def _panel(data: ReportData, labels: list[str]) -> Panel | None:
    """One network per variant, the first seed that finished; None without images."""
    if data.images is None or not labels:
        return None
    answers = {
        label: next(trial.answers for trial in data.trials_of(label) if trial.answers)
        for label in labels
    }
    return Panel(answers, data.images)


def _curves_content(data: ReportData, curves: tuple[Chart, ...]) -> dict[str, Any]:
    return {"charts": curves, "header": HEADER, "rows": curve_rows(data.trials)}


def _class_names(data: ReportData) -> tuple[str, ...]:
    return next(trial.answers.class_names for trial in data.trials if trial.answers)


def _confusion_content(
    data: ReportData, found: tuple[confusions.Confusion, ...], pair: Pair | None
) -> dict[str, Any]:
    names = _class_names(data)
    if len(names) > confusions.MOST_CLASSES:
        listed = confusions.listed(found, names)
        return {"listed": listed, "labels": [confusion.label for confusion in found]}
    by_label = {confusion.label: confusion for confusion in found}
    in_order = sorted(found, key=lambda confusion: confusion.label not in (pair or ()))
    return {
        "listed": None,
        "class_names": names,
        "matrices": [(confusion, confusions.cells(confusion)) for confusion in in_order],
        "pair": pair,
        "difference": pair and confusions.difference_cells(by_label[pair[0]], by_label[pair[1]]),
        "json": confusions.as_json(found),
    }


def _class_content(data: ReportData, found: tuple[confusions.Confusion, ...]) -> dict[str, Any]:
    names = _class_names(data)
    shown = confusions.hardest(found, confusions.SCORES // (3 * len(found)))
    return {
        "labels": [confusion.label for confusion in found],
        "tables": [
            ("F1", confusions.class_rows(found, names, "f1", shown)),
            ("Recall", confusions.class_rows(found, names, "recall", shown)),
            ("Precision", confusions.class_rows(found, names, "precision", shown)),
        ],
        "left_out": len(names) - len(shown),
    }


def _image_sections(
    data: ReportData, panel: Panel | None, pair: Pair | None
) -> list[Section | None]:
    if panel is None:
        why = {"why": data.no_images}
        return [
            Section("disagreements", "Where variants disagree", why),
            Section("mistakes", "Mistakes", why),
        ]
    several = len(panel.answers) > 1
    sides = (
        [(pair, panel.only_right(*pair)), (pair[::-1], panel.only_right(*pair[::-1]))]
        if pair
        else []
    )
    return [
        Section(
            "disagreements",
            "Where variants disagree",
            {"why": "", "all": panel.disagreements(), "sides": sides},
        )
        if several
        else None,
        Section(
            "mistakes",
            "Mistakes",
            {
                "why": "",
                "everyone": panel.wrong_in_all() if several else None,
                "galleries": [
                    (label, panel.mistakes(label)) for label in list(panel.answers)[:MOST]
                ],
                "cut": len(panel.answers) > MOST,
            },
        ),
    ]


def _search_section(data: ReportData) -> Section | None:
    record, comparison = data.search, data.comparison
    if record is None:
        return None
    content = {
        "sentences": search.sentences(record, comparison),
        "measure": scope.measure(comparison.sweep),
        "header": search.HEADER,
        "rows": [one.cells for one in search.flattered(record, comparison)],
        "importance": [
            (name, record.axes[name], percent(share, 0))
            for name, share in record.importance.items()
        ],
    }
    return Section("search", "Search", content)


def _journey_section(data: ReportData) -> Section | None:
    labels = [row.label for row in data.comparison.rows]
    shown, left_out = journeys(data.trials, labels)
    if not shown:
        return None
    content = {"journeys": shown, "left_out": left_out}
    return Section("journeys", "Journey of the image", content)


def _dataset_section(data: ReportData, panel: Panel | None) -> Section:
    content = {
        "card": data.dataset,
        "why": data.no_images,
        "sheet": None if data.sheet is None else picture(data.sheet, _SHEET),
        "examples": panel.examples() if panel and data.sheet is None else (),
    }
    return Section("dataset", "Data set", content)


def _set_up_section(data: ReportData) -> Section | None:
    found = setup.set_up(data)
    if found is None and not data.commands and not data.facts:
        return None
    content = {
        "setup": found,
        "header": setup.LAYER_HEADER,
        "facts": data.facts,
        "commands": data.commands,
    }
    return Section("setup", "Configuration and how to run it again", content)
