"""Objects in a folder and in a bucket; the bucket is in moto's server, which speaks S3."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from cnn_pipeline.network.place import Place

SECRET = "t0p-s3cr3t-key"


@pytest.fixture(scope="module")
def service() -> Iterator[str]:
    """Address of a server that speaks S3."""
    server = pytest.importorskip("moto.server").ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    yield "http://{}:{}".format(*server.get_host_and_port())
    server.stop()


@pytest.fixture
def keys(service: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", service)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")


@pytest.fixture(params=["folder", "bucket"])
def address(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    if request.param == "folder":
        return str(tmp_path / "a folder" / "0a1b")
    request.getfixturevalue("keys")
    import boto3

    boto3.client("s3").create_bucket(Bucket="bucket")
    return "s3://bucket/checkpoints/0a1b"


def test_objects_come_back_as_they_were_put(address: str) -> None:
    place, large = Place(address), bytes(range(256)) * 40_000  # in two parts of an upload
    assert place.names() == []
    place.put("b", b"first")
    place.put("b", large)
    place.put("a", b"")
    assert Place(address).names() == ["a", "b"]
    assert Place(address).get("b") == large
    assert place.get("a") == b""
    place.remove("a")
    place.remove("a")
    assert place.names() == ["b"]
    place.clear()
    place.clear()
    assert place.names() == []


def test_what_is_not_there_is_an_error(address: str) -> None:
    with pytest.raises(FileNotFoundError):
        Place(address).get("a")


@pytest.mark.usefixtures("keys")
def test_a_bucket_that_is_not_there_is_an_error_without_keys_in_it() -> None:
    with pytest.raises(OSError, match="NO_SUCH_BUCKET") as caught:
        Place("s3://missing/x").put("a", b"1")
    assert SECRET not in str(caught.value)
