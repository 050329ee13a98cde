"""What a signal raises in the main thread, kept through the libraries that it interrupts.

Python raises it between any two instructions. A library that is interrupted may fail when it
cleans up, and some make an error of their own of it, without its cause.
"""

from __future__ import annotations

import gc
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

from cnn_pipeline.base.errors import Stopped, causes

_raised: BaseException | None = None  # one at a time, in the main thread


def raise_stop(stop: BaseException) -> NoReturn:
    """Raise from a signal's handler what `keeping_stop` keeps until `forget_stop`."""
    global _raised
    _raised = stop
    raise stop


def forget_stop() -> None:
    """The command goes on after what was raised: Ctrl-C that concludes a sweep."""
    global _raised
    _raised = None


@contextmanager
def keeping_stop(*kinds: type[BaseException]) -> Iterator[None]:
    """Raise again what stopped the block, where another error was made of it.

    Args:
        kinds: exceptions to keep, beside those for Ctrl-C and SIGTERM, and `Stopped`.
    """
    stops: tuple[type[BaseException], ...] = (KeyboardInterrupt, SystemExit, Stopped, *kinds)
    try:
        yield
    except Exception as error:
        stop = next((one for one in causes(error) if isinstance(one, stops)), _raised)
        if stop is None:
            raise
        raise stop  # noqa: B904 - it is the cause


def let_go(error: BaseException) -> None:
    """Release what the interrupted calls hold: a transaction that is open locks SQLite.

    Call it before the store is written again after Ctrl-C.
    """
    for one in causes(error):
        traceback.clear_frames(one.__traceback__)
    gc.collect()
