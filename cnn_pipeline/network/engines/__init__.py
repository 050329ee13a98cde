"""How an epoch is computed: by Keras' `fit`, as a graph of TensorFlow's, or as a loop of JAX'.

All give the same function, but for the rounding of sums. `training` drives them; only this
package knows the calls of a backend.
"""

from cnn_pipeline.network.engines.choose import Engine, engine_for

__all__ = ["Engine", "engine_for"]
