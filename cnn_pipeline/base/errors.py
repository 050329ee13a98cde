"""Errors that a user can fix: shown as a message with a remedy, never as a traceback."""

from __future__ import annotations

import difflib
import signal
from collections.abc import Iterable, Iterator, Sequence

from cnn_pipeline.base.redaction import redacted


class UserError(Exception):
    """The message says what is required, what was received and what to do. Secrets are removed.

    `exit_code` is the command's exit status.
    """

    exit_code = 2

    def __init__(self, message: str) -> None:
        super().__init__(redacted(message))


class InvalidInput(UserError):
    """One or more faults in the user's input, all listed at once."""

    def __init__(self, faults: Sequence[str]) -> None:
        self.faults = tuple(map(redacted, faults))
        super().__init__("\n".join(self.faults))


class DataError(UserError):
    """Data that could not be loaded, or that failed a check."""

    exit_code = 1


AGAIN = "run the same command again: it goes on where it was"


class Interrupted(UserError):
    """The work cannot go on now, and nothing of it is lost: the same command goes on with it."""

    exit_code = 1


class Stopped(BaseException):
    """Somebody stopped the run; the message says who.

    Not an `Exception`, so that nothing takes it for a failure.
    """


def causes(error: BaseException) -> Iterator[BaseException]:
    """An error, what it was raised from or while handling, and so on to the first."""
    seen: set[int] = set()
    one: BaseException | None = error
    while one is not None and id(one) not in seen:
        yield one
        seen.add(id(one))
        one = one.__cause__ or one.__context__


def in_words(error: BaseException) -> str:
    """Why something ended, as a person says it: 'SIGTERM', 'Ctrl-C', or the error."""
    if isinstance(error, (Stopped, Interrupted)):
        return str(error)
    if isinstance(error, KeyboardInterrupt):
        return "Ctrl-C"
    # Prefect's `TerminationSignal`, or our own handler's exit status.
    number: int = getattr(error, "signal", 0)
    if isinstance(error, SystemExit) and isinstance(error.code, int):
        number = error.code - 128
    if number in set(signal.Signals):
        return signal.Signals(number).name
    return f"{type(error).__name__}: {error}".removesuffix(": ")


def did_you_mean(received: str, known: Iterable[str]) -> str:
    """'; did you mean 'pooling'?', or an empty string if no known word is close."""
    close = difflib.get_close_matches(received, list(known), n=1, cutoff=0.6)
    return f"; did you mean {close[0]!r}?" if close else ""
