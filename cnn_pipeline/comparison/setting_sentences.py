"""The effect of one setting in sentences."""

from __future__ import annotations

from collections.abc import Sequence

from cnn_pipeline.base.quantities import signed
from cnn_pipeline.comparison import numbers
from cnn_pipeline.comparison.setting_names import axis_title, level_text
from cnn_pipeline.comparison.types import AxisEffects, Difference, Effect


def setting_sentence(axis: AxisEffects) -> str:
    """Which level of a setting won, by how much, with which evidence and at which cost."""
    title = axis_title(axis.axis)
    if axis.leader is None:
        return (
            f"{title}: the effect is not estimable, because no two finished variants with a "
            "common seed differ in this setting alone."
        )
    leader = level_text(axis.axis, axis.leader)
    better = [e for e in axis.contrasts if e.sure and (e.estimate or 0) > 0]
    worse = [e for e in axis.contrasts if e.sure and (e.estimate or 0) < 0]
    alike = [e for e in axis.contrasts if e.p_corrected is not None and not e.sure]
    untested = [e for e in axis.contrasts if e.p_corrected is None]
    if len(better) == len(axis.contrasts):
        parts = [f"{leader} won"]
    else:
        shared = any(e.validation == 0 for e in axis.contrasts)
        led = "shared the lead" if shared else "led"
        parts = [f"no clear winner; {leader} {led} on validation"]
    if better:
        parts.append(f"on test surely above {_effects_text(better)}")
    if worse:
        parts.append(f"on test surely below {_effects_text(worse)}")
    if alike:
        parts.append(f"on test not to be told apart from {_effects_text(alike)}")
    parts += [f"{level_text(e.axis, e.against)} is not compared ({e.reason})" for e in untested]
    return " ".join(
        (
            f"{title}: {'; '.join(parts)}.",
            *(_disagreement(e) for e in axis.contrasts if not e.one_direction),
            *_effect_costs(axis, leader),
        )
    )


def _effects_text(effects: Sequence[Effect]) -> str:
    return numbers.in_words(
        [f"{level_text(e.axis, e.against)} ({evidence(e, _pairs_text(e))})" for e in effects]
    )


def _pairs_text(effect: Effect) -> str:
    pairs = "1 matched pair" if len(effect.pairs) == 1 else f"{len(effect.pairs)} matched pairs"
    return pairs if len(effect.seeds) == 1 else f"{pairs}, {len(effect.seeds)} seeds"


def evidence(found: Effect | Difference, extra: str = "") -> str:
    """'+0.81 points, 95 % +0.55 to +1.07, p < 0.001'."""
    parts = [f"{signed(found.estimate)} points"]
    if found.interval:
        parts.append(f"95 % {numbers.signed_range(found.interval)}")
    if extra:
        parts.append(extra)
    return ", ".join([*parts, numbers.p_text(found.p_corrected)])


def _disagreement(effect: Effect) -> str:
    known = [pair.difference for pair in effect.pairs if pair.difference is not None]
    return (
        f"Against {level_text(effect.axis, effect.against)} the single pairs run from "
        f"{signed(min(known))} to {signed(max(known))} points: it depends on the "
        "other settings, or is noise."
    )


def _effect_costs(axis: AxisEffects, leader: str) -> list[str]:
    """Ratios of parameters and MACs: settings, most of all pooling, also change the cost."""
    sentences, costs = [], []
    for effect in axis.contrasts:
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
        sentences.append(f"{leader[0].upper()}{leader[1:]}: {'; '.join(costs)}.")
    return sentences


def cost_ratios(params: float, macs: float) -> str:
    """'2.08x the parameters and 2.99x the MACs of'."""
    return f"{numbers.ratio(params)} the parameters and {numbers.ratio(macs)} the MACs of"
