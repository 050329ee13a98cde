"""Create `fashion-mnist-sample`, which is shipped in the package, from Fashion-MNIST.

    python scripts/make_sample.py CACHE [TARGET]

downloads Fashion-MNIST into the folder CACHE, draws 600 training and 100 test images of each class,
and writes four gzipped IDX files to TARGET (default: the package's own folder). It prints size and
SHA-256 of each payload for `cnn_pipeline/data/catalog.py`; they are the same on every machine.
"""

from __future__ import annotations

import gzip
import hashlib
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cnn_pipeline.data.catalog import FASHION_MNIST, FASHION_MNIST_SAMPLE, CatalogFile
from cnn_pipeline.data.fetching.fetch import fetch
from cnn_pipeline.data.fetching.payload import read_verified
from cnn_pipeline.data.formats.idx import parse_idx
from cnn_pipeline.data.splits import stratified

PACKAGE_FOLDER = Path(__file__).parents[1] / "cnn_pipeline" / "data" / "sample"
SEED = 0


def idx_bytes(values: NDArray[np.uint8]) -> bytes:
    """`values` as an IDX file: magic number, big-endian sizes, values."""
    header = bytes([0, 0, 8, values.ndim]) + np.array(values.shape, dtype=">u4").tobytes()
    return header + values.tobytes()


def sample_payloads(cache: Path) -> dict[CatalogFile, bytes]:
    """The four uncompressed files of the sample."""
    folder = fetch(cache).folder
    whole, sample = FASHION_MNIST, FASHION_MNIST_SAMPLE
    pairs = (
        (
            whole.train_images,
            whole.train_labels,
            sample.train_images,
            sample.train_labels,
        ),
        (whole.test_images, whole.test_labels, sample.test_images, sample.test_labels),
    )
    payloads = {}
    rng = np.random.Generator(np.random.PCG64(SEED))
    for images_from, labels_from, images_to, labels_to in pairs:
        images = parse_idx(read_verified(folder / images_from.name, images_from))
        labels = parse_idx(read_verified(folder / labels_from.name, labels_from))
        size = sample.train_size if images_to is sample.train_images else sample.test_size
        per_class = np.full(len(whole.class_names), size // len(whole.class_names))
        drawn, _ = stratified(labels.astype(np.int64), per_class, rng)
        payloads[images_to] = idx_bytes(images[drawn])
        payloads[labels_to] = idx_bytes(labels[drawn])
    return payloads


def main(cache: Path, target: Path = PACKAGE_FOLDER) -> None:
    """Write the gzipped files to `target`; print size and SHA-256 of each payload."""
    target.mkdir(parents=True, exist_ok=True)
    for file, payload in sample_payloads(cache).items():
        packed = gzip.compress(payload, compresslevel=9, mtime=0)
        (target / f"{file.name}.gz").write_bytes(packed)
        print(file.name, len(payload), hashlib.sha256(payload).hexdigest())


if __name__ == "__main__":
    if len(sys.argv) not in (2, 3):
        sys.exit(__doc__)
    main(*map(Path, sys.argv[1:]))
