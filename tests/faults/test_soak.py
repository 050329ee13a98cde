"""A soak of three minutes: `python -m tests.faults.soak` is the same for an hour."""

from __future__ import annotations

import pytest

from cnn_pipeline.base.home import Home
from tests.faults.soak import soak
from tests.recording import Recorded

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1800)]


def test_three_minutes_of_faults(home: Home, recorded: Recorded) -> None:
    with recorded("a fault in most retrainings", "at random for 3 minutes", "I1 I3 I6 I7"):
        said = soak(home, minutes=3, pause=0)
    assert " faults (" in said
