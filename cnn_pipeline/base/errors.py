"""Errors that a user can fix: shown as a message with a remedy, never as a traceback."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence


class UserError(Exception):
    """The message says what is required, what was received and what to do.

    `exit_code` is the command's exit status.
    """

    exit_code = 2


class InvalidInput(UserError):
    """One or more faults in the user's input, all listed at once."""

    def __init__(self, faults: Sequence[str]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(faults))


class DataError(UserError):
    """Data that could not be loaded, or that failed a check."""

    exit_code = 1


def did_you_mean(received: str, known: Iterable[str]) -> str:
    """'; did you mean 'pooling'?', or an empty string if no known word is close."""
    close = difflib.get_close_matches(received, list(known), n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else ""
