"""Import Keras faster and with fixed settings, and collect garbage rarely.

Keras imports scikit-learn, and with it much of SciPy, for its scikit-learn wrappers. TensorFlow
imports JAX, if installed, to convert JAX functions for phones. Both work without these packages,
and nothing here uses them: leaving them out saves a fifth of the import (`docs/performance.md`).
Imports create hundreds of thousands of objects and hardly any garbage.
"""

from __future__ import annotations

import atexit
import functools
import gc
import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager

from cnn_pipeline.base.machine import backend_name

# Read once, when TensorFlow and Keras are imported. TensorFlow uses oneDNN by default only with
# AVX-512. It is faster without AVX-512, too, and its ReLU propagates NaN, while the default one
# turns it into 0: with oneDNN, divergence is detected.
KERAS_ENVIRONMENT = {"TF_ENABLE_ONEDNN_OPTS": "1", "KERAS_NNX_ENABLED": "0"}


@contextmanager
def lean_imports() -> Iterator[None]:
    """Hide scikit-learn, and JAX unless it is the backend, from imports in this block.

    Modules that are already imported stay. After the block everything can be imported again.
    If the block is the first to import Keras, Keras gets the same settings in every process: what
    the user's `keras.json` says of dtype, epsilon, data format and backend does not count, nor do
    `TF_ENABLE_ONEDNN_OPTS`, `KERAS_MAX_EPOCHS` and `KERAS_MAX_STEPS_PER_EPOCH`. Only
    `KERAS_BACKEND` is the user's choice; TensorFlow is the default.
    """
    first = "keras" not in sys.modules
    os.environ.setdefault("KERAS_BACKEND", backend_name())
    os.environ.update(KERAS_ENVIRONMENT)
    unused = ["sklearn"]
    if backend_name() != "jax":
        unused.append("jax")
    hidden = [name for name in unused if name not in sys.modules]
    for name in hidden:
        # None makes `import` fail, by the language reference.
        sys.modules[name] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        for name in hidden:
            if sys.modules.get(name, name) is None:  # another thread may have removed it
                del sys.modules[name]
    if first and "keras" in sys.modules:
        _set_keras_defaults()


@contextmanager
def hidden_notes() -> Iterator[None]:
    """Hide what native code writes to stderr in this block; show it if the block raises.

    TensorFlow writes notes about missing CUDA libraries before it reads `TF_CPP_MIN_LOG_LEVEL`.
    """
    sys.stderr.flush()
    kept = os.dup(2)
    with tempfile.TemporaryFile() as notes:
        os.dup2(notes.fileno(), 2)
        try:
            yield
        except BaseException:
            notes.seek(0)
            os.write(kept, notes.read())
            raise
        finally:
            os.dup2(kept, 2)
            os.close(kept)


@functools.cache  # a server that loads another champion must not lose lines of its log
def import_keras_quietly() -> None:
    """Import Keras and let its backend look for GPUs, without notes on the screen."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    with hidden_notes(), lean_imports():
        import keras

        if keras.backend.backend() == "tensorflow":
            import tensorflow as tf

            tf.config.list_physical_devices()


def _set_keras_defaults() -> None:
    import keras

    keras.config.set_floatx("float32")
    keras.config.set_epsilon(1e-7)
    keras.config.set_image_data_format("channels_last")
    keras.config.set_max_epochs(None)
    keras.config.set_max_steps_per_epoch(None)


def collect_rarely() -> None:
    """Collect garbage rarely in this process, and not at exit, where memory is freed anyway."""
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
