"""The words in which progress tells of a trial."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from rich.text import Text

from cnn_pipeline.base import events, metric_names
from cnn_pipeline.base.metric_names import MEASURES, Metric
from cnn_pipeline.base.quantities import MOST, clock, counted


def ended_line(event: events.TrialEnded, metric: Metric = "accuracy") -> Text:
    """'f16-max-s0    finished in 0:38, val 0.891, test 0.886'."""
    style = "green" if event.status == "FINISHED" else "red"
    return Text.assemble((f"{event.trial:<16}", "bold"), " ", (ending(event, metric), style))


def reused_line(event: events.TrialReused) -> str:
    """'f16-max-s0: reused from run 4f1c...'."""
    return f"{event.trial}: " + ("complete" if event.own else f"reused from run {event.run_id}")


def continued_line(event: events.SweepContinued) -> str:
    """'goes on with pooling-20261122-093000-4f1c: 7 of 12 trials are complete'."""
    trials = counted(event.trials, "trial")
    return f"goes on with {event.sweep_id}: {event.complete} of {trials} are complete"


def awaited_line(event: events.TrialAwaited) -> str:
    """'f16-max-s0 is being trained elsewhere (process 123, since 09:30): waiting for it'."""
    return f"{event.trial} is being trained elsewhere ({event.holder}): waiting for it"


def round_lines(event: events.RoundEnded) -> Iterator[str]:
    """What a round has shown, and which variants were dropped after it."""
    yield f"round {event.round} ended: {event.answer}"
    for label, reason in [*event.dropped.items()][:MOST]:
        yield f"{label}: dropped after round {event.round}" + (f": {reason}" if reason else "")
    if len(event.dropped) > MOST:
        yield f"{len(event.dropped) - MOST:,} more were dropped after round {event.round}"


def stop_hint(*, concludes: bool) -> str:
    """What Ctrl-C does; `concludes` says that a round is complete with which it can end."""
    if concludes:
        return "Ctrl-C: conclude with what is there; twice: stop."
    return "Ctrl-C stops the sweep."


def ending(event: events.TrialEnded, metric: Metric = "accuracy") -> str:
    """'finished in 0:38, val 0.891, test 0.886', or the reason of a failure."""
    parts = [f"{event.status.lower()} in {clock(event.seconds)}"]
    if event.status == "FINISHED":
        parts.append(accuracies(event.metrics, metric))
    elif event.reason:
        parts = [f"{parts[0]}: {' '.join(event.reason.split())}"]
    return ", ".join(part for part in parts if part)


_SHOWN = (
    (metric_names.ACCURACY, "train"),
    (metric_names.VAL_ACCURACY, "val"),
    (metric_names.VAL_ACCURACY_FINAL, "val"),
    (metric_names.TEST_ACCURACY, "test"),
)


def accuracies(metrics: Mapping[str, float], metric: Metric = "accuracy") -> str:
    """'train 0.912, val 0.889': the accuracies among the metrics.

    Where another metric decides, the figures have their name: 'balanced accuracy: val 0.361, test
    0.303' of a trial that has ended, else 'accuracy: train 0.912, val 0.889'.
    """
    if metric != "accuracy":
        decisive = {metric_names.VALIDATION[metric]: "val", metric_names.TEST[metric]: "test"}
        ended = _figures(metrics, decisive.items())
        alone = accuracies(metrics)
        return f"{MEASURES[metric]}: {ended}" if ended else alone and f"accuracy: {alone}"
    if metric_names.VAL_ACCURACY_FINAL in metrics:  # an ended trial: the scores of the final model
        metrics = {
            k: v
            for k, v in metrics.items()
            if k not in (metric_names.ACCURACY, metric_names.VAL_ACCURACY)
        }
    return _figures(metrics, _SHOWN)


def _figures(metrics: Mapping[str, float], words: Iterable[tuple[str, str]]) -> str:
    return ", ".join(f"{word} {metrics[key]:.3f}" for key, word in words if key in metrics)


def left_text(seconds: float | None, at_most: float | None = None) -> str:
    """'about 3:10 left', or '3:10 to 14:00 left' where it is not known how many rounds follow."""
    if seconds is None:
        return ""
    if at_most is None or clock(at_most) == clock(seconds):
        return f"about {clock(seconds)} left"
    return f"{clock(seconds)} to {clock(at_most)} left"
