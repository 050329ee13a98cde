"""Arithmetic of a training step that no library has, compiled for the processor at hand by Numba.

Two rules keep the loops fast, and the compiled code that is kept on disk true:

- Positions are unsigned (`np.uintp`), and working arrays are cut at constant distances. A signed
  position may count from the end, and distances that are only known while it runs may overlap; with
  either, the compiler gives up on vectors.
- What calls each other stands in one file. Numba looks at the file of a function, not at those of
  what it calls, to see whether its code on disk is still that of the source.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import numba
from numba.core import event

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """`function`, compiled at its first call on a machine and kept beside its source.

    Kept in the user's cache where that folder is read-only, and not at all, but compiled for each
    process, where there is none. Products and sums may be fused, as oneDNN does it; sums stay in
    the order of the source, so that equal inputs give equal bits. Python's lock is released.
    """
    options = {"nogil": True, "error_model": "numpy", "fastmath": {"contract"}}
    try:
        made: Function = numba.njit(cache=True, **options)(function)
    except RuntimeError:  # nowhere to keep it
        made = numba.njit(**options)(function)
    return made


@contextmanager
def compiling(begins: Callable[[], None]) -> Iterator[None]:
    """Call `begins` once, before the first function of this block that is not on disk yet."""
    with event.install_listener("numba:compile", _First(begins)):
        yield


class _First(event.Listener):  # type: ignore[misc]
    def __init__(self, begins: Callable[[], None]) -> None:
        self._begins: Callable[[], None] | None = begins

    def on_start(self, event: event.Event) -> None:
        """A function begins to be compiled."""
        begins, self._begins = self._begins, None
        if begins is not None:
            begins()

    def on_end(self, event: event.Event) -> None:
        """It is; nothing is to be said."""
