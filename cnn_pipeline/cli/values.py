"""Single values out of the command line's text, for the flags that are no part of a sweep."""

from __future__ import annotations

import re
from collections.abc import Iterable

from cnn_pipeline.errors import InvalidInput
from cnn_pipeline.hints import did_you_mean

MAX_REASON = 2000


def whole(flag: str, text: str | None, default: int, low: int, high: int) -> int:
    """A whole number from `low` to `high`; `default` where the flag is absent."""
    if text is None:
        return default
    # Bounded, since turning thousands of digits into a number is refused with another error.
    if not re.fullmatch(r"[+-]?[0-9]{1,18}", text):
        raise InvalidInput([f"{flag}: must be a whole number, received {text!r}"])
    if not low <= int(text) <= high:
        raise InvalidInput([f"{flag}: must be from {low} to {high}, received {text}"])
    return int(text)


def choice(flag: str, text: str, choices: Iterable[str]) -> str:
    """One of `choices`."""
    known = list(choices)
    if text not in known:
        allowed = f"{', '.join(known[:-1])} or {known[-1]}"
        hint = did_you_mean(text, known)
        raise InvalidInput([f"{flag}: must be {allowed}, received {text!r}{hint}"])
    return text


def reason(flag: str, text: str | None) -> str:
    """A reason in words: required, and short enough for a history."""
    if text is None or not text.strip():
        raise InvalidInput([f"{flag}: is required; say in words why, for the history"])
    if len(text) > MAX_REASON:
        fault = f"{flag}: must have at most {MAX_REASON:,} characters, received {len(text):,}"
        raise InvalidInput([fault])
    return text.strip()
