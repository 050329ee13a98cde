"""Command-line parsing that collects all faults instead of stopping at the first."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from typing import Any, ParamSpec, TypeVar

import click

from cnn_pipeline.base.errors import InvalidInput, did_you_mean

P = ParamSpec("P")
T = TypeVar("T")

_META = "cnn_pipeline.settings.faults"


@dataclass
class Faults:
    """The faults of one command line."""

    items: list[str] = field(default_factory=list)

    def of(self, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T | None:
        """Call and return the value. If it raises `InvalidInput`, keep its faults, return None."""
        try:
            return call(*args, **kwargs)
        except InvalidInput as error:
            self.items += error.faults
            return None

    def stop(self) -> None:
        """Raise `InvalidInput` with all faults so far, if there are any."""
        if self.items:
            raise InvalidInput(list(dict.fromkeys(self.items)))


def faults_of(ctx: click.Context) -> Faults:
    """Faults of the command line itself: unknown flags, missing values."""
    return Faults(list(ctx.meta.get(_META, ())))


class CollectingCommand(click.Command):
    """A click command that does not stop at the first wrong word.

    Options take text. The command checks all values together.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        options = [p for p in self.params if isinstance(p, click.Option)]
        faults: list[str] = []
        if {"-h", "--help"} & set(args):
            args = ["--help"]
        else:
            args, faults = collect(
                args,
                valued={name for p in options if not p.is_flag for name in p.opts},
                switches={name for p in options if p.is_flag for name in p.opts},
                takes_words=self.takes_words(args),
            )
        ctx.meta[_META] = faults
        return super().parse_args(ctx, args)

    def takes_words(self, args: Sequence[str]) -> bool:
        """Whether a command line with these words may have positional arguments."""
        return any(isinstance(p, click.Argument) for p in self.params)


def collect(
    args: Sequence[str], valued: Collection[str], switches: Collection[str], takes_words: bool
) -> tuple[list[str], list[str]]:
    """Split a command line into words that parse and faults.

    Args:
        args: the words after the command's name.
        valued: flags that take a value, like '--filters'.
        switches: flags that take none, like '--json'.
        takes_words: whether the command has positional arguments.

    Returns:
        (words that parse, faults).
    """
    known = [*valued, *switches]
    flags: list[str] = []
    words: list[str] = []
    faults: list[str] = []
    seen: set[str] = set()
    rest = list(args)
    while rest:
        word = rest.pop(0)
        if word == "--":
            words += rest
            break
        if not word.startswith("-") or word == "-":
            words.append(word)
            continue
        name, equals, value = word.partition("=")
        next_is_value = bool(rest) and not rest[0].startswith("--")
        if name not in known:
            hint = did_you_mean(name, known) or "; --help lists the flags"
            faults.append(f"unknown flag {name}{hint}")
            if not equals and next_is_value and not takes_words:
                rest.pop(0)
        elif name in switches:
            if equals:
                faults.append(f"{name}: takes no value, received {value!r}")
            flags.append(name)
        elif not equals and not next_is_value:
            faults.append(f"{name}: needs a value")
        else:
            value = value if equals else rest.pop(0)
            if name in seen:
                faults.append(f"{name}: is given twice; give it once (lists take commas)")
            seen.add(name)
            flags.append(f"{name}={value}")
    if words and not takes_words:
        faults += [f"unexpected argument {word!r}" for word in words]
        words = []
    return [*flags, "--", *words], faults


def given(values: dict[str, Any]) -> dict[str, str]:
    """The flags that were set."""
    return {name: value for name, value in values.items() if value is not None}
