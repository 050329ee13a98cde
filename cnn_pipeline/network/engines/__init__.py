"""Engines compute an epoch: Keras' `fit`, a TensorFlow graph, or a JAX loop.

All compute the same function; only the rounding of sums differs. `train` calls them.
"""

from cnn_pipeline.network.engines.choose import Engine, engine_for

__all__ = ["Engine", "engine_for"]
