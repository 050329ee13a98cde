"""What is said about a sweep while it runs."""

from __future__ import annotations

from cnn_pipeline.comparison.types import Progress, Verdict

_MOST_NAMES = 12


def partial_verdict(progress: Progress) -> Verdict:
    """A verdict that draws no conclusion."""
    if progress.round:
        headline = (
            f"Partial: round {progress.round}, {progress.ended} of {progress.total} trainings have "
            "ended and the sweep is running. Conclusions wait until it has ended."
        )
        return Verdict(headline, (), basis="none")
    headline = (
        f"Partial: {progress.ended} of {progress.total} trials have ended and the sweep is "
        "running. Conclusions wait until all have ended."
    )
    return Verdict(headline, (), basis="none")


def remaining_note(progress: Progress) -> tuple[str, ...]:
    """Which trials have not ended; empty if all have."""
    names = progress.remaining
    return (f"Not ended yet: {_listed(names)}.",) if names else ()


def never_run_note(names: tuple[str, ...], total: int) -> tuple[str, ...]:
    """Which trials of a sweep that has ended have no run; empty if all have one."""
    if not names:
        return ()
    return (
        f"The sweep ended before {len(names)} of its {total} trials began: {_listed(names)}. "
        "Run it again: what has finished is reused.",
    )


def _listed(names: tuple[str, ...]) -> str:
    more = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {more} more" if more > 0 else "")
