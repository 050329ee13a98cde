"""Convolutions that no library has, compiled by Numba for the processor.

Two rules keep the loops fast and the cache on disk correct:

- Indices are unsigned (`np.uintp`), and slices of working arrays have constant strides. A signed
  index may count from the end, and slices with strides known only at run time may overlap; either
  keeps the compiler from vectorising.
- Functions that call each other are in one file. Numba checks only the file of a function, not the
  files of its callees, to see whether the cached code is up to date.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import numba
from numba.core import event

Function = TypeVar("Function", bound=Callable[..., Any])


def compiled(function: Function) -> Function:
    """`function`, compiled at its first call on a machine and cached beside its source.

    The cache is in the user's cache folder if the source's folder is read-only; without either,
    each process compiles. Products and sums may be fused, as in oneDNN, but sums stay in the order
    of the source, so identical inputs give identical bits. Releases the GIL.
    """
    options = {"nogil": True, "error_model": "numpy", "fastmath": {"contract"}}
    try:
        made: Function = numba.njit(cache=True, **options)(function)
    except RuntimeError:  # there is no folder for the cache
        made = numba.njit(**options)(function)
    return made


@contextmanager
def compiling(begins: Callable[[], None]) -> Iterator[None]:
    """Call `begins` once, before the first function in this block that is not cached."""
    with event.install_listener("numba:compile", _First(begins)):
        yield


class _First(event.Listener):  # type: ignore[misc]
    def __init__(self, begins: Callable[[], None]) -> None:
        self._begins: Callable[[], None] | None = begins

    def on_start(self, event: event.Event) -> None:
        """Compilation of a function begins."""
        begins, self._begins = self._begins, None
        if begins is not None:
            begins()

    def on_end(self, event: event.Event) -> None:
        """Compilation of a function has ended."""
