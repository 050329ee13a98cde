"""Test accuracies of two ways to train, seed by seed, as a table and as a record."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from benchmarks.machine import this_machine
from benchmarks.tables import markdown, paired_interval


def written(
    file: Path,
    heading: str,
    seeds: Sequence[int],
    accuracy: Mapping[str, Sequence[float]],
    titles: Mapping[str, str],
) -> str:
    """Write `file` as `.json` and `.md`, and return the latter's text.

    accuracy: shares by way and seed. The second way is held against the first one.
    """
    first, second = ([100 * value for value in values] for values in accuracy.values())
    rows = [
        [str(seed), f"{one:.2f}", f"{other:.2f}", f"{other - one:+.2f}"]
        for seed, one, other in zip(seeds, first, second, strict=True)
    ]
    head = ["seed", *(f"{titles[way]}, test %" for way in accuracy), "difference, points"]
    text = (
        f"{heading}. {this_machine().in_words()}.\n\n"
        + markdown(head, rows)
        + f"\nMean difference {paired_interval(second, first).text(unit=' points')}.\n"
    )
    file.parent.mkdir(exist_ok=True)
    record = {"machine": this_machine().as_json(), "test_accuracy": accuracy}
    file.with_suffix(".json").write_text(json.dumps(record, indent=1), encoding="utf-8")
    file.with_suffix(".md").write_text(text, encoding="utf-8")
    return text
