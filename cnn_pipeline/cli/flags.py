"""The flags of a sweep, made from the fields of the configuration: one source of truth.

A field's docstring is its flag's help and its type says how text becomes a value. What a value
may be is decided by pydantic alone.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, TypeVar, get_args, get_origin

import click
from pydantic.fields import FieldInfo

from cnn_pipeline.base.errors import InvalidInput
from cnn_pipeline.experiment.preflight import Preflight, check_sweep
from cnn_pipeline.settings.command_line import flag_name
from cnn_pipeline.settings.faults import Fault, Location, dotted, find_faults
from cnn_pipeline.settings.named import DEFAULT, NAMED, resolve
from cnn_pipeline.settings.spelling import spell
from cnn_pipeline.settings.sweep import Axes, Sweep
from cnn_pipeline.settings.trial import DataSettings, Training, Variant

CommandT = TypeVar("CommandT", bound=Callable[..., Any])


@dataclass(frozen=True)
class Flag:
    """One flag that sets one field of a sweep."""

    name: str
    """'--batch-size'."""
    path: tuple[str, ...]
    """Where the value goes in the sweep's document: ('training', 'batch_size')."""
    metavar: str
    help: str
    parse: Callable[[str], Any]
    """Text to value; text that is no value is passed on, for pydantic to refuse."""

    @property
    def key(self) -> str:
        """Name of the keyword argument that click gives the value to: 'batch_size'."""
        return self.name.removeprefix("--").replace("-", "_")


def _flags() -> tuple[Flag, ...]:
    axes = [
        Flag(
            name=flag_name(name),
            path=("axes", name),
            metavar=_metavar(field) + ",...",
            help=f"{field.description} {_axis_default(name)}",
            parse=_listed(_parser(field)),
        )
        for name, field in Variant.model_fields.items()
        if name in Axes.model_fields
    ]
    seeds = Flag(
        name="--seeds",
        path=("seeds",),
        metavar="N,...",
        help=f"{Sweep.model_fields['seeds'].description} (default 0)",
        parse=_listed(_whole),
    )
    shared = [
        Flag(
            name=flag_name(name),
            path=(section, name),
            metavar=_metavar(field),
            help=f"{field.description} {_default(field)}",
            parse=_parser(field),
        )
        for section, model in (("training", Training), ("data", DataSettings))
        for name, field in model.model_fields.items()
    ]
    return (*axes, seeds, *shared)


def _types(annotation: Any) -> set[Any]:
    """The plain types and literal words that a field takes."""
    if get_origin(annotation) is Literal:
        return set(get_args(annotation))
    if get_origin(annotation) is tuple:
        return {tuple}
    if isinstance(annotation, type):
        return {annotation}
    parts = get_args(annotation)
    if hasattr(annotation, "__metadata__"):
        parts = parts[:1]
    return set().union(*map(_types, parts))


def _parser(field: FieldInfo) -> Callable[[str], Any]:
    types = _types(field.annotation)
    if tuple in types:
        return _whole_or_layers
    for kind, parse in ((bool, _switch), (int, _whole), (float, _number)):
        if kind in types:
            return _optional(parse) if type(None) in types else parse
    return str


def _metavar(field: FieldInfo) -> str:
    types = _types(field.annotation)
    words = [part for part in get_args(field.annotation) if isinstance(part, str)]
    if words:
        return "|".join(words)
    if tuple in types:
        return "N|N-N"
    names = {bool: "true|false", int: "N", float: "X", str: "NAME|PATH"}
    return next(name for kind, name in names.items() if kind in types)


def _default(field: FieldInfo) -> str:
    return f"(default {spell(field.default)})"


def _axis_default(name: str) -> str:
    sweep = NAMED[DEFAULT]()
    values = getattr(sweep.axes, name) or (getattr(sweep.variant, name),)
    return f"(default {','.join(map(spell, values))})"


def _whole(text: str) -> Any:
    # Python takes '1_000', ' 7' and '٣' for numbers, and refuses thousands of digits.
    return int(text) if re.fullmatch(r"[+-]?[0-9]{1,18}", text) else text


def _number(text: str) -> Any:
    try:
        return text if "_" in text else float(text)
    except ValueError:
        return text


def _switch(text: str) -> Any:
    return {"true": True, "false": False}.get(text, text)


def _whole_or_layers(text: str) -> Any:
    """'64' is one number for all layers, '32-64' one per layer."""
    if re.fullmatch(r"[0-9]+(-[0-9]+)+", text):
        return [_whole(part) for part in text.split("-")]
    return _whole(text)


