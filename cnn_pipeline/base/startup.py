"""Faster imports: leave out packages that nothing here uses, and collect garbage rarely.

Keras imports scikit-learn, and with it much of SciPy, for its scikit-learn wrappers. TensorFlow
imports JAX, if installed, to convert JAX functions for phones. Both work without these packages,
and nothing here uses them: leaving them out saves a fifth of the import (`docs/performance.md`).
Imports create hundreds of thousands of objects and hardly any garbage.
"""

from __future__ import annotations

import atexit
import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from cnn_pipeline.base.machine import backend_name


@contextmanager
def lean_imports() -> Iterator[None]:
    """Hide scikit-learn, and JAX unless it is the backend, from imports in this block.

    Modules that are already imported stay. After the block everything can be imported again.
    Sets `KERAS_BACKEND` to TensorFlow if it is not set: otherwise Keras would read the backend from
    the user's `keras.json`, which may name the one that is hidden.
    """
    os.environ.setdefault("KERAS_BACKEND", backend_name())
    unused = ["sklearn"]
    if backend_name() != "jax":
        unused.append("jax")
    hidden = [name for name in unused if name not in sys.modules]
    for name in hidden:
        sys.modules[name] = None  # type: ignore[assignment]  # as the reference of `import` has it
    try:
        yield
    finally:
        for name in hidden:
            if sys.modules.get(name, name) is None:  # another thread may have been in here as well
                del sys.modules[name]


def collect_rarely() -> None:
    """Collect garbage rarely in this process, and not at its end, where memory is freed anyway."""
    gc.set_threshold(100_000, 20, 20)
    atexit.register(gc.freeze)


@contextmanager
def never_collected() -> Iterator[None]:
    """Collect no garbage in this block, and never look at its objects again."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()  # otherwise the next allocation would scan all of them
        gc.enable()
