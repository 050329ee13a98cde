"""Errors that a user can mend: shown as a message with a remedy, never as a stack trace."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence


class UserError(Exception):
    """What is required, what was received, what to do. `exit_code` is the command's status."""

    exit_code = 2


class InvalidInput(UserError):
    """One or more faults in what the user gave, all listed at once."""

    def __init__(self, faults: Sequence[str]) -> None:
        self.faults = tuple(faults)
        super().__init__("\n".join(faults))


class DataError(UserError):
    """Data that could not be had or is not what it must be."""

    exit_code = 1


def did_you_mean(received: str, known: Iterable[str]) -> str:
    """'; did you mean 'pooling'?', or nothing where no known word is close."""
    close = difflib.get_close_matches(received, list(known), n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else ""
