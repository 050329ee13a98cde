"""When Python looks for garbage, in processes that import much and make little of it.

Imports make objects by the hundred thousand, and hardly any garbage: at Python's default, looking
through them took an eighth of a second in each second of a command's start, and half a second at
its end.
"""

from __future__ import annotations

import atexit
import gc
from collections.abc import Iterator
from contextlib import contextmanager


def collect_rarely() -> None:
    """For a whole process: look seldom, and not at its end, when all of it goes anyway."""
    gc.set_threshold(100_000, 20, 20)
    atexit.register(gc.freeze)


@contextmanager
def never_collected() -> Iterator[None]:
    """Look for none in this block, and never again at what it leaves."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()  # or the next object made would have all the others looked through
        gc.enable()
