"""The effect of one setting in sentences."""

from __future__ import annotations

from collections.abc import Sequence

from cnn_pipeline.base.quantities import MOST, counted, signed
from cnn_pipeline.comparison import numbers
from cnn_pipeline.comparison.setting_names import axis_title, level_text, place_text
from cnn_pipeline.comparison.types import AxisEffects, Difference, Effect
from cnn_pipeline.settings.trial import Training


def setting_sentence(axis: AxisEffects, ranking: str = "on validation", unit: str = "seed") -> str:
    """Which level of a setting is best, by how much, with which evidence and at which cost."""
    if axis.leader is None:
        return setting_answer(axis)
    return " ".join(
        (
            setting_answer(axis, ranking, unit),
            *_disagreements([e for e in axis.contrasts if not (e.one_direction or axis.simple)]),
            *_effect_costs(axis, level_text(axis.axis, axis.leader)),
        )
    )


def setting_answer(axis: AxisEffects, ranking: str = "on validation", unit: str = "seed") -> str:
    """Which level of a setting is best, by how much and with which evidence.

    `ranking` says what the leading level leads in, `unit` what a variant has several of.
    Where the effect depends on another setting, it is said for each of its levels first.
    """
    title = axis_title(axis.axis)
    if axis.leader is None:
        return (
            f"{title}: the effect is not estimable, because no two finished variants with a "
            "common seed differ in this setting alone."
        )
    shared = any(e.validation == 0 for e in axis.contrasts)
    led = "shared the lead" if shared else "led"
    text = f"{title}: {level_text(axis.axis, axis.leader)} {led} {ranking}; "
    if not axis.simple:
        return f"{text}on test{_among(axis.contrasts)} {_results(axis.contrasts, unit)}."
    others = dict.fromkeys(axis_title(name).lower() for e in axis.simple for name in e.where)
    text += f"on test{_among(axis.simple)} the effect depends on {numbers.in_words([*others])}."
    places = [*dict.fromkeys(place_text(e.where) for e in axis.simple)]
    shown = places[: max(1, MOST // len(axis.contrasts))]
    for place in shown:
        here = [e for e in axis.simple if place_text(e.where) == place]
        text += f" {place.removeprefix(', ').capitalize()}: {_results(here, unit)}."
    if len(shown) < len(places):
        text += f" The table has {len(places) - len(shown)} more."
    return f"{text} On average: {_results(axis.contrasts, unit)}."


def _among(effects: Sequence[Effect]) -> str:
    """One seed says nothing about the setting."""
    bases = {e.basis for e in effects} - {"none"}
    return ", among these networks," if bases == {"models"} else ""


def _results(effects: Sequence[Effect], unit: str) -> str:
    better = [e for e in effects if e.significant and (e.estimate or 0) > 0]
    worse = [e for e in effects if e.significant and (e.estimate or 0) < 0]
    alike = [e for e in effects if e.interval is not None and not e.significant]
    untested = [e for e in effects if e.interval is None]
    parts = [
        f"{words} {_effects_text(group, unit)}"
        for words, group in (
            ("significantly better than", better),
            ("significantly worse than", worse),
            ("no significant difference from", alike),
        )
        if group
    ]
    parts += [f"not compared with {level_text(e.axis, e.against)} ({e.reason})" for e in untested]
    return "; ".join(parts)


def _effects_text(effects: Sequence[Effect], unit: str) -> str:
    return numbers.listed(
        [f"{level_text(e.axis, e.against)} ({evidence(e, _pairs_text(e, unit))})" for e in effects]
    )


def _pairs_text(effect: Effect, unit: str) -> str:
    pairs = counted(len(effect.pairs), "matched pair")
    return f"{pairs}, {counted(len(effect.seeds), unit)}"


def evidence(found: Effect | Difference, extra: str = "") -> str:
    """'+0.81 points, 95 % +0.55 to +1.07'."""
    parts = [f"{signed(found.estimate)} points"]
    if found.interval:
        parts.append(f"95 % {numbers.signed_range(found.interval)}")
    if extra:
        parts.append(extra)
    return ", ".join(parts if found.interval else [*parts, "no interval"])


def _disagreements(effects: Sequence[Effect]) -> list[str]:
    left_out = len(effects) - MOST
    more = [f"So it is for {left_out} more levels."] if left_out > 0 else []
    return [*map(_disagreement, effects[:MOST]), *more]


def _disagreement(effect: Effect) -> str:
    known = [pair.difference for pair in effect.pairs if pair.difference is not None]
    return (
        f"Against {level_text(effect.axis, effect.against)} the single pairs run from "
        f"{signed(min(known))} to {signed(max(known))} points: it depends on the "
        "other settings, or is noise."
    )


def _effect_costs(axis: AxisEffects, leader: str) -> list[str]:
    """Ratios of what settings, most of all pooling, cost: parameters and MACs, or time."""
    sentences, costs = [], []
    for effect in axis.contrasts:
        if axis.axis in Training.model_fields:  # the network is the same
            if effect.seconds_ratio is not None:
                other = level_text(effect.axis, effect.against)
                costs.append(f"{numbers.ratio(effect.seconds_ratio)} the training time of {other}")
            continue
        if effect.params_ratio is None or effect.macs_ratio is None:
            continue
        other = level_text(effect.axis, effect.against)
        if axis.axis == "pooling" and "none" in (effect.level, effect.against):
            sign, name = (1, other) if effect.level == "none" else (-1, leader)
            sentences.append(
                "No pooling is not one change: it takes "
                f"{cost_ratios(effect.params_ratio**sign, effect.macs_ratio**sign)} {name}."
            )
        else:
            costs.append(f"{cost_ratios(effect.params_ratio, effect.macs_ratio)} {other}")
    if costs:
        left_out = len(costs) - MOST
        costs = [*costs[:MOST], *([f"and {left_out} more"] if left_out > 0 else [])]
        sentences.append(f"{leader[0].upper()}{leader[1:]}: {'; '.join(costs)}.")
    return sentences


def cost_ratios(params: float, macs: float) -> str:
    """'2.08x the parameters and 2.99x the MACs of'."""
    return f"{numbers.ratio(params)} the parameters and {numbers.ratio(macs)} the MACs of"
