"""Turn pydantic's errors into one line per fault: where, what is required, what was received.

Flags and files share the messages; only the place differs: `--filters: must be at least 1,
received 0` and `axes.filters[0]: must be at least 1, received 0`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar, get_args

from pydantic import BaseModel, ValidationError

from cnn_pipeline.base.errors import did_you_mean

Location = tuple[str | int, ...]
Place = Callable[[Location], str]
ModelT = TypeVar("ModelT", bound=BaseModel)


@dataclass(frozen=True)
class Fault:
    """What is wrong with one value, and the path of the value in the input."""

    path: Location
    message: str

    def text(self, place: Place) -> str:
        """'axes.filters[0]: must be at least 1, received 0'."""
        where = place(self.path)
        return f"{where}: {self.message}" if where else self.message


def dotted(path: Location) -> str:
    """The path in TOML's notation: 'axes.filters[0]' for ('axes', 'filters', 0)."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def shown(value: Any) -> str:
    """The received value on one line, at most 60 characters."""
    if isinstance(value, bool):
        return str(value).lower()
    try:
        text = repr(value)
    except ValueError:  # Python prints whole numbers of at most 4300 digits
        return "a number of more than 4300 digits"
    return text if len(text) <= 60 else text[:57] + "..."


def split_fields(
    model: type[BaseModel], document: Mapping[str, Any]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The part of a document that is fields of `model`, and the rest."""
    own = {name: value for name, value in document.items() if name in model.model_fields}
    return own, {name: value for name, value in document.items() if name not in own}


def find_faults(
    model: type[ModelT], data: Mapping[str, Any], refers: Collection[str] = ()
) -> tuple[ModelT | None, tuple[Fault, ...]]:
    """Build `model` from `data`, and list everything that is wrong with it.

    pydantic runs checks between fields only if every field is valid. To report both kinds at
    once, invalid values are removed and the rest is validated again. `refers` names keys that
    point at other values: they are removed too, because their target may be gone.

    Returns:
        (value, faults). If there are faults, the value is built from the valid fields, or None.
    """
    faults: list[Fault] = []
    rest: Mapping[str, Any] = data
    while True:
        try:
            value = model.model_validate(rest)
        except ValidationError as error:
            found = _translate(error, model, rest)
        else:
            return value, tuple(dict.fromkeys(faults))
        faults += found
        wrong = {_field_of(fault.path) for fault in found if fault.path}
        smaller = _without(rest, wrong | {(key,) for key in refers})
        if not wrong or smaller == rest:
            return None, tuple(dict.fromkeys(faults))
        rest = smaller


def _field_of(path: Location) -> Location:
    """The field that holds the value: a list with an invalid item is removed as a whole."""
    lists = [index for index, step in enumerate(path) if isinstance(step, int)]
    return path[: lists[0]] if lists else path


def _without(data: Mapping[str, Any], paths: set[Location]) -> dict[str, Any]:
    kept = {}
    for key, value in data.items():
        below = {path[1:] for path in paths if path[:1] == (key,)}
        if () not in below:
            kept[key] = _without(value, below) if isinstance(value, Mapping) else value
    return kept


def _translate(error: ValidationError, model: type[BaseModel], data: Any) -> list[Fault]:
    """Translate errors to faults; the failed branches of a union become one fault."""
    faults: list[Fault] = []
    unions: dict[Location, list[tuple[Location, bool, Mapping[str, Any]]]] = {}
    for item in error.errors():
        path, in_union = _real_path(item["loc"], data, missing=item["type"] == "missing")
        inner = item.get("ctx", {}).get("error")
        cause = getattr(inner, "__context__", None)
        if isinstance(cause, ValidationError):
            faults += [
                Fault(path + fault.path, fault.message)
                for fault in _translate(cause, _model_named(cause.title, model), item["input"])
            ]
        elif in_union is not None:
            unions.setdefault(in_union, []).append((path, path == in_union, item))
            if len(unions[in_union]) == 1:
                faults.append(Fault(in_union, ""))  # keeps the order; filled in below
        elif not _is_echo(item, data, path):
            faults.append(Fault(path, _message(item, path, model)))
    result: list[Fault] = []
    for fault in faults:
        branches = unions.get(fault.path) if not fault.message else None
        result += _union_faults(fault.path, branches, model, data) if branches else [fault]
    return result


def _union_faults(
    node: Location,
    items: list[tuple[Location, bool, Mapping[str, Any]]],
    model: type[BaseModel],
    data: Any,
) -> list[Fault]:
    """Faults of the branch that the value was meant for, else one line that names all branches."""
    wrong_type = {
        "int_type", "float_type", "bool_type", "string_type", "tuple_type", "literal_error",
    }  # fmt: skip
    meant = [(path, item) for path, at, item in items if not (at and item["type"] in wrong_type)]
    meant = [(path, item) for path, item in meant if not _is_echo(item, data, path)]
    if meant:
        return [Fault(path, _message(item, path, model)) for path, item in meant]
    wanted = dict.fromkeys(
        _REQUIRED.get(item["type"]) or item["ctx"]["expected"] for _, _, item in items
    )
    return [Fault(node, f"must be {' or '.join(wanted)}, received {shown(_at(data, node))}")]


def _real_path(location: Location, data: Any, missing: bool) -> tuple[Location, Location | None]:
    """Drop the names of union branches, which pydantic puts into the location.

    Returns the path in `data`, and the path of the union if there is one.
    """
    path: list[str | int] = []
    union: Location | None = None
    for number, step in enumerate(location):
        if _holds(data, step):
            data = data[step]
        elif missing and number == len(location) - 1:
            pass  # the last step names the key that is not there
        else:
            union = tuple(path)
            continue
        path.append(step)
    return tuple(path), union


def _holds(data: Any, step: str | int) -> bool:
    if isinstance(data, Mapping):
        return bool(step in data)
    return isinstance(data, list | tuple) and isinstance(step, int) and step < len(data)


def _at(data: Any, path: Location) -> Any:
    for step in path:
        data = data[step]
    return data


def _is_echo(item: Mapping[str, Any], data: Any, path: Location) -> bool:
    """Whether 'too short' only follows from invalid items, which pydantic does not count."""
    if item["type"] != "too_short":
        return False
    received = _at(data, path)
    return bool(len(received) >= item["ctx"]["min_length"])


_REQUIRED = {
    "int_type": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "string_type": "text",
    "tuple_type": "a list",
    "dict_type": "a table",
    "model_type": "a table",
    "finite_number": "a finite number",
    "greater_than_equal": "at least {ge}",
    "greater_than": "more than {gt}",
    "less_than_equal": "at most {le}",
    "less_than": "less than {lt}",
}


def _message(item: Mapping[str, Any], path: Location, model: type[BaseModel]) -> str:
    kind, received, context = item["type"], item["input"], item.get("ctx", {})
    if kind in _REQUIRED:
        required = _REQUIRED[kind].format(
            **{k: f"{v:g}" if isinstance(v, float) else v for k, v in context.items()}
        )
        return f"must be {required}, received {shown(received)}"
    if kind == "literal_error":
        choices = list(_choices(model, path))
        hint = did_you_mean(received, choices) if isinstance(received, str) else ""
        return f"must be {_any_of(choices)}, received {shown(received)}{hint}"
    if kind == "extra_forbidden":
        owner = model_at(model, path[:-1])
        known = owner.model_fields if owner else ()
        hint = did_you_mean(str(path[-1]), known) or f"; known are {', '.join(known)}"
        return f"unknown key{hint}"
    if kind == "missing":
        return "is required"
    if kind.endswith("too_short"):
        return "must not be empty"  # every minimum in the configuration is 1
    if kind.endswith("too_long"):
        things = "characters" if isinstance(received, str) else "values"
        return f"must have at most {context['max_length']} {things}, received {len(received)}"
    if kind == "string_pattern_mismatch":
        signs = "'-', '_' and '.'" if "." in context["pattern"] else "'-' and '_'"
        return (
            f"must be lower-case letters, digits, {signs}, beginning with a letter or a digit, "
            f"received {shown(received)}"
        )
    if kind == "value_error":
        return str(context["error"])
    return f"{item['msg'][0].lower()}{item['msg'][1:]}, received {shown(received)}"


def _any_of(choices: list[str]) -> str:
    return " or ".join([", ".join(choices[:-1]), choices[-1]] if choices[1:] else choices)


def _choices(model: type[BaseModel], path: Location) -> Iterator[str]:
    names = [step for step in path if isinstance(step, str)]
    owner = model_at(model, tuple(names[:-1]))
    if owner is not None and names:
        yield from _leaves(owner.model_fields[names[-1]].annotation)


def _leaves(annotation: Any) -> Iterator[str]:
    for part in get_args(annotation):
        if isinstance(part, str):
            yield part
        elif part is not type(None):
            yield from _leaves(part)


def model_at(model: type[BaseModel], path: Location) -> type[BaseModel] | None:
    """The model at `path` inside `model`; list positions are skipped."""
    current: type[BaseModel] | None = model
    for step in path:
        if isinstance(step, int):
            continue
        if current is None or step not in current.model_fields:
            return None
        current = _model_in(current.model_fields[step].annotation)
    return current


def _model_named(name: str, model: type[BaseModel]) -> type[BaseModel]:
    """The model of that name in `model`'s module: `Entry.training` does not declare its own."""
    found = getattr(sys.modules[model.__module__], name, None)
    return found if isinstance(found, type) and issubclass(found, BaseModel) else model


def _model_in(annotation: Any) -> type[BaseModel] | None:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((m for part in get_args(annotation) if (m := _model_in(part))), None)
