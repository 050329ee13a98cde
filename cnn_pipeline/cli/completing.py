"""Values of flags that a shell can complete, for click's `shell_complete`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable

import click
from click.shell_completion import CompletionItem

Complete = Callable[[click.Context, click.Parameter, str], list[CompletionItem]]


def words(choices: Iterable[str], *, or_file: bool = False) -> Complete:
    """Complete one of `choices`, or the last word of a list with commas."""
    known = tuple(choices)

    def complete(
        ctx: click.Context, parameter: click.Parameter, incomplete: str
    ) -> list[CompletionItem]:
        before, comma, last = incomplete.rpartition(",")
        found = [CompletionItem(before + comma + word) for word in known if word.startswith(last)]
        return found or (files(ctx, parameter, incomplete) if or_file else [])

    return complete


def files(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[CompletionItem]:
    """Complete the path of a file."""
    return [CompletionItem(incomplete, type="file")]


def folders(
    ctx: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Complete the path of a folder."""
    return [CompletionItem(incomplete, type="dir")]


def stored_sweeps(
    ctx: click.Context, parameter: click.Parameter, incomplete: str
) -> list[CompletionItem]:
    """Complete the id of a stored sweep, newest first. Without a store that answers: nothing."""
    from cnn_pipeline.base.errors import UserError
    from cnn_pipeline.base.home import resolve_home
    from cnn_pipeline.tracking.store import open_store, store_exists

    typed = ctx.params
    try:
        home = resolve_home(typed.get("home"), os.environ)
        if not store_exists(home, os.environ):
            return []
        store = open_store(home, os.environ, create=False)
        from cnn_pipeline.tracking.reader import Reader

        known = Reader(store).sweep_ids()
    except UserError:
        return []
    return [CompletionItem(one) for one in known if one.startswith(incomplete)]
