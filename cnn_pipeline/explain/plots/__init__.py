"""Pictures of a run: pure functions from a record to a matplotlib `Figure`.

Nothing here uses pyplot or changes matplotlib's settings, so several threads may draw at once.
`png_bytes` turns a figure into the file that a run keeps.
"""

from cnn_pipeline.explain.convolution.figure import convolution, pooling
from cnn_pipeline.explain.convolution.hand_made_figure import filtered
from cnn_pipeline.explain.drawing.page import png_bytes
from cnn_pipeline.explain.inside.ablation_figure import ablation
from cnn_pipeline.explain.inside.occlusion_figure import looks
from cnn_pipeline.explain.inside.patches_figure import exciting_patches
from cnn_pipeline.explain.plots.confusion import confusion_matrix
from cnn_pipeline.explain.plots.curves import curves
from cnn_pipeline.explain.plots.journey import LayerOutput, journey
from cnn_pipeline.explain.plots.kernels import kernels
from cnn_pipeline.explain.plots.mistakes import misclassified

__all__ = [
    "LayerOutput",
    "ablation",
    "confusion_matrix",
    "convolution",
    "curves",
    "exciting_patches",
    "filtered",
    "journey",
    "kernels",
    "looks",
    "misclassified",
    "png_bytes",
    "pooling",
]
