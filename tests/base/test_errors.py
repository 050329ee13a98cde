"""Errors are told as a person says them."""

from __future__ import annotations

import pytest

from cnn_pipeline.base.errors import Stopped, in_words


class TerminationSignal(BaseException):
    """Prefect's has this field, too."""

    def __init__(self, signal: int) -> None:
        self.signal = signal


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (TerminationSignal(15), "SIGTERM"),
        (SystemExit(143), "SIGTERM"),
        (SystemExit(1), "SystemExit: 1"),
        (KeyboardInterrupt(), "Ctrl-C"),
        (Stopped("cancelled in Prefect"), "cancelled in Prefect"),
        (ValueError("disk full"), "ValueError: disk full"),
        (ValueError(), "ValueError"),
    ],
)
def test_an_end_in_words(error: BaseException, words: str) -> None:
    assert in_words(error) == words
