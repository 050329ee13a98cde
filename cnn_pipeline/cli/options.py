"""Options that several commands share."""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from pathlib import Path

import click

from cnn_pipeline.base.errors import InvalidInput, did_you_mean
from cnn_pipeline.base.home import HOME_VARIABLE, Home, cache_dir, resolve_home
from cnn_pipeline.cli.completing import folders

home_option = click.option(
    "--home",
    metavar="DIR",
    shell_complete=folders,
    help=f"Folder of all state, such as mlruns/. (default {HOME_VARIABLE}, else the project)",
)
json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object to stdout, the rest to stderr."
)

no_live_option = click.option(
    "--no-live", is_flag=True, help="Show lines on a large terminal, too."
)


def model_from(text: str | None) -> str | None:
    """Name of a registered model; None without the flag.

    Raises:
        InvalidInput: it is not a valid name.
    """
    if text is not None and not re.fullmatch("[a-z0-9][a-z0-9_-]{0,67}", text):
        raise InvalidInput([f"--model: must be a name like 'fashion-mnist-cnn', received {text!r}"])
    return text


def bare_home_from(text: str | None) -> Home:
    """Home folder of a command that uses no store."""
    return resolve_home(text, os.environ)


def home_from(text: str | None) -> Home:
    """Home folder of this command, whose store is that of `up --database` if there is one.

    Raises:
        UserError: there is one, and its server does not run.
    """
    from cnn_pipeline.services.shared import use_shared_store  # imports pydantic

    home = bare_home_from(text)
    use_shared_store(home, os.environ)
    return home


def require_writable(home: Home) -> Home:
    """The same home.

    Raises:
        InvalidInput: the folder is not writable.
    """
    if fault := home.write_fault():
        raise InvalidInput([fault])
    return home


def writable_home_from(text: str | None) -> Home:
    """Home folder of a command that writes.

    Raises:
        InvalidInput: the folder is not writable.
        UserError: as `home_from`.
    """
    return require_writable(home_from(text))


def cache_from_environment() -> Path:
    """Folder of the cache of verified data."""
    return cache_dir(os.environ)


MAX_REASON = 2000


def whole(flag: str, text: str | None, default: int, low: int, high: int) -> int:
    """A whole number from `low` to `high`; `default` without the flag."""
    if text is None:
        return default
    # At most 18 digits: int() refuses thousands of them with another error.
    if not re.fullmatch(r"[+-]?[0-9]{1,18}", text):
        raise InvalidInput([f"{flag}: must be a whole number, received {text!r}"])
    if not low <= int(text) <= high:
        raise InvalidInput([f"{flag}: must be from {low} to {high}, received {text}"])
    return int(text)


def choice(flag: str, text: str, choices: Iterable[str]) -> str:
    """Check that `text` is one of `choices`."""
    known = list(choices)
    if text not in known:
        allowed = f"{', '.join(known[:-1])} or {known[-1]}"
        hint = did_you_mean(text, known)
        raise InvalidInput([f"{flag}: must be {allowed}, received {text!r}{hint}"])
    return text


def reason(flag: str, text: str | None) -> str:
    """A required reason of at most `MAX_REASON` characters."""
    if text is None or not text.strip():
        raise InvalidInput([f"{flag}: is required; give the reason for the history"])
    if len(text) > MAX_REASON:
        fault = f"{flag}: must have at most {MAX_REASON:,} characters, received {len(text):,}"
        raise InvalidInput([fault])
    return text.strip()
