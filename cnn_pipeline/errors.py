"""Errors that a user can mend: shown as a message with a remedy, never as a stack trace."""

from __future__ import annotations

from collections.abc import Sequence


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
