"""The flags of a search: ranges of settings, and how they are searched."""

from __future__ import annotations

import importlib.util
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar, get_args

import click

from cnn_pipeline.base.errors import InvalidInput
from cnn_pipeline.base.home import Home
from cnn_pipeline.cli.checking import check_with_progress, must_be_read
from cnn_pipeline.cli.completing import words
from cnn_pipeline.cli.flags import (
    FLAGS,
    document_of,
    fault_text,
    flagged,
    has_range,
)
from cnn_pipeline.cli.options import choice, whole
from cnn_pipeline.cli.parsing import Faults
from cnn_pipeline.experiment.preflight import Preflight
from cnn_pipeline.experiment.search.space import (
    HYPERBAND_EPOCHS,
    MAX_TRIALS,
    MIN_TRIALS,
    Axis,
    Kind,
    Range,
    Search,
    in_words,
    space_faults,
)
from cnn_pipeline.settings.chosen import with_chosen
from cnn_pipeline.settings.faults import Fault, find_faults
from cnn_pipeline.settings.sweep import AUTO, Axes, Sweep
from cnn_pipeline.settings.trial import Training, Variant

CommandT = TypeVar("CommandT", bound=Callable[..., Any])

KINDS: tuple[Kind, ...] = get_args(Kind)
SEARCH, TRIALS, SEED = "--search", "--trials", "--search-seed"
_DEFAULT_TRIALS = 20
_DEFAULT_SEED = 1000
_NUMBER = re.compile(r"[-+]?[0-9]+(\.[0-9]+)?([eE][-+]?[0-9]+)?")
_INSTALL = 'pip install --editable ".[search]"'


@dataclass(frozen=True)
class CheckedSearch:
    """A search that fits its data."""

    search: Search
    base: Sweep
    """All other settings; a sweep without axes."""
    checked: Preflight
    """Of `base`."""


def search_options(command: CommandT) -> CommandT:
    """Add the flags of a search to a click command."""
    for name, metavar, text, known in reversed(
        (
            (
                SEARCH,
                "|".join(KINDS),
                "Search ranges, as --filters 8..128, and lists, instead of training each "
                "combination: by what was good so far (tpe), by chance, or with few epochs first "
                "(hyperband). The best 3 and the settings without a search are then compared with "
                "fresh seeds.",
                KINDS,
            ),
            (
                TRIALS,
                "N",
                f"How many variants a search tries. (default {_DEFAULT_TRIALS})",
                (),
            ),
            (
                SEED,
                "N",
                "Seed of a search: of what it tries, and of each training in it. "
                f"(default {_DEFAULT_SEED})",
                (),
            ),
        )
    ):
        command = click.option(name, metavar=metavar, help=text, shell_complete=words(known))(
            command
        )
    return command


def asks_for_search(values: Mapping[str, str]) -> bool:
    """Whether any flag of a search was given."""
    return any(key in values for key in ("search", "trials", "search_seed"))


def checked_search(
    values: Mapping[str, str],
    cache: Path,
    others: Sequence[str] = (),
    home: Home | None = None,
) -> CheckedSearch:
    """The search of these flags, checked against its data.

    Args:
        values: text by key, as for `sweep_from_flags`.
        cache: folder of verified downloads and of prepared pictures.
        others: what else is wrong on the command line; own data are read only if nothing is.
        home: where the sweep will run; own data of a name that is used there are not read.

    Raises:
        InvalidInput: lists every fault, each with its flag.
    """
    faults = Faults([*others])
    kind = faults.of(_kind, values)
    trials = faults.of(whole, TRIALS, values.get("trials"), _DEFAULT_TRIALS, MIN_TRIALS, MAX_TRIALS)
    seed = faults.of(whole, SEED, values.get("search_seed"), _DEFAULT_SEED, 0, 2**31 - 1)
    pairs, wrong = _pairs(values)
    faults.items += wrong
    ranges = {flag.key for flag in FLAGS if has_range(flag, values.get(flag.key, ""))}
    plain = {key: text for key, text in values.items() if key not in ranges}
    document, found, named = document_of({**plain, **pairs})
    given = {name: axis for name, axis in document["axes"].items() if axis is not None}
    axes, in_axes = find_faults(Axes, given)
    document |= {"axes": {}, "baseline": None}
    listed = bool(document["entries"])
    if listed:
        faults.items.append(
            f"{SEARCH}: needs a grid, and sweep {document['name']!r} lists its variants one by one"
        )
        document["entries"] = ()
    base, in_base = find_faults(Sweep, document)
    in_axes = tuple(Fault(("axes", *fault.path), fault.message) for fault in in_axes)
    faults.items += map(fault_text, (*found, *in_axes, *in_base))
    searched: dict[str, Axis] = {}
    if axes is not None:
        faults.items += _in_order(axes, pairs)
        searched = _searched(axes, pairs)
        base = base and faults.of(_with_single_values, base, axes, searched)
        if not searched and not listed and not in_axes and not wrong:
            faults.items.append(
                f"{SEARCH}: needs a setting to search, a range as --filters 8..128 or a list as "
                "--pooling max,none, received none"
            )
    if kind == "hyperband" and base is not None:
        faults.items += _hyperband_faults(base, searched)
    search = Search(kind or "tpe", trials or MIN_TRIALS, seed or 0, searched)
    if trials and searched and search.num_variants <= trials:
        faults.items.append(
            f"{TRIALS}: must be less than the {search.num_variants:,.0f} variants that there are, "
            f"received {trials}. Leave {SEARCH} out, list the values, and all are trained."
        )
    if base is not None and seed is not None:
        used = range(base.max_rounds) if base.seeds == AUTO else base.seeds
        if seed in used:
            faults.items.append(
                f"{SEED}: must not be one of the fresh seeds ({base.seeds_text}), received {seed}"
            )
    checked = None
    unread = base is not None and must_be_read(base) and bool(faults.items)
    in_data = any(fault.path[:1] == ("data",) for fault in in_base)
    if base is not None and not (unread or in_data):
        try:
            base = with_chosen(base, named | searched.keys())
            checked = check_with_progress(base, cache, home)
        except InvalidInput as error:
            faults.items += flagged(error).faults
    if checked is not None and base is not None:
        base = checked.sweep
        if not faults.items:
            unfit = space_faults(base, search, checked.shape)
            faults.items += flagged(InvalidInput(unfit)).faults
    faults.stop()
    assert base is not None and checked is not None
    return CheckedSearch(search, base, checked)


