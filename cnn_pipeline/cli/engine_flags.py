"""The flags that say where trainers run."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_args

import click

from cnn_pipeline.base.errors import InvalidInput
from cnn_pipeline.cli.completing import words
from cnn_pipeline.settings.command_line import flag_name
from cnn_pipeline.settings.engine import Engine, split_engine
from cnn_pipeline.settings.faults import dotted
from cnn_pipeline.settings.files import load_engine
from cnn_pipeline.settings.named import sweep_file

CommandT = TypeVar("CommandT", bound=Callable[..., Any])

_OPTIONS = (
    click.option(
        "--engine",
        metavar="NAME",
        shell_complete=words(get_args(Engine.model_fields["engine"].annotation)),
        help="Where trainers run: local (this machine) or ray (a Ray cluster). (default local)",
    ),
    click.option(
        "--ray-address",
        metavar="ADDRESS",
        help="Head of the Ray cluster, HOST:PORT, or auto for the one that runs here. "
        "(default auto)",
    ),
    click.option(
        "--gpu-share",
        metavar="SHARE",
        help="Share of a GPU for each trainer on Ray. (default: a third if this machine has a GPU)",
    ),
    click.option(
        "--retries",
        metavar="N",
        help="Times that a trial starts again after its Ray node was lost. (default 2)",
    ),
    click.option(
        "--checkpoints",
        metavar="PLACE",
        help="Where checkpoints go that all nodes of Ray share: a folder, s3://BUCKET/PREFIX or "
        "gs://BUCKET/PREFIX. (default: the home folder, which they share then)",
    ),
)


def engine_options(command: CommandT) -> CommandT:
    """Add a flag for each field of `Engine`."""
    for option in reversed(_OPTIONS):  # decorators apply from the bottom up
        command = option(command)
    return command


def take_flags(values: dict[str, Any]) -> dict[str, str]:
    """Take the flags of the engine out of a command's arguments; returns those that were given."""
    own = {name: values.pop(name) for name in Engine.model_fields}
    return {name: text for name, text in own.items() if text is not None}


def engine_from(flags: Mapping[str, str], sweep: str = "", settings: str | None = None) -> Engine:
    """Where trainers run.

    Args:
        flags: those that were given. They override the files, and `--engine local` all of a file.
        sweep: name or file of the sweep. A file overrides the next one.
        settings: file of a retraining's settings.

    Raises:
        InvalidInput: a flag has a value that it cannot have, or is of no use.
    """
    document: dict[str, Any] = {}
    for path in (settings and Path(settings), sweep_file(sweep)):
        if path and flags.get("engine") != "local":
            document |= load_engine(path).model_dump(exclude_defaults=True)
    document |= flags
    for key, read in (("gpu_share", float), ("retries", int)):
        with contextlib.suppress(KeyError, ValueError):
            document[key] = read(str(document[key]))
    engine, _, faults = split_engine(document)
    if faults:
        raise InvalidInput([fault.text(lambda path: flag_name(dotted(path))) for fault in faults])
    return engine
