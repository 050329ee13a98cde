"""Add seeds to a sweep that was run."""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterable

from cnn_pipeline.base.errors import InvalidInput, UserError
from cnn_pipeline.base.home import Home
from cnn_pipeline.settings.faults import dotted, find_faults
from cnn_pipeline.settings.sweep import ONLY_AUTO, Sweep


def with_more_seeds(word: str | None, count: int, home: Home) -> Sweep:
    """A stored sweep with `count` more seeds for each variant. Its own trials can be reused.

    Of a sweep with seeds 'auto', a variant that was dropped also gets the seeds that it lacks: all
    variants of a list have the same seeds.

    Args:
        word: id or name of the sweep; None is the last one that has ended.
        count: how many seeds to add, at least 1.
        home: where it is stored.

    Raises:
        UserError: there is no such sweep, it is running, or it would have too many seeds.
    """
    from cnn_pipeline.tracking.reader import Reader
    from cnn_pipeline.tracking.store import open_store

    reader = Reader(open_store(home, os.environ, create=False))
    record = reader.sweep(word, ended=True)
    if record.running:
        raise UserError(
            f"seeds are added to a sweep that has ended, and {record.sweep_id} is running. Wait "
            "for it, or press Ctrl-C where it runs."
        )
    trained = sorted({result.seed for result in reader.trials(record)})
    return more_seeds(record.sweep, trained, count)


def more_seeds(sweep: Sweep, trained: Iterable[int], count: int) -> Sweep:
    """The sweep with a list of seeds: its own, those that were trained, and the next `count`.

    Raises:
        InvalidInput: it would have too many seeds.
    """
    own = () if sweep.seeds == "auto" else sweep.seeds
    known = tuple(dict.fromkeys((*own, *trained)))
    added = itertools.islice((seed for seed in itertools.count() if seed not in known), count)
    document = sweep.model_dump(exclude=set(ONLY_AUTO)) | {"seeds": [*known, *added]}
    made, faults = find_faults(Sweep, document)
    if made is None or faults:
        raise InvalidInput([fault.text(dotted) for fault in faults])
    return made
