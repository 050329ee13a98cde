"""A retraining as Markdown, HTML and JSON: what changed, the gate's table, the decision."""

from __future__ import annotations

import dataclasses
import json

from cnn_pipeline.champion.retraining.outcome import RetrainOutcome
from cnn_pipeline.comparison import templates

HEADER = ("rule", "required", "measured", "passed")


def rows(outcome: RetrainOutcome) -> list[dict[str, str]]:
    """The gate's rules as rows of a table; of a retraining that stopped at the data, those."""
    if outcome.gate is not None:
        items = [(rule.name, rule.required, rule.measured, rule.passed)
                 for rule in outcome.gate.rules]  # fmt: skip
    elif outcome.drift is not None:
        items = [(item.name, item.required, item.measured, item.passed)
                 for item in outcome.drift.findings]  # fmt: skip
    else:
        items = []
    return [
        dict(zip(HEADER, (name, required, measured, "yes" if passed else "NO"), strict=True))
        for name, required, measured, passed in items
    ]


def facts(outcome: RetrainOutcome) -> dict[str, str]:
    """What the decision rests on, by name."""
    found: dict[str, str] = {"decision": outcome.ending}
    if outcome.change is not None:
        forced = " (training was forced)" if outcome.change.forced else ""
        found["what changed"] = outcome.change.sentence + forced
        found["data digest"] = outcome.change.content.data
        found["content key"] = outcome.change.content.key
    if outcome.model:
        before, after = outcome.champion_before, outcome.champion_after
        found["champion"] = (
            f"version {after} of {outcome.model}"
            if before == after and after
            else f"{outcome.model}: {_version(before)} before, {_version(after)} now"
        )
    if outcome.challenger is not None:
        found["challenger"] = f"version {outcome.challenger}, run {outcome.challenger_run_id}"
    if outcome.sweep_id:
        found["sweep"] = outcome.sweep_id
    return found


def to_markdown(outcome: RetrainOutcome) -> str:
    """The report as Markdown."""
    lines = [f"**{_cell(outcome.message)}**", ""]
    lines += [f"- {name}: {_cell(value)}" for name, value in facts(outcome).items()]
    table = rows(outcome)
    if table:
        lines += ["", f"| {' | '.join(HEADER)} |", "|" + " --- |" * len(HEADER)]
        lines += [f"| {' | '.join(_cell(row[name]) for name in HEADER)} |" for row in table]
    return "\n".join(lines) + "\n"


def to_html(outcome: RetrainOutcome) -> str:
    """The report as one HTML document without any outside resource."""
    environment = templates.environment("champion/retraining/templates")
    return environment.get_template("retraining.html").render(
        outcome=outcome, facts=facts(outcome), header=HEADER, rows=rows(outcome)
    )


def to_json(outcome: RetrainOutcome) -> str:
    """The whole outcome as JSON."""
    return json.dumps(dataclasses.asdict(outcome), indent=2, ensure_ascii=False) + "\n"


def gate_json(outcome: RetrainOutcome) -> str:
    """The table in the form that MLflow's UI shows as one."""
    data = [[row[name] for name in HEADER] for row in rows(outcome)]
    return json.dumps({"columns": list(HEADER), "data": data})


def _version(number: int | None) -> str:
    return "none" if number is None else f"version {number}"


def _cell(text: str) -> str:
    """Text that cannot end a cell or begin a tag."""
    return text.replace("|", "\\|").replace("<", "&lt;").replace("\n", " ")
