"""Keras' Adam with TensorFlow's update in one pass through memory.

Keras composes the update from elementary operations, and on a processor each is a pass through
memory. Without pooling, where the first dense layer has 4.7 million weights, the update took 18 %
of a training step (`benchmarks/training_speed.py`).
"""

from __future__ import annotations

from typing import Any

import keras
import tensorflow as tf


class FusedAdam(keras.optimizers.Adam):  # type: ignore[misc]
    """Adam (Kingma and Ba 2015) as in Keras, without `amsgrad`, up to rounding."""

    def update_step(self, gradient: Any, variable: Any, learning_rate: Any) -> None:
        """Update `variable` and its two moments by one step."""
        number = self._get_variable_index(variable)
        step = keras.ops.cast(self.iterations + 1, variable.dtype)
        beta_1, beta_2 = (
            keras.ops.cast(beta, variable.dtype) for beta in (self.beta_1, self.beta_2)
        )
        tf.raw_ops.ResourceApplyAdam(
            var=_handle(variable),
            m=_handle(self._momentums[number]),
            v=_handle(self._velocities[number]),
            beta1_power=keras.ops.power(beta_1, step),
            beta2_power=keras.ops.power(beta_2, step),
            lr=keras.ops.cast(learning_rate, variable.dtype),
            beta1=beta_1,
            beta2=beta_2,
            epsilon=self.epsilon,
            grad=gradient,
        )


def _handle(variable: Any) -> Any:
    """TensorFlow's handle of a variable, which may be Keras' or TensorFlow's."""
    return (variable.value if isinstance(variable, keras.Variable) else variable).handle
