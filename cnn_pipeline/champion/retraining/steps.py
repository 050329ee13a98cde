"""The steps of a retraining, each from records to a record; needs no Prefect server.

`cnn_pipeline.experiment.steps` has the steps of a sweep, which train the candidates.
"""

from __future__ import annotations

import dataclasses
import json
import os
from collections.abc import Mapping

from cnn_pipeline.base.errors import InvalidInput
from cnn_pipeline.base.home import Home
from cnn_pipeline.champion.gate import judge
from cnn_pipeline.champion.register import open_registry, register_run
from cnn_pipeline.champion.registry import (
    CHAMPION,
    ChampionChanged,
    ModelVersion,
    registered_name,
)
from cnn_pipeline.champion.retraining import candidates
from cnn_pipeline.champion.retraining import text as report
from cnn_pipeline.champion.retraining.changes import content_of, find_change
from cnn_pipeline.champion.retraining.drift import DataSummary, compare_data
from cnn_pipeline.champion.retraining.outcome import Assessment, Choice, Judgement, RetrainOutcome
from cnn_pipeline.champion.retraining.scoring import score_both
from cnn_pipeline.champion.retraining.settings import RetrainSettings
from cnn_pipeline.comparison.variants import best_trial
from cnn_pipeline.experiment.data_card import DataCard
from cnn_pipeline.experiment.decide import Purpose
from cnn_pipeline.experiment.fitting import fit_and_tell
from cnn_pipeline.experiment.outcome import Outcome
from cnn_pipeline.settings.sweep import Sweep
from cnn_pipeline.settings.trial import DataSettings
from cnn_pipeline.tracking import names
from cnn_pipeline.tracking.reader import Reader
from cnn_pipeline.tracking.store import open_store
from cnn_pipeline.tracking.writer import Tracker
from cnn_pipeline.trainers.protocol import Trainers


def refuse_data(data: DataSettings, error: InvalidInput) -> RetrainOutcome:
    """The outcome where new files cannot be trained on at all: reported, and nothing promoted."""
    return RetrainOutcome(
        "stopped",
        f"the data of {data.source} were refused: {'; '.join(error.faults)}. Nothing was trained "
        "and the champion stays. Correct the files; the next run reads them again.",
    )


def assess(
    settings: RetrainSettings, card: DataCard, home: Home, *, force: bool
) -> Assessment | RetrainOutcome:
    """Compare data, settings, code and libraries with the last decision and the champion's data.

    Returns:
        What is known; or how the retraining ends, where nothing changed or the data are of another
        kind than the champion's.
    """
    model = registered_name(card.name)
    registry = open_registry(home, create=True)
    # A promotion that was killed half-way is finished before anything is compared with it.
    registry.settle(model)
    champion = registry.champion(model)
    content = content_of(card.digest, settings)
    change = find_change(content, registry.versions(model), force=force)
    number = champion.version if champion else None
    here = RetrainOutcome(
        "unchanged",
        change.sentence,
        model=model,
        champion_before=number,
        champion_after=number,
        change=change,
    )
    if not change.calls_for_training:
        return here
    known = data_summary(champion) if champion else None
    drift = compare_data(known, _summary_of(card), settings.drift) if known else None
    if drift is not None and drift.stops:
        return dataclasses.replace(
            here,
            ending="stopped",
            message=f"the new data are of another kind than the champion's: {drift.reason}. "
            "Correct the data; or where they are meant, run a sweep on them and "
            "`cnn-pipeline promote RUN --why TEXT`.",
            drift=drift,
        )
    return Assessment(model, champion, change, drift)


def fit_candidates(
    settings: RetrainSettings, card: DataCard
) -> tuple[RetrainSettings, tuple[str, ...]]:
    """The settings with candidates that fit the data, and what was changed for that."""
    sweep, notes = fit_and_tell(settings.sweep, card.shape)
    return settings.model_copy(update={"sweep": sweep}), notes


def candidate_sweep(assessment: Assessment, settings: RetrainSettings, home: Home) -> Sweep:
    """The networks to train: the configured ones, and the champion's own."""
    champion = assessment.champion if settings.champion_variant else None
    if champion is None:
        return candidates.with_seeds(settings.sweep)
    reader = Reader(open_store(home, os.environ, create=False))
    sweep = candidates.candidate_sweep(settings.sweep, reader.trial(champion.run_id))
    return candidates.with_seeds(sweep)


def purpose(assessment: Assessment, home: Home) -> Purpose:
    """What the candidates are for: sweeps of the same retraining go on until it is decided."""
    decided = open_registry(home).versions(assessment.model)
    runs = (version.tags.get(names.PARENT_RUN_ID) for version in decided)
    return Purpose(assessment.change.content.key, frozenset(filter(None, runs)))


