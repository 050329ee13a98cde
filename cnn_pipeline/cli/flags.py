"""The flags of a sweep, generated from the fields of the settings.

A field's docstring is the flag's help and its type says how to parse text. Only pydantic
decides which values are valid.
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
    """Path of the value in the sweep's fields: ('training', 'batch_size')."""
    metavar: str
    help: str
    parse: Callable[[str], Any]
    """Parse text to a value; invalid text is returned as it is, for pydantic to refuse."""

    @property
    def key(self) -> str:
        """Name of the keyword argument that click passes the value as: 'batch_size'."""
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
    """The types and literal words that a field accepts."""
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
    # int() also accepts '1_000', ' 7' and '٣', and refuses thousands of digits.
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
    """Add `--sweep` and one flag per field to a click command."""
    command = _options(command, FLAGS)
    return click.option(
        "--sweep",
        metavar="NAME|FILE",
        help=f"{', '.join(NAMED)}, or a TOML file. Other flags override its fields. "
        f"(default {DEFAULT})",
    )(command)


def data_options(command: CommandT) -> CommandT:
    """Add only the flags of the data to a click command."""
    return _options(command, [flag for flag in FLAGS if flag.path[0] == "data"])


def _options(command: CommandT, flags: Sequence[Flag]) -> CommandT:
    for flag in reversed(flags):  # decorators apply from the bottom up
        command = click.option(flag.name, flag.key, metavar=flag.metavar, help=flag.help)(command)
    return command


def data_from_flags(values: Mapping[str, str]) -> DataSettings:
    """Data settings from the flags.

    Raises:
        InvalidInput: lists every fault with its flag.
    """
    return sweep_from_flags(values).data


def sweep_from_flags(values: Mapping[str, str]) -> Sweep:
    """Sweep from the flags.

    Args:
        values: text by key ('sweep' and the keys of `FLAGS`), only of the flags that were given.

    Raises:
        InvalidInput: lists every fault of the file and the flags, each with its flag.
    """
    sweep, faults = _assemble(values)
    if sweep is None or faults:
        raise InvalidInput([fault.text(_place) for fault in faults])
    return sweep


def checked_sweep(values: Mapping[str, str], cache: Path) -> tuple[Sweep, Preflight]:
    """Sweep from the flags, checked against its data.

    Raises:
        InvalidInput: lists every fault of file, flags and data, each with its flag.
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
    """Build a sweep from the valid flags; return it with the faults of the others."""
    faults: list[Fault] = []
    try:
        base = resolve(values.get("sweep", DEFAULT))
    except InvalidInput as error:
        faults += [Fault(("sweep",), fault) for fault in error.faults]
        base = NAMED[DEFAULT]()  # to check the other flags too
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
        document["baseline"] = None  # the variant may be gone
    for flag in used:
        owner = document
        for step in flag.path[:-1]:
            owner = owner[step]
        owner[flag.path[-1]] = flag.parse(values[flag.key])
    sweep, found = find_faults(Sweep, document, refers=("baseline",))
    return sweep, (*faults, *map(_as_flags_say, found))


def _as_flags_say(fault: Fault) -> Fault:
    """A list in a file is written with '-' in a flag."""
    message = fault.message.replace(
        "whole number or a list,", "whole number, or one per layer as in 32-64,"
    )
    return Fault(fault.path, message)


def flagged(error: InvalidInput) -> InvalidInput:
    """Rewrite faults like 'batch_size must be ...' to '--batch-size: must be ...'."""
    names = {flag.path[-1]: flag.name for flag in FLAGS} | {"data": "--data"}
    return InvalidInput(
        [
            f"{names[field]}: must {rest}" if required and field in names else fault
            for fault in error.faults
            for field, required, rest in [fault.partition(" must ")]
        ]
    )


def _place(path: Location) -> str:
    """The flag that sets the value at `path`, else the path itself."""
    if path == ("sweep",):
        return "--sweep"
    for flag in FLAGS:
        if path[: len(flag.path)] == flag.path:
            return flag.name
    return dotted(path)
