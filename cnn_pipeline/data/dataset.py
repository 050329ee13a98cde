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
from cnn_pipeline.base.quantities import percent
from cnn_pipeline.data.arrays import Part, content_digest, pair_faults
from cnn_pipeline.data.catalog import CATALOGS, FASHION_MNIST, FASHION_MNIST_SAMPLE, Catalog
from cnn_pipeline.data.drawing import measured_drawing
from cnn_pipeline.data.fetching.fetch import FetchedFiles, fetch
from cnn_pipeline.data.fetching.payload import PayloadError, read_verified, unpack
from cnn_pipeline.data.fetching.sources import Source
from cnn_pipeline.data.formats.idx import parse_idx
from cnn_pipeline.data.formats.local import LocalData, read_local
from cnn_pipeline.data.groups import identical
from cnn_pipeline.data.preparation import AS_IS, FASHION, Preparation, catalog_faults
from cnn_pipeline.data.rows import Images
from cnn_pipeline.data.splits import (
    TEST_SEED,
    check_settings,
    limit_train,
    not_own_faults,
    split_test,
    split_train,
)
from cnn_pipeline.settings.trial import DataSettings

TEST_SHARE = 0.2
"""Share of the images that become test images where the data have none."""


@dataclass(frozen=True, eq=False)
class Split:
    """Images with the role 'train', 'validation' or 'test', in the order of the files.

    `images`: uint8 `[n, h, w, c]`, 0 to 255; c is 1 (grey) or 3 (RGB). `labels`: int64 `[n]`, 0 to
    k-1. Both are read-only. Images may be larger than the memory: take some by their positions.
    """

    role: str
    images: Images
    labels: NDArray[np.int64]
    names: tuple[str, ...] = ()
    """What the data call each image: 'ant/01.png'; empty where images have no names."""

    def __post_init__(self) -> None:
        if isinstance(self.images, np.ndarray):
            self.images.flags.writeable = False
        self.labels.flags.writeable = False

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True, eq=False)
class Dataset:
    """Images to train on, to choose the variant by (validation) and to report on (test).

    `name` is a slug. `digest` is the SHA-256 of the data before the split (`content_digest`).
    `source` says where the files came from, `notes` in sentences what was converted, left out or
    drawn.
    """

    name: str
    class_names: tuple[str, ...]
    train: Split
    validation: Split
    test: Split
    digest: str
    source: str
    notes: tuple[str, ...] = ()
    preparation: Preparation = AS_IS
    """How a picture file becomes an image like these."""
    test_drawn: str = ""
    """How the test images were drawn from the training images; empty if the data have their own."""

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
    validation: Part | None = None
    notes: tuple[str, ...] = ()
    preparation: Preparation = FASHION
    test_drawn: str = ""


def load_dataset(
    settings: DataSettings, cache: Path, sources: Sequence[Source] | None = None
) -> Dataset:
    """Fetch the data if necessary, verify, read and split them.

    Args:
        settings: which data, and how to split them.
        cache: folder of verified downloads and of prepared pictures.
        sources: where to download from; `default_sources` by default.

    Raises:
        InvalidInput: files of the user's own data are bad, or the split does not fit the data.
        DataError: the files cannot be fetched.
    """
    catalog = CATALOGS.get(settings.source)
    if catalog is not None:
        faults = check_settings(settings, catalog.train_size, len(catalog.class_names))
        _refuse([*faults, *catalog_faults(settings), *not_own_faults(settings)])
    if catalog is FASHION_MNIST:
        unsplit = _read_fetched(fetch(cache, catalog, sources), catalog)
    elif catalog is FASHION_MNIST_SAMPLE:
        unsplit = _read_sample()
    else:
        unsplit = _with_test(read_local(Path(settings.source), settings, cache), settings)
        of_their_own = len(unsplit.validation.labels) if unsplit.validation else 0
        _refuse(
            check_settings(
                settings, len(unsplit.train.labels), len(unsplit.class_names), of_their_own
            )
        )
    if unsplit.validation is None:
        train, drawn = split_train(unsplit.train.labels, settings, unsplit.train.groups)
        if not len(drawn):
            raise InvalidInput([_no_validation(unsplit.train)])
        validation = _take(unsplit.train, "validation", drawn)
    else:
        train = limit_train(unsplit.train.labels, settings)
        validation = _whole(unsplit.validation, "validation")
    return Dataset(
        name=unsplit.name,
        class_names=unsplit.class_names,
        train=_take(unsplit.train, "train", train),
        validation=validation,
        test=_whole(unsplit.test, "test"),
        digest=content_digest(unsplit.train, unsplit.test, unsplit.class_names, unsplit.validation),
        source=unsplit.source,
        notes=unsplit.notes,
        preparation=unsplit.preparation,
        test_drawn=unsplit.test_drawn,
    )


def _with_test(local: LocalData, settings: DataSettings) -> _Unsplit:
    """The user's own data; test images are drawn from the training images if there are none."""
    train, test, notes, source = local.train, local.test, local.notes, "your own files"
    test_drawn = ""
    if test is None:
        share = TEST_SHARE if settings.test_share is None else settings.test_share
        groups = identical(train.images) if train.groups is None else train.groups
        kept, drawn = split_test(train.labels, share, groups, train.names)
        if not len(drawn):
            raise InvalidInput([_no_test(train)])
        test = train.take(drawn)
        notes = (
            *notes,
            f"there are no test images: drew {len(drawn):,} of {len(train.labels):,} images for "
            f"the test, {percent(share, 0)} of each class, always the same ones (--test-share)",
        )
        test_drawn = (
            f"{len(drawn):,} of {len(train.labels):,} images, {percent(share, 0)} of each class, "
            f"with seed {TEST_SEED}"
        )
        train = train.take(kept)
        source += f", {percent(share, 0)} drawn for the test"
    elif settings.test_share is not None:
        raise InvalidInput(
            [
                f"test_share must be left out: the data have {len(test.labels):,} test images of "
                f"their own, received {settings.test_share}"
            ]
        )
    drawing = measured_drawing(train.images)
    return _Unsplit(
        local.name,
        local.class_names,
        train,
        test,
        source,
        local.validation,
        notes,
        local.preparation.model_copy(update={"drawing": drawing}),
        test_drawn,
    )


def _no_test(train: Part) -> str:
    unit = "images" if train.groups is None else "groups"
    return (
        f"{train.labels_file}: test images are drawn from these {len(train.labels):,} images, so a "
        f"class must have at least 2 {unit} with different images, received 1 of each"
    )


def _no_validation(train: Part) -> str:
    return (
        f"{train.labels_file}: validation images are drawn in whole groups, so a class must have "
        "at least 2 groups beside those of the test, received 1 of each"
    )


def _refuse(faults: list[str]) -> None:
    if faults:
        raise InvalidInput(faults)


def _take(part: Part, role: str, positions: NDArray[np.int64]) -> Split:
    return _whole(part.take(positions), role)


def _whole(part: Part, role: str) -> Split:
    return Split(role, part.images, part.labels, part.names)


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
    faults = pair_faults(train, [test], catalog.class_names)
    if faults:
        raise DataError(f"The files of {catalog.name} do not fit together: {'; '.join(faults)}")
    return _Unsplit(catalog.name, catalog.class_names, train, test, source)
