"""Arithmetic of a training step that no library has, compiled for the processor at hand by Numba.

Two rules keep the loops fast, and the compiled code that is kept on disk true:

- Positions are unsigned (`np.uintp`), and working arrays are cut at constant distances. A signed
  position may count from the end, and distances that are only known while it runs may overlap; with
  either, the compiler gives up on vectors.
- What calls each other stands in one file. Numba looks at the file of a function, not at those of
  what it calls, to see whether its code on disk is still that of the source.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import numba

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
