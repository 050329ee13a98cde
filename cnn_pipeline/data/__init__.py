"""Images: where they come from, what is verified, how they are split. It never scales pixels."""

from cnn_pipeline.data.catalog import CATALOGS, FASHION_MNIST, FASHION_MNIST_SAMPLE
from cnn_pipeline.data.dataset import Dataset, Split, known_sizes, load_dataset
from cnn_pipeline.data.describe import Description, class_counts, describe, render
from cnn_pipeline.data.fetch import FetchedFiles, fetch
from cnn_pipeline.data.splits import check_settings

__all__ = [
    "CATALOGS",
    "FASHION_MNIST",
    "FASHION_MNIST_SAMPLE",
    "Dataset",
    "Description",
    "FetchedFiles",
    "Split",
    "check_settings",
    "class_counts",
    "describe",
    "fetch",
    "known_sizes",
    "load_dataset",
    "render",
]
