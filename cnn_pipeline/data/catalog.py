"""The named data sets: their files with sizes and hashes, and where to download them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class CatalogFile:
    """One IDX file. The hash is of the decompressed payload: mirrors compress differently."""

    name: str
    payload_bytes: int
    sha256: str

    @property
    def packed_limit(self) -> int:
        """Largest possible gzip file of this payload, in bytes: deflate adds 5 bytes per 16 KiB."""
        return self.payload_bytes + self.payload_bytes // 1000 + 4096


@dataclass(frozen=True)
class MirrorAddress:
    """An HTTP folder that holds every file of a catalog as `<name>.gz`."""

    name: str
    url: str


@dataclass(frozen=True)
class Catalog:
    """A data set in MNIST's form: two image files, two label files, class names.

    `train_size` and `test_size` count images. `mirrors` are tried in order. `debian_package`
    installs the files to `debian_folder`; both are empty if there is no such package.
    """

    name: str
    class_names: tuple[str, ...]
    train_size: int
    test_size: int
    train_images: CatalogFile
    train_labels: CatalogFile
    test_images: CatalogFile
    test_labels: CatalogFile
    mirrors: tuple[MirrorAddress, ...] = ()
    debian_package: str = ""
    debian_folder: str = ""

    @property
    def files(self) -> tuple[CatalogFile, ...]:
        """The four files, the largest first, so that a failure shows early."""
        return (self.train_images, self.train_labels, self.test_images, self.test_labels)


FASHION_CLASSES = (
    "T-shirt/top",
    "Trouser",
    "Pullover",
    "Dress",
    "Coat",
    "Sandal",
    "Shirt",
    "Sneaker",
    "Bag",
    "Ankle boot",
)

FASHION_MNIST = Catalog(
    name="fashion-mnist",
    class_names=FASHION_CLASSES,
    train_size=60_000,
    test_size=10_000,
    train_images=CatalogFile(
        "train-images-idx3-ubyte",
        47_040_016,
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    ),
    train_labels=CatalogFile(
        "train-labels-idx1-ubyte",
        60_008,
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    ),
    test_images=CatalogFile(
        "t10k-images-idx3-ubyte",
        7_840_016,
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    ),
    test_labels=CatalogFile(
        "t10k-labels-idx1-ubyte",
        10_008,
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    ),
    mirrors=(
        MirrorAddress(
            "GitHub",
            "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
        ),
        MirrorAddress(
            "Zalando's bucket", "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/"
        ),
        MirrorAddress(
            "Keras' mirror", "https://storage.googleapis.com/tensorflow/tf-keras-datasets/"
        ),
    ),
    debian_package="dataset-fashion-mnist",
    debian_folder="/usr/share/datasets/fashion-mnist",
)

# Made by scripts/make_sample.py from the files above. The script prints these hashes.
FASHION_MNIST_SAMPLE = Catalog(
    name="fashion-mnist-sample",
    class_names=FASHION_CLASSES,
    train_size=6_000,
    test_size=1_000,
    train_images=CatalogFile(
        "train-images-idx3-ubyte",
        4_704_016,
        "488d27f6a8a7390c84a4d51b9008fd974ae3d72ab29e5363cb1ad24cbe5a0917",
    ),
    train_labels=CatalogFile(
        "train-labels-idx1-ubyte",
        6_008,
        "387d596b151ff905b9afade361af6cf1ad7d2c9b8c45dbf21c1b532fe76c70a6",
    ),
    test_images=CatalogFile(
        "t10k-images-idx3-ubyte",
        784_016,
        "98fae8d8bf5b3682c6cb0f3096fd91bd5ad205a6e922a5ba733adb7ca11c12a4",
    ),
    test_labels=CatalogFile(
        "t10k-labels-idx1-ubyte",
        1_008,
        "c119d59718bc32a9c963bde5d9aab3bf0f48dcf0097100d600cd2c6ec85466a8",
    ),
)

CATALOGS = {catalog.name: catalog for catalog in (FASHION_MNIST, FASHION_MNIST_SAMPLE)}
