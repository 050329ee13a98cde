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

from cnn_pipeline.base.errors import InvalidInput, did_you_mean
from cnn_pipeline.base.home import Home
from cnn_pipeline.base.metric_names import Metric
from cnn_pipeline.cli.checking import check_with_progress, must_be_read
from cnn_pipeline.cli.completing import words
from cnn_pipeline.experiment.preflight import Preflight
from cnn_pipeline.settings.chosen import chosen, with_chosen
from cnn_pipeline.settings.command_line import flag_name
from cnn_pipeline.settings.faults import Fault, Location, dotted, find_faults
from cnn_pipeline.settings.named import DEFAULT, NAMED, RECIPES, resolve
from cnn_pipeline.settings.spelling import spell
from cnn_pipeline.settings.sweep import AUTO, ONLY_AUTO, Axes, Sweep
from cnn_pipeline.settings.trial import DataSettings, Training, Variant

# Of text with a form of its own.
_METAVARS = {
    "image_size": "HxW",
    "background": "white|black|#rrggbb",
    "group_by": "REGEX",
    "name": "NAME",
}
METRICS = (AUTO, *get_args(Metric))

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

    words: tuple[str, ...] = ()
    """The words that it takes, if it takes words."""
    axis: bool = False
    """Whether several values, with commas, are an axis instead of the value at `path`."""

    @property
    def key(self) -> str:
        """Name of the keyword argument that click passes the value as: 'batch_size'."""
        return self.name.removeprefix("--").replace("-", "_")

    @property
    def field(self) -> str:
        """Name of the field that it sets: 'batch_size'."""
        return self.path[-1]

    @property
    def axis_path(self) -> tuple[str, ...]:
        """Path of its axis: ('axes', 'batch_size')."""
        return ("axes", self.field)

    def lists(self, text: str) -> bool:
        """Whether the text is an axis of several values."""
        return self.axis and "," in text

    def meant(self, text: str) -> dict[tuple[str, ...], Any]:
        """The values that the text gives to fields, by their path."""
        if self.lists(text):
            return {self.axis_path: _listed(self.parse)(text)}
        return {self.path: self.parse(text), **({self.axis_path: None} if self.axis else {})}


def _flags(sweep: Sweep) -> tuple[Flag, ...]:
    """The flags. Their help says what `sweep` has by default."""
    axes = [
        Flag(
            name=flag_name(name),
            path=("axes", name),
            metavar=_metavar(field) + ",...",
            help=f"{field.description} {_axis_default(sweep, name)}",
            parse=_listed(_parser(field)),
            words=_words(field),
        )
        for name, field in Variant.model_fields.items()
        if name in Axes.model_fields
    ]
    seeds = Flag(
        name="--seeds",
        path=("seeds",),
        metavar="auto|N,...",
        help=f"{Sweep.model_fields['seeds'].description} "
        f"(default {AUTO if sweep.seeds == AUTO else ','.join(map(str, sweep.seeds))})",
        parse=lambda text: text if text.isalpha() else _listed(_whole)(text),
        words=(AUTO,),
    )
    rounds = [
        Flag(
            name=flag_name(name),
            path=(name,),
            metavar=metavar,
            help=f"{Sweep.model_fields[name].description} {_default(Sweep.model_fields[name])}",
            parse=_parser(Sweep.model_fields[name]),
        )
        for name, metavar in zip(ONLY_AUTO, ("POINTS", "N"), strict=True)
    ]
    measured = Flag(
        name="--metric",
        path=("metric",),
        metavar="|".join(METRICS),
        help=f"{Sweep.model_fields['metric'].description} (default {AUTO})",
        parse=str,
        words=METRICS,
    )
    shared = [
        Flag(
            name=flag_name(name),
            path=(section, name),
            metavar=(_METAVARS.get(name) or _metavar(field))
            + (",..." if name in Axes.model_fields else ""),
            help=f"{field.description} {_default(field)}",
            parse=_parser(field),
            words=_words(field),
            axis=name in Axes.model_fields,
        )
        for section, model in (("training", Training), ("data", DataSettings))
        for name, field in model.model_fields.items()
    ]
    return (*axes, seeds, *rounds, measured, *shared)


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
    return _optional(str) if type(None) in types else str


def _metavar(field: FieldInfo) -> str:
    types = _types(field.annotation)
    if _words(field):
        return "|".join(_words(field))
    if tuple in types:
        return "N|N-N"
    names = {bool: "true|false", int: "N", float: "X", str: "NAME|PATH"}
    return next(name for kind, name in names.items() if kind in types)


