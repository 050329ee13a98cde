"""The shipped sample is verified, stratified, and what its script makes of the real files."""

from __future__ import annotations

import gzip
import hashlib
from importlib import resources
from pathlib import Path

import numpy as np
import pytest

from cnn_pipeline.base.errors import DataError
from cnn_pipeline.data import dataset
from cnn_pipeline.data.catalog import FASHION_MNIST_SAMPLE
from cnn_pipeline.data.dataset import load_dataset
from cnn_pipeline.settings.trial import DataSettings
from scripts import make_sample

NOWHERE = Path("/nonexistent")
SETTINGS = DataSettings(source="fashion-mnist-sample", validation_size=1000)


def test_sample_has_its_own_name_and_digest_and_needs_no_cache() -> None:
    sample = load_dataset(SETTINGS, NOWHERE)

    assert sample.name == "fashion-mnist-sample"
    assert sample.digest == "955f63d3f7b876e216b018dfb8bbb1a0c59be3a13f2e96c9d301e5d02f522930"
    assert sample.source == "shipped with cnn-pipeline"
    assert sample.image_shape == (28, 28, 1)
    assert np.bincount(sample.train.labels).tolist() == [500] * 10
    assert np.bincount(sample.validation.labels).tolist() == [100] * 10
    assert np.bincount(sample.test.labels).tolist() == [100] * 10


def test_licence_lies_beside_the_images() -> None:
    text = (resources.files("cnn_pipeline.data") / "sample" / "LICENSE").read_text("utf-8")

    assert "MIT License" in text
    assert "2017 Zalando SE" in text


def test_damaged_installation_is_refused(tmp_path, monkeypatch) -> None:
    for file in FASHION_MNIST_SAMPLE.files:
        packed = (resources.files("cnn_pipeline.data") / "sample" / f"{file.name}.gz").read_bytes()
        payload = bytearray(gzip.decompress(packed))
        payload[-1] ^= 1
        (tmp_path / "sample").mkdir(exist_ok=True)
        (tmp_path / "sample" / f"{file.name}.gz").write_bytes(gzip.compress(payload))
    monkeypatch.setattr(dataset.resources, "files", lambda _: tmp_path)

    with pytest.raises(DataError, match=r"sha256 is .*Install cnn-pipeline again"):
        load_dataset(SETTINGS, NOWHERE)


def test_script_makes_the_shipped_sample_of_the_real_files(real_cache) -> None:
    payloads = make_sample.sample_payloads(real_cache)

    assert list(payloads) == [
        FASHION_MNIST_SAMPLE.train_images,
        FASHION_MNIST_SAMPLE.train_labels,
        FASHION_MNIST_SAMPLE.test_images,
        FASHION_MNIST_SAMPLE.test_labels,
    ]
    for file, payload in payloads.items():
        assert len(payload) == file.payload_bytes
        assert hashlib.sha256(payload).hexdigest() == file.sha256
