"""What is printed while a command waits."""

import time
from contextlib import suppress

import pytest

from cnn_pipeline.cli.steps import Steps


def test_a_step_is_printed_at_once_and_again_while_it_lasts(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with Steps("opening the store", every=0.02) as say:
        say("starting")
        time.sleep(0.2)
    said = capsys.readouterr()
    assert said.out == ""
    lines = said.err.splitlines()
    assert lines[:2] == ["opening the store", "starting"]
    assert set(lines[2:]) == {"still starting (0:00)"}


@pytest.mark.parametrize("way", ["done", "error"])
def test_nothing_is_printed_afterwards(way: str, capsys: pytest.CaptureFixture[str]) -> None:
    with suppress(ZeroDivisionError), Steps("starting", every=0.02) as say:
        if way == "done":
            say.done()
            time.sleep(0.1)
        raise ZeroDivisionError
    capsys.readouterr()
    time.sleep(0.1)
    assert capsys.readouterr().err == ""
