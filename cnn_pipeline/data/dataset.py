"""Load a data set: three splits and a digest."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from cnn_pipeline.base.errors import DataError, InvalidInput
from cnn_pipeline.data.arrays import Part, content_digest, pair_faults
from cnn_pipeline.data.catalog import CATALOGS, FASHION_MNIST, FASHION_MNIST_SAMPLE, Catalog
from cnn_pipeline.data.fetching.fetch import FetchedFiles, fetch
from cnn_pipeline.data.fetching.payload import PayloadError, read_verified, unpack
from cnn_pipeline.data.fetching.sources import Source
from cnn_pipeline.data.formats.idx import parse_idx
from cnn_pipeline.data.formats.local import read_local
from cnn_pipeline.data.splits import check_settings, split_train
from cnn_pipeline.settings.trial import DataSettings


@dataclass(frozen=True, eq=False)
class Split:
    """Images with the role 'train', 'validation' or 'test', in the order of the files.

    `images`: uint8 `[n, h, w, c]`, 0 to 255; c is 1 (grey) or 3 (RGB). `labels`: int64 `[n]`, 0 to
    k-1. Both arrays are read-only.
    """

    role: str
    images: NDArray[np.uint8]
    labels: NDArray[np.int64]

    def __post_init__(self) -> None:
        self.images.flags.writeable = False
        self.labels.flags.writeable = False

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images to train on, to choose the variant by (validation) and to report on (test).

    `name` is a slug. `digest` is the SHA-256 of the data before the split (`content_digest`).
    `source` says where the files came from.
    """

    name: str
    class_names: tuple[str, ...]
    train: Split
    validation: Split
    test: Split
    digest: str
    source: str

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Height, width, channels."""
        _, height, width, channels = self.train.images.shape
        return height, width, channels

    @property
    def num_classes(self) -> int:
        """Number of classes."""
        return len(self.class_names)


@dataclass(frozen=True, eq=False)
class _Unsplit:
    name: str
    class_names: tuple[str, ...]
    train: Part
    test: Part
    source: str


def load_dataset(
    settings: DataSettings, cache: Path, sources: Sequence[Source] | None = None
) -> Dataset:
    """Fetch the data if necessary, verify, read and split them.

    Args:
        settings: which data, and how to split them.
        cache: folder of verified downloads, used for 'fashion-mnist' only.
        sources: where to download from; `default_sources` by default.

    Raises:
        InvalidInput: files of the user's own data are bad, or the split does not fit the data.
        DataError: the files cannot be fetched.
    """
    catalog = CATALOGS.get(settings.source)
    if catalog is not None:
        _refuse(check_settings(settings, catalog.train_size, len(catalog.class_names)))
    if catalog is FASHION_MNIST:
        unsplit = _read_fetched(fetch(cache, catalog, sources), catalog)
    elif catalog is FASHION_MNIST_SAMPLE:
        unsplit = _read_sample()
    else:
        local = read_local(Path(settings.source))
        unsplit = _Unsplit(local.name, local.class_names, local.train, local.test, "your own files")
        _refuse(check_settings(settings, len(local.train.labels), len(local.class_names)))
    train, validation = split_train(unsplit.train.labels, settings)
    return Dataset(
        name=unsplit.name,
        class_names=unsplit.class_names,
        train=_take(unsplit.train, "train", train),
        validation=_take(unsplit.train, "validation", validation),
        test=Split("test", unsplit.test.images, unsplit.test.labels),
        digest=content_digest(unsplit.train, unsplit.test, unsplit.class_names),
        source=unsplit.source,
    )


def _refuse(faults: list[str]) -> None:
    if faults:
        raise InvalidInput(faults)


def _take(part: Part, role: str, positions: NDArray[np.int64]) -> Split:
    return Split(role, part.images[positions], part.labels[positions])


def _read_fetched(fetched: FetchedFiles, catalog: Catalog) -> _Unsplit:
    payloads = {}
    for item in fetched.files:
        try:
            payloads[item.file.name] = read_verified(item.path, item.file)
        except (PayloadError, OSError) as error:
            # It was verified before, so another process writes there.
            raise DataError(
                f"{item.path} changed while it was read: {error}. Run the command again."
            ) from error
    return _parse(catalog, payloads, fetched.source)


def _read_sample() -> _Unsplit:
    catalog = FASHION_MNIST_SAMPLE
    payloads = {}
    for file in catalog.files:
        packed = resources.files("cnn_pipeline.data") / "sample" / f"{file.name}.gz"
        payload = io.BytesIO()
        try:
            unpack(io.BytesIO(packed.read_bytes()), payload, file)
        except (PayloadError, OSError) as error:
            raise DataError(
                f"The package's own {packed} must be the sample's file, received: {error}. "
                "Install cnn-pipeline again."
            ) from error
        payloads[file.name] = payload.getvalue()
    return _parse(catalog, payloads, "shipped with cnn-pipeline")


def _parse(catalog: Catalog, payloads: dict[str, bytes], source: str) -> _Unsplit:
    train, test = (
        Part(
            images=parse_idx(payloads[images.name])[..., np.newaxis],
            labels=parse_idx(payloads[labels.name]).astype(np.int64),
            images_file=images.name,
            labels_file=labels.name,
        )
        for images, labels in (
            (catalog.train_images, catalog.train_labels),
            (catalog.test_images, catalog.test_labels),
        )
    )
    faults = pair_faults(train, test, catalog.class_names)
    if faults:
        raise DataError(f"The files of {catalog.name} do not fit together: {'; '.join(faults)}")
    return _Unsplit(catalog.name, catalog.class_names, train, test, source)