def _optional(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    return lambda text: None if text == "none" else parse(text)


def _listed(parse: Callable[[str], Any]) -> Callable[[str], Any]:
    return lambda text: [parse(part.strip()) for part in text.split(",")]


FLAGS = _flags()


def sweep_options(command: CommandT) -> CommandT:
    """Give a click command `--sweep` and the flag of every field."""
    command = _options(command, FLAGS)
    return click.option(
        "--sweep",
        metavar="NAME|FILE",
        help=f"{', '.join(NAMED)}, or a TOML file. Other flags replace its fields. "
        f"(default {DEFAULT})",
    )(command)


def data_options(command: CommandT) -> CommandT:
    """Give a click command the flags of the data alone."""
    return _options(command, [flag for flag in FLAGS if flag.path[0] == "data"])


def _options(command: CommandT, flags: Sequence[Flag]) -> CommandT:
    for flag in reversed(flags):  # decorators stack from the bottom
        command = click.option(flag.name, flag.key, metavar=flag.metavar, help=flag.help)(command)
    return command


def data_from_flags(values: Mapping[str, str]) -> DataSettings:
    """The data settings that the flags describe.

    Raises:
        InvalidInput: with every fault, each under its flag.
    """
    return sweep_from_flags(values).data


def sweep_from_flags(values: Mapping[str, str]) -> Sweep:
    """The sweep that the flags describe.

    Args:
        values: text by key, 'sweep' and the keys of `FLAGS`; only the flags that were given.

    Raises:
        InvalidInput: with every fault of the file and the flags, each under its flag.
    """
    sweep, faults = _assemble(values)
    if sweep is None or faults:
        raise InvalidInput([fault.text(_place) for fault in faults])
    return sweep


def checked_sweep(values: Mapping[str, str], cache: Path) -> tuple[Sweep, Preflight]:
    """The sweep that the flags describe, held against its data.

    Raises:
        InvalidInput: with every fault of file, flags and fit, each under its flag.
    """
    sweep, found = _assemble(values)
    faults = [fault.text(_place) for fault in found]
    checked = None
    if sweep is not None and not any(fault.path[:1] == ("data",) for fault in found):
        try:
            checked = check_sweep(sweep, cache)
        except InvalidInput as error:
            faults += flagged(error).faults
    if sweep is None or checked is None or faults:
        raise InvalidInput(faults)
    return sweep, checked


def _assemble(values: Mapping[str, str]) -> tuple[Sweep | None, tuple[Fault, ...]]:
    """The sweep of what is right in the flags, and what is wrong."""
    faults: list[Fault] = []
    try:
        base = resolve(values.get("sweep", DEFAULT))
    except InvalidInput as error:
        faults += [Fault(("sweep",), fault) for fault in error.faults]
        base = NAMED[DEFAULT]()  # so that the other flags are checked all the same
    document = base.model_dump()
    used = [flag for flag in FLAGS if flag.key in values]
    gridded = [flag for flag in used if flag.path[0] == "axes"]
    if gridded and base.entries:
        reason = f"sweep {base.name!r} lists its variants one by one; leave the flag out"
        faults += [Fault(flag.path, reason) for flag in gridded]
        used = [flag for flag in used if flag not in gridded]
    elif gridded:
        changes = " ".join(f"{flag.name} {values[flag.key]}" for flag in gridded)
        document["description"] = f"{base.name} with {changes}"[:1000]
        document["baseline"] = None  # may no longer be among the variants
    for flag in used:
        owner = document
        for step in flag.path[:-1]:
            owner = owner[step]
        owner[flag.path[-1]] = flag.parse(values[flag.key])
    sweep, found = find_faults(Sweep, document, refers=("baseline",))
    return sweep, (*faults, *map(_as_flags_say, found))


def _as_flags_say(fault: Fault) -> Fault:
    """What a file writes as a list, a flag writes with '-'."""
    message = fault.message.replace(
        "whole number or a list,", "whole number, or one per layer as in 32-64,"
    )
    return Fault(fault.path, message)


def flagged(error: InvalidInput) -> InvalidInput:
    """The same faults with 'batch_size must be ...' spelled '--batch-size: must be ...'."""
    names = {flag.path[-1]: flag.name for flag in FLAGS} | {"data": "--data"}
    return InvalidInput(
        [
            f"{names[field]}: must {rest}" if required and field in names else fault
            for fault in error.faults
            for field, required, rest in [fault.partition(" must ")]
        ]
    )


def _place(path: Location) -> str:
    """The flag that sets the value at `path`; the path itself where none does."""
    if path == ("sweep",):
        return "--sweep"
    for flag in FLAGS:
        if path[: len(flag.path)] == flag.path:
            return flag.name
    return dotted(path)
