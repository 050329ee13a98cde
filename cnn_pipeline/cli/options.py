"""Options that several commands share."""

from __future__ import annotations

import os
import re
from pathlib import Path

import click

from cnn_pipeline.errors import InvalidInput
from cnn_pipeline.paths import HOME_VARIABLE, Home, cache_dir, resolve_home

home_option = click.option(
    "--home",
    metavar="DIR",
    help=f"Folder of all state: mlruns/ lies in it. (default {HOME_VARIABLE}, else the project)",
)
json_option = click.option(
    "--json", "as_json", is_flag=True, help="Print one JSON object on stdout; the rest on stderr."
)

model_option = click.option(
    "--model",
    metavar="NAME",
    help="Registered model whose champion answers. (default fashion-mnist-cnn)",
)


def model_from(text: str | None) -> str | None:
    """The name of a registered model, None where the flag is absent.

    Raises:
        InvalidInput: it is none that `cnn-pipeline` registers under.
    """
    if text is not None and not re.fullmatch("[a-z0-9][a-z0-9_-]{0,67}", text):
        raise InvalidInput([f"--model: must be a name like 'fashion-mnist-cnn', received {text!r}"])
    return text


def home_from(text: str | None) -> Home:
    """The home folder of this command."""
    return resolve_home(text, os.environ)


def writable_home_from(text: str | None) -> Home:
    """The home folder of a command that writes.

    Raises:
        InvalidInput: nothing can be written there.
    """
    home = home_from(text)
    if fault := home.write_fault():
        raise InvalidInput([fault])
    return home


def cache_from_environment() -> Path:
    """The cache folder of verified data."""
    return cache_dir(os.environ)