def _words(field: FieldInfo) -> tuple[str, ...]:
    return tuple(part for part in get_args(field.annotation) if isinstance(part, str))


def _default(field: FieldInfo) -> str:
    return f"(default {spell(field.default)})"


def _axis_default(sweep: Sweep, name: str) -> str:
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


FLAGS = _flags(NAMED[DEFAULT]())
SWEEP_KEYS = ("sweep", "recipe", *(flag.key for flag in FLAGS))
"""Keys of the arguments that describe a sweep, in the order of the help."""


def sweep_options(command: CommandT, default: str = DEFAULT) -> CommandT:
    """Add `--sweep`, whose default is the named sweep `default`, and one flag per field."""
    command = _options(command, _flags(NAMED[default]()))
    command = click.option(
        "--recipe",
        metavar="|".join(RECIPES),
        shell_complete=words(RECIPES),
        help="How to train: as the tutorial does, or with less spread between seeds "
        f"({_changes(RECIPES['steady'])}). Other flags override it. "
        f"(default {next(iter(RECIPES))})",
    )(command)
    return click.option(
        "--sweep",
        metavar="NAME|FILE",
        shell_complete=words(NAMED, or_file=True),
        help=f"{', '.join(NAMED)}, or a TOML file. Other flags override its fields. "
        f"(default {default})",
    )(command)


def _changes(training: Mapping[str, Any]) -> str:
    return " ".join(f"{flag_name(field)} {spell(value)}" for field, value in training.items())


def data_options(command: CommandT) -> CommandT:
    """Add only the flags of the data to a click command."""
    return _options(command, [flag for flag in FLAGS if flag.path[0] == "data"])