def search_words(search: Search) -> str:
    """The flags of a search beside its ranges, for a command that repeats it; a space before."""
    seed = "" if search.seed == _DEFAULT_SEED else f" {SEED} {search.seed}"
    return f" {SEARCH} {search.kind} {TRIALS} {search.trials}{seed}"


def _kind(values: Mapping[str, str]) -> Kind:
    if "search" not in values:
        raise InvalidInput(
            [f"--{key.replace('_', '-')}: needs {SEARCH}" for key in values if key in _BESIDE]
        )
    choice(SEARCH, values["search"], KINDS)
    if importlib.util.find_spec("optuna") is None:
        raise InvalidInput([f"{SEARCH}: needs Optuna, which is not installed: {_INSTALL}"])
    return next(kind for kind in KINDS if kind == values["search"])


_BESIDE = ("trials", "search_seed")


def _pairs(values: Mapping[str, str]) -> tuple[dict[str, str], list[str]]:
    """The ranges as lists of their two ends, by key, and what is wrong with others.

    A list of the ends has all other faults that the range has.
    """
    pairs, faults = {}, []
    for flag in FLAGS:
        text = values.get(flag.key, "")
        if not has_range(flag, text):
            continue
        low, _, high = text.partition("..")
        if not _numeric(flag.field):
            remedy = "list what to choose from" if _axis(flag.field) else "give one value"
            faults.append(f"{flag.name}: cannot be a range, received {text!r}; {remedy}")
        elif not (_NUMBER.fullmatch(low) and _NUMBER.fullmatch(high)):
            faults.append(
                f"{flag.name}: must be a range of two numbers, as 8..128, received {text!r}"
            )
        else:
            pairs[flag.key] = f"{low},{high}"
    return pairs, faults


def _axis(field: str) -> bool:
    return field in Axes.model_fields


def _numeric(field: str) -> bool:
    """Whether a setting is an axis of numbers."""
    if not _axis(field):
        return False
    model = Variant if field in Variant.model_fields else Training
    default = model.model_fields[field].default
    return default is None or (isinstance(default, int | float) and not isinstance(default, bool))


def _in_order(axes: Axes, pairs: Mapping[str, str]) -> list[str]:
    """Faults of ranges whose ends are not in order."""
    return [
        f"{flag.name}: the lower end must be less than the upper, received "
        f"{pairs[flag.key].replace(',', '..')}"
        for flag in FLAGS
        if flag.key in pairs
        and (ends := axes.given.get(flag.field)) is not None
        and not ends[0] < ends[1]
    ]


def _searched(axes: Axes, pairs: Mapping[str, str]) -> dict[str, Axis]:
    found: dict[str, Axis] = {}
    for name, values in axes.given.items():
        if name in pairs and values[0] < values[1]:
            low, high = values
            found[name] = Range(low, high, whole=isinstance(low, int))
        elif len(values) > 1:
            found[name] = tuple(dict.fromkeys(values))
    return found


def _with_single_values(base: Sweep, axes: Axes, searched: Mapping[str, Axis]) -> Sweep:
    """The base with the values of axes that have only one."""
    alone = {
        name: values[0]
        for name, values in axes.given.items()
        if name not in searched and name in Variant.model_fields
    }
    try:
        return base.model_copy(update={"variant": base.variant.changed(**alone)})
    except ValueError as error:
        raise InvalidInput([in_words(error)]) from None


def _hyperband_faults(base: Sweep, searched: Mapping[str, Axis]) -> list[str]:
    if "epochs" in searched:
        return [f"--epochs: {SEARCH} hyperband varies the epochs itself; give one number"]
    if base.training.epochs < HYPERBAND_EPOCHS:
        return [
            f"--epochs: must be at least {HYPERBAND_EPOCHS} for {SEARCH} hyperband, which stops "
            f"after a third of them, received {base.training.epochs}"
        ]
    return []
