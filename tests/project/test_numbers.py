"""The numbers of small trainings are those of an older commit."""

from __future__ import annotations

import json

import pytest

from scripts import same_numbers
from scripts.same_numbers import STORED, check, fixed_sweep, machine, other_machine

STORE = json.loads(STORED.read_text(encoding="utf-8"))


def test_every_trial_has_its_digits() -> None:
    kinds = ("weights", "metrics", "predictions", "test_accuracy")
    assert set(STORE["digests"]) == {
        f"threads {threads} {trial.name} {kind}"
        for threads in same_numbers.THREADS
        for trial in fixed_sweep(threads).trials()
        for kind in kinds
    }


def test_a_number_that_moved_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    here = {**STORE, "machine": machine()}
    digests = dict(STORE["digests"])
    monkeypatch.setattr(same_numbers, "digests", lambda: iter(digests.items()))
    assert check(here) == 0
    assert capsys.readouterr().out.startswith(f"all {len(digests)} digests are those of commit ")
    digests["threads 2 dropout-s0 weights"] = "0" * 64
    assert check(here) == 1
    commit = STORE["commit"][:12]
    said = capsys.readouterr().out
    assert said == f"moved since commit {commit}: threads 2 dropout-s0 weights\n"


def test_another_machine_is_named_and_not_compared(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(same_numbers, "digests", lambda: pytest.fail("it was trained"))
    assert check({**STORE, "machine": machine() | {"processor": "another"}}) == 0
    assert "\nprocessor: another then, " in capsys.readouterr().out


@pytest.mark.slow
@pytest.mark.long
def test_no_number_has_moved(capsys: pytest.CaptureFixture[str]) -> None:
    if others := other_machine(STORE["machine"], machine()):
        pytest.skip("; ".join(others))
    assert check(STORE) == 0, capsys.readouterr().out