def _options(command: CommandT, flags: Sequence[Flag]) -> CommandT:
    for flag in reversed(flags):  # decorators apply from the bottom up
        command = click.option(
            flag.name,
            flag.key,
            metavar=flag.metavar,
            help=flag.help,
            shell_complete=words(flag.words),
        )(command)
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
        values: text by key ('sweep', 'recipe' and the keys of `FLAGS`), only of the flags that were
            given.

    Raises:
        InvalidInput: lists every fault of the file and the flags, each with its flag.
    """
    sweep, faults = _assemble(values)
    if sweep is None or faults:
        raise InvalidInput([fault.text(_place) for fault in faults])
    return sweep


def checked_sweep(
    values: Mapping[str, str],
    cache: Path,
    others: Sequence[str] = (),
    home: Home | None = None,
) -> tuple[Sweep, Preflight]:
    """Sweep from the flags, checked against its data.

    What was not given is changed where the data need it, and told.

    Args:
        values: text by key, as for `sweep_from_flags`.
        cache: folder of verified downloads and of prepared pictures.
        others: what else is wrong on the command line; own data are read only if nothing is.
        home: where the sweep will run; own data of a name that is used there are not read.

    Raises:
        InvalidInput: lists every fault of file and flags, and of the data as far as they were read,
            each with its flag.
    """
    sweep, found = _assemble(values)
    faults = [fault.text(_place) for fault in found]
    checked = None
    unread = sweep is not None and must_be_read(sweep) and bool(faults or others)
    in_data = any(fault.path[:1] == ("data",) for fault in found)
    if sweep is not None and not (unread or in_data):
        try:
            checked = check_with_progress(sweep, cache, home)
        except InvalidInput as error:
            faults += flagged(error).faults
    if sweep is None or checked is None or faults:
        raise InvalidInput([*faults, *others])
    return checked.sweep, checked


def has_range(flag: Flag, text: str) -> bool:
    """Whether the text is a range of numbers as in 8..128, or of the values of an axis."""
    if flag.path[0] == "axes" or flag.axis:
        return ".." in text
    return re.fullmatch(r"[-+0-9.eE]*[0-9]\.\.[-+0-9][-+0-9.eE]*", text) is not None


def _assemble(values: Mapping[str, str]) -> tuple[Sweep | None, tuple[Fault, ...]]:
    """Build a sweep from the valid flags; return it with the faults of the others."""
    ranges = [flag for flag in FLAGS if has_range(flag, values.get(flag.key, ""))]
    faults = [
        Fault(flag.path, f"a range needs `run --search`, received {values[flag.key]!r}")
        for flag in ranges
    ]
    rest = {key: text for key, text in values.items() if key not in {one.key for one in ranges}}
    document, found, named = document_of(rest)
    sweep, wrong = find_faults(Sweep, document, refers=("baseline",))
    if sweep is not None:
        sweep = with_chosen(sweep, named)
    return sweep, (*faults, *found, *map(_as_flags_say, wrong))


def document_of(
    values: Mapping[str, str],
) -> tuple[dict[str, Any], list[Fault], set[str]]:
    """The fields of the sweep of these flags, which may be invalid, what else is wrong, and the
    names of the settings that the user chose."""
    faults: list[Fault] = []
    try:
        base = resolve(values.get("sweep", DEFAULT))
    except InvalidInput as error:
        faults += [Fault(("sweep",), fault) for fault in error.faults]
        base = NAMED[DEFAULT]()  # to check the other flags too
    document = base.model_dump()
    recipe = values.get("recipe", "")
    if recipe in RECIPES:
        document["training"] |= RECIPES[recipe]
    elif "recipe" in values:
        wanted = f"must be {' or '.join(RECIPES)}, received {recipe!r}"
        faults.append(Fault(("recipe",), wanted + did_you_mean(recipe, RECIPES)))
    used = [flag for flag in FLAGS if flag.key in values]
    gridded = [flag for flag in used if _changes_the_grid(flag, values[flag.key], base)]
    if gridded and base.entries:
        reason = f"sweep {base.name!r} lists its variants one by one; "
        faults += [
            Fault(flag.path, reason + ("give one value" if flag.axis else "leave the flag out"))
            for flag in gridded
        ]
        used = [flag for flag in used if flag not in gridded]
    elif gridded:
        changes = " ".join(f"{flag.name} {values[flag.key]}" for flag in gridded)
        document["description"] = f"{base.name} with {changes}"[:1000]
        document["baseline"] = None  # the variant may be gone
    if values.get("seeds", AUTO) != AUTO:
        for name in ONLY_AUTO:
            document.pop(name, None)
    if values.get("seeds", base.seeds) != AUTO:
        without = [flag for flag in used if flag.path[0] in ONLY_AUTO]
        received = (
            f", received --seeds {values['seeds']}"
            if "seeds" in values
            else f"; sweep {base.name!r} has the seeds {base.seeds_text}"
        )
        faults += [Fault(flag.path, f"needs --seeds auto{received}") for flag in without]
        alone = {flag.path[0]: flag.parse(values[flag.key]) for flag in without}
        faults += find_faults(Sweep, alone)[1]
        used = [flag for flag in used if flag not in without]
    for flag in used:
        for path, value in flag.meant(values[flag.key]).items():
            owner = document
            for step in path[:-1]:
                owner = owner[step]
            owner[path[-1]] = value
    return document, faults, chosen(base) | {flag.field for flag in used}


def fault_text(fault: Fault) -> str:
    """The fault with its flag: '--filters: must be at least 1, received 0'."""
    return _as_flags_say(fault).text(_place)


def _changes_the_grid(flag: Flag, text: str, base: Sweep) -> bool:
    """Whether the flag gives an axis, or one value instead of the axis that `base` has."""
    if flag.path[0] == "axes" or flag.lists(text):
        return True
    return flag.axis and getattr(base.axes, flag.field) is not None


def _as_flags_say(fault: Fault) -> Fault:
    """A list in a file is written with '-' in a flag."""
    message = fault.message.replace(
        "whole number or a list,", "whole number, or one per layer as in 32-64,"
    )
    if fault.path == ("seeds",):
        message = message.replace("'auto' or a list,", "auto, or seeds as in 0,1,2,")
    return Fault(fault.path, message)


def flagged(error: InvalidInput) -> InvalidInput:
    """Rewrite faults like 'batch_size must be ...' to '--batch-size: must be ...'.

    Names of two words are rewritten in what follows, too: 'use image_size=64x64' becomes 'use
    --image-size 64x64'. Other names may be words, and those in paths stay.
    """
    names = {flag.path[-1]: flag.name for flag in FLAGS} | {"data": "--data"}
    told = [
        f"{names[field]}: must {rest}" if required and field in names else fault
        for fault in error.faults
        for field, required, rest in [fault.partition(" must ")]
    ]
    return InvalidInput(
        [_NAMES.sub(lambda found: names[found[1]] + (" " if found[2] else ""), one) for one in told]
    )


_NAMES = re.compile(
    rf"(?<![\w/.-])({'|'.join(flag.field for flag in FLAGS if '_' in flag.field)})"
    r"(?:(=)(?=\w)|(?![\w/=-]|\.\w))"
)


def _place(path: Location) -> str:
    """The flag that sets the value at `path`, else the path itself."""
    if path in (("sweep",), ("recipe",)):
        return f"--{path[0]}"
    for flag in FLAGS:
        if path[: len(flag.path)] == flag.path or (flag.axis and path[:2] == flag.axis_path):
            return flag.name
    return dotted(path)
