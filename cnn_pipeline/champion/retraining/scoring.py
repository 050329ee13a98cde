"""Score the champion and a challenger now, with the other seeds of their recipes, for the gate."""

from __future__ import annotations

import dataclasses
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from mlflow.exceptions import MlflowException

from cnn_pipeline.base import events, metric_names
from cnn_pipeline.base.errors import UserError
from cnn_pipeline.base.home import cache_dir
from cnn_pipeline.base.metric_names import Metric
from cnn_pipeline.champion.registry import CHALLENGER, CHAMPION, ModelVersion, Registry
from cnn_pipeline.champion.scores import Candidate, Score
from cnn_pipeline.experiment.data_card import DataCard
from cnn_pipeline.network.image_scores import Scores, image_scores
from cnn_pipeline.network.results import TrialResult
from cnn_pipeline.settings.trial import DataSettings
from cnn_pipeline.tracking import names
from cnn_pipeline.tracking.models import copy_model_file, stored_model
from cnn_pipeline.tracking.reader import Reader
from cnn_pipeline.trainers.messages import ScoreJob
from cnn_pipeline.trainers.protocol import Trainers


def score_both(
    challenger: ModelVersion,
    champion: ModelVersion | None,
    registry: Registry,
    data: DataSettings,
    card: DataCard,
    pool: Trainers,
    metric: Metric = "accuracy",
    place: Path | None = None,
) -> tuple[Candidate, Candidate | None]:
    """Load both from the registry and score them on the test images of now.

    The latency of the challenger is measured in turn with that of the champion. Both models lie in
    a new folder in `place`, which trainers must see, while they are scored.
    """
    with tempfile.TemporaryDirectory(prefix="scoring-", dir=place) as folder:
        scorer = _Scorer(registry, data, card, pool, Path(folder), metric)
        theirs = rival = None
        if champion is not None:
            theirs, file = scorer.candidate(champion, CHAMPION)
            rival = file if theirs.score else None
        ours, _ = scorer.candidate(challenger, CHALLENGER, rival)
        return ours, theirs


@dataclass(frozen=True)
class _File:
    path: Path
    sha256: str


class _Scorer:
    def __init__(
        self,
        registry: Registry,
        data: DataSettings,
        card: DataCard,
        pool: Trainers,
        folder: Path,
        metric: Metric,
    ) -> None:
        self._registry, self._reader = registry, Reader(registry.store)
        self._data, self._card, self._pool, self._folder = data, card, pool, folder
        self._metric = metric

    def candidate(
        self, version: ModelVersion, alias: str, rival: _File | None = None
    ) -> tuple[Candidate, _File | None]:
        """The version as whoever asks the registry for its alias gets it, and its file."""
        run_name = version.tags.get(names.RUN_NAME, version.run_id)
        known = Candidate(
            f"{run_name} (version {version.version})",
            metrics=self._reader.metrics(version.run_id),
            run_id=version.run_id,
        )
        try:
            file = self._file(version, alias)
            events.emit(events.Stage(f"scoring the {alias}"))
            score = self._score(known.name, file, rival)
        except UserError as error:
            return dataclasses.replace(known, fault=str(error)), None
        siblings = self._siblings(version.run_id, len(score.labels))
        return dataclasses.replace(known, score=score, siblings=siblings), file

    def _file(self, version: ModelVersion, alias: str) -> _File:
        found = self._registry.by_alias(version.name, alias)
        if found is None or found.version != version.version:
            received = f"version {found.version}" if found else "nothing"
            raise UserError(
                f"alias {alias!r} must name version {version.version}, received {received}"
            )
        path = self._registry.model_file(found, self._new_folder(alias))
        return _File(path, found.sha256)

    def _score(self, name: str, file: _File, rival: _File | None = None) -> Score:
        """Raises UserError with the trainer's reason if the model cannot be scored."""
        answers = self._new_folder("answers") / "answers.npz"
        reply = self._pool.run(
            ScoreJob(
                name=name,
                model=str(file.path),
                sha256=file.sha256,
                data=self._data,
                data_digest=self._card.digest,
                cache=str(cache_dir(os.environ)),
                answers=str(answers),
                rival=str(rival.path) if rival else "",
                rival_sha256=rival.sha256 if rival else "",
            )
        )
        if reply.status != "FINISHED":
            raise UserError(reply.reason)
        with np.load(answers, allow_pickle=False) as arrays:
            return _scored(arrays["labels"], arrays["probabilities"], reply.metrics)

    def _siblings(self, run_id: str, num_test: int) -> tuple[Scores, ...]:
        """Scores of the other seeds of a run's recipe; without those that are lost."""
        answers = [self._answers(result) for result in self._reader.siblings(run_id)]
        return tuple(one for one in answers if one is not None and one.size == num_test)

    def _answers(self, result: TrialResult) -> Scores | None:
        """Scores of a trial's answers: logged ones if it had these data, else given now."""
        try:
            stored = stored_model(self._reader.store, result.run_id)
            if stored.data_digest == self._card.digest:
                given = self._reader.answers((result,)).get(result.name)
                return None if given is None else image_scores(self._metric, *given)
            path = copy_model_file(self._reader.store, stored.model_id, self._new_folder("model"))
            return self._score(result.name, _File(path, stored.sha256)).scores(self._metric)
        except (UserError, MlflowException, OSError):
            return None

    def _new_folder(self, prefix: str) -> Path:
        return Path(tempfile.mkdtemp(prefix=prefix, dir=self._folder))


def _scored(labels: np.ndarray, probabilities: np.ndarray, facts: Mapping[str, float]) -> Score:
    finite = np.isfinite(probabilities).all(axis=1)
    return Score(
        labels=labels,
        predictions=np.where(finite, probabilities.argmax(axis=1), -1),
        latency_ms=facts[metric_names.LATENCY_MS],
        model_bytes=int(facts[metric_names.MODEL_BYTES]),
        finite=bool(finite.all()),
        png_class=int(facts["png_class"]),
        array_class=int(facts["array_class"]),
        slowdown=facts.get("slowdown"),
    )
