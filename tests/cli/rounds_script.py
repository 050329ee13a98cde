"""The events of a sweep with seeds 'auto', without a sweep: four variants, two of them dropped."""

from __future__ import annotations

from cnn_pipeline.base.events import Event, RoundEnded, RoundStarted, SweepStarted, TrialEnded

SECONDS = {"f4-max": 10.0, "f4-none": 10.0, "f8-max": 20.0, "f8-none": 20.0}
SCORES = {"f4-max": 0.87, "f4-none": 0.88, "f8-max": 0.905, "f8-none": 0.91}
FIRST = tuple(f"{label}-s{seed}" for seed in (0, 1) for label in SECONDS)
THIRD = ("f8-max-s2", "f8-none-s2")


def estimates(names: tuple[str, ...]) -> dict[str, float]:
    return {name: SECONDS[name[:-3]] for name in names}


def ended(name: str) -> TrialEnded:
    label = name[:-3]
    score = {"val_accuracy_final": SCORES[label]}
    return TrialEnded(name, "FINISHED", SECONDS[label], "", score)


STARTED = SweepStarted(
    "grid-1",
    estimates(FIRST),
    1,
    name="grid",
    data="pets",
    trials=FIRST,
    max_rounds=5,
    decide=1.0,
    each=SECONDS,
)
ROUND_1 = RoundEnded(
    1, tuple(SECONDS), {}, "f8-none is best of these four networks.", "f8-none", "f8-max", 0.005
)
ROUND_2 = RoundEnded(
    2,
    ("f8-none", "f8-max"),
    {"f4-max": "4.00 points behind", "f4-none": "3.00 points behind"},
    "f8-none leads by 0.50 points.",
    "f8-none",
    "f8-max",
    0.005,
    -0.012,
    0.022,
)
ROUND_3 = RoundEnded(
    3,
    ("f8-none", "f8-max"),
    {},
    "f8-none leads by 0.40 points.",
    "f8-none",
    "f8-max",
    0.004,
    -0.006,
    0.014,
    over=True,
)


def script() -> list[Event]:
    """A whole sweep: three rounds, decided."""
    return [
        STARTED,
        *map(ended, FIRST[:4]),
        ROUND_1,
        *map(ended, FIRST[4:]),
        ROUND_2,
        RoundStarted(3, estimates(THIRD), THIRD),
        *map(ended, THIRD),
        ROUND_3,
    ]