def choose(assessment: Assessment, outcome: Outcome) -> Choice | RetrainOutcome:
    """The candidate that was best on validation; or how it ends, where no candidate finished."""
    result = best_trial(outcome.results, metric=outcome.comparison.sweep.metric)
    if result is None:
        number = assessment.champion.version if assessment.champion else None
        reasons = "; ".join(f"{item.name}: {item.reason}" for item in outcome.failed)
        return RetrainOutcome(
            "failed",
            f"no candidate finished, the champion stays: {reasons}",
            model=assessment.model,
            champion_before=number,
            champion_after=number,
            change=assessment.change,
            drift=assessment.drift,
            sweep_id=outcome.sweep_id,
            experiment_id=outcome.experiment_id,
            parent_run_id=outcome.parent_run_id,
        )
    return Choice(result, outcome.sweep_id, outcome.experiment_id, outcome.parent_run_id)


def register_challenger(choice: Choice, home: Home) -> ModelVersion:
    """Register the chosen run's model, under the alias 'challenger'."""
    return register_run(choice.result.run_id, home)


def examine(
    challenger: ModelVersion,
    assessment: Assessment,
    settings: RetrainSettings,
    card: DataCard,
    pool: Trainers,
    home: Home,
) -> Judgement:
    """Load both models back from the registry, score them now, and let the gate judge."""
    metric = settings.sweep.measured_on(card.fitted_counts).measure
    ours, theirs = score_both(
        challenger,
        assessment.champion,
        open_registry(home),
        settings.data,
        card,
        pool,
        metric,
        home.state,  # the nodes of a cluster share it
    )
    return Judgement(challenger, judge(ours, theirs, card.class_names, settings.gate, metric))


def decide(
    judgement: Judgement,
    choice: Choice,
    assessment: Assessment,
    settings: RetrainSettings,
    home: Home,
    tags: Mapping[str, str],
) -> RetrainOutcome | None:
    """Move the aliases as the gate says, or keep them, and write the decision down.

    Returns:
        How the retraining ends; None if another champion came meanwhile: nothing was written, and
        the challenger must be compared with that one.
    """
    registry = open_registry(home)
    before = assessment.champion.version if assessment.champion else None
    challenger, gate = judgement.challenger, judgement.gate
    kept = {
        names.CONTENT: assessment.change.content.to_json(),
        names.CONTENT_KEY: assessment.change.content.key,
        names.CONFIG_HASH: settings.content_hash(),
        names.PARENT_RUN_ID: choice.parent_run_id,
        names.DECIDED_BY_FLOW_RUN: tags.get(names.FLOW_RUN_ID, ""),
        names.DECIDED_BY_FLOW_URL: tags.get(names.FLOW_RUN_URL, ""),
    }
    kept = {key: value for key, value in kept.items() if value}
    if gate.passed and before is None:
        registry.champion(assessment.model)  # raises if the store was lost since
    write = registry.promote if gate.passed else registry.refuse
    try:
        write(challenger, gate.reason, expected=before, tags=kept)
    except ChampionChanged:
        return None
    after = registry.by_alias(assessment.model, CHAMPION)
    return RetrainOutcome(
        "promoted" if gate.passed else "refused",
        gate.reason if gate.passed else f"Refused: {gate.reason}",
        model=assessment.model,
        champion_before=before,
        champion_after=after.version if after else None,
        challenger=challenger.version,
        change=assessment.change,
        drift=assessment.drift,
        gate=gate,
        sweep_id=choice.sweep_id,
        experiment_id=choice.experiment_id,
        parent_run_id=choice.parent_run_id,
        challenger_run_id=choice.result.run_id,
    )


def publish(outcome: RetrainOutcome, home: Home) -> None:
    """Note, Markdown and HTML on the parent run, where there is one."""
    if not outcome.parent_run_id:
        return
    tracker = Tracker(open_store(home, os.environ, create=False))
    note = Reader(tracker.store).note(outcome.parent_run_id)
    text = report.to_markdown(outcome)
    tracker.log_files(
        outcome.parent_run_id,
        {
            "retraining.md": text,
            "retraining.html": report.to_html(outcome),
            "retraining.json": report.to_json(outcome),
            "tables/gate.json": report.gate_json(outcome),
        },
    )
    # The decision first, then the sweep's picture and answer, which are the first part of its note.
    decision, _, facts = text.partition("\n\n")
    answer, _, rest = note.partition("\n\n")
    tags = {
        names.NOTE: "\n\n".join((decision, answer, facts, rest)),
        names.RETRAINING: outcome.message,
    }
    tracker.tag(outcome.parent_run_id, tags)


def data_summary(version: ModelVersion) -> DataSummary | None:
    """The data that a version was trained on; None where its sweep kept no counts."""
    text = version.tags.get(names.CLASS_COUNTS)
    if text is None:
        return None
    counts = json.loads(text)
    return DataSummary(
        digest=version.data_digest,
        image_shape=version.image_shape,
        class_names=version.class_names,
        fitted_counts=tuple(counts["fitted"]),
        test_counts=tuple(counts["test"]),
    )


def _summary_of(card: DataCard) -> DataSummary:
    return DataSummary(
        digest=card.digest,
        image_shape=card.image_shape,
        class_names=card.class_names,
        fitted_counts=card.fitted_counts,
        test_counts=card.test_counts,
    )
