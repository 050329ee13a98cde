"""Importing Keras without what it imports only to offer something else with it.

Keras imports scikit-learn, and with it much of SciPy, for its scikit-learn wrappers, and
matplotlib's pyplot for its galleries of images; TensorFlow imports JAX, where there is one, to
convert JAX's functions for phones. All do without where the package is not installed, and nothing
here uses any of them: without them the import takes less by a fifth and more
(`docs/performance.md`).
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
    """Have what is imported in this block take those modules for not installed.

    What has been imported already is left as it is; after the block all can be imported again.
    Where no backend is chosen it is TensorFlow from here on: Keras would ask a file of the user's,
    which may name the one that is left out.
    """
    os.environ.setdefault("KERAS_BACKEND", backend_name())
    unused = ["sklearn", "matplotlib.pyplot"]
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
