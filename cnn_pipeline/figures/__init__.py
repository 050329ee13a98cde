"""Pictures of a run: pure functions from a record to a matplotlib `Figure`.

Nothing here uses pyplot or changes matplotlib's settings, so several threads may draw at once.
`png_bytes` turns a figure into the file that a run keeps.
"""

from cnn_pipeline.figures.ablation import ablation
from cnn_pipeline.figures.arithmetic import convolution, pooling
from cnn_pipeline.figures.confusion import confusion_matrix
from cnn_pipeline.figures.filters import kernels
from cnn_pipeline.figures.handmade import filtered
from cnn_pipeline.figures.history import curves
from cnn_pipeline.figures.layers import LayerOutput, journey
from cnn_pipeline.figures.looks import looks
from cnn_pipeline.figures.mistakes import misclassified
from cnn_pipeline.figures.page import percent, png_bytes
from cnn_pipeline.figures.patches import exciting_patches

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
    "percent",
    "png_bytes",
    "pooling",
]
