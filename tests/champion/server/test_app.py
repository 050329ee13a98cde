"""The paths and limits, side by side with MLflow's own scoring server on the same model."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
from mlflow.pyfunc import scoring_server
from starlette.testclient import TestClient

from cnn_pipeline.base.home import Home
from cnn_pipeline.champion.registry import Registry
from cnn_pipeline.champion.server.app import make_app
from cnn_pipeline.champion.server.batching import Batcher, Overloaded
from cnn_pipeline.champion.server.follower import Follower, LiveModel
from cnn_pipeline.tracking.store import Store
from cnn_pipeline.tracking.undocumented import as_default
from tests.champion.server.champions import NAME, SHAPE, Registered, crown, register
from tests.champion.server.test_request import BOOT, png

HOST = "http://127.0.0.1"
PIXELS = np.random.default_rng(0).integers(0, 256, (3, *SHAPE), dtype=np.uint8)


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory, _migrated_store: Path) -> Home:
    place = Home(tmp_path_factory.mktemp("served"))
    place.artifacts.mkdir(parents=True)
    place.database.write_bytes(_migrated_store.read_bytes())
    return place


@pytest.fixture(scope="module")
def served(place: Home) -> Iterator[tuple[Registered, TestClient]]:
    champion = register(place, 0)
    crown(place, champion.number)
    registry = Registry(Store(place.database_uri, place.artifacts_uri))
    with TestClient(make_app(Follower(registry, NAME, print)), HOST) as client:
        yield champion, client


@pytest.fixture(scope="module")
def reference(served: tuple[Registered, TestClient], place: Home) -> TestClient:
    """MLflow's own server around the same logged model."""
    with as_default(place.database_uri):
        model = mlflow.pyfunc.load_model(f"models:/{served[0].model_id}")
    return TestClient(scoring_server.init(model), HOST)


@pytest.mark.parametrize(
    "document",
    [
        {"inputs": PIXELS.tolist()},
        {"instances": PIXELS.tolist()},
        {"inputs": {"image": PIXELS.tolist()}},
        {"instances": [{"image": image} for image in PIXELS.tolist()]},
        {"inputs": PIXELS.tolist(), "params": None},
    ],
)
def test_it_answers_what_mlflows_own_server_answers(
    document: Any, served: tuple[Registered, TestClient], reference: TestClient
) -> None:
    ours = served[1].post("/invocations", json=document)
    theirs = reference.post("/invocations", json=document)
    assert (ours.status_code, theirs.status_code) == (200, 200)
    assert ours.headers["content-type"] == theirs.headers["content-type"]
    assert set(theirs.json()) == {"predictions"}
    np.testing.assert_allclose(ours.json()["predictions"], theirs.json()["predictions"], atol=1e-6)


@pytest.mark.parametrize("path", ["/ping", "/version"])
def test_it_is_asked_like_mlflows_own_server(
    path: str, served: tuple[Registered, TestClient], reference: TestClient
) -> None:
    ours, theirs = served[1].get(path), reference.get(path)
    assert (ours.status_code, ours.content) == (theirs.status_code, theirs.content)
    assert ours.headers["content-type"] == theirs.headers["content-type"]


@pytest.mark.parametrize(
    ("content", "kind"),
    [
        (b"[1]", "application/json"),
        (b"{", "application/json"),
        (b"{}", "application/json"),
        (b"a,b", "image/png"),
        (b"{}", "application/json; charset=latin-1"),
    ],
)
def test_it_refuses_as_mlflows_own_server_does(
    content: bytes, kind: str, served: tuple[Registered, TestClient], reference: TestClient
) -> None:
    ours, theirs = (
        client.post("/invocations", content=content, headers={"content-type": kind})
        for client in (served[1], reference)
    )
    assert ours.status_code == theirs.status_code
    assert ours.json()["error_code"] == "BAD_REQUEST"
    if theirs.status_code == 400:
        assert theirs.json()["error_code"] == "BAD_REQUEST"


def test_an_answer_names_its_version_and_classes(served: tuple[Registered, TestClient]) -> None:
    champion, client = served
    document = {"inputs": [{"b64": base64.b64encode(png(BOOT)).decode()}]}
    reply = client.post("/invocations", json=document)
    content = reply.json()
    expected = champion.answers(BOOT[None])
    np.testing.assert_allclose(content["predictions"], expected, atol=1e-6)
    names = content["model"].pop("class_names")
    assert content["labels"] == [names[expected.argmax()]]
    assert content["model"] == {
        "name": NAME,
        "version": 1,
        "run_id": champion.run_id,
        "image_shape": list(SHAPE),
    }
    assert content["notes"] == [[]]
    assert reply.headers["x-model-name"] == NAME
    assert reply.headers["x-model-version"] == "1"
    assert reply.headers["x-model-run"] == champion.run_id
    assert "notes" not in client.post("/invocations", json={"inputs": PIXELS.tolist()}).json()


def test_the_pixels_that_the_network_sees_are_returned_on_request(
    served: tuple[Registered, TestClient],
) -> None:
    champion, client = served
    picture = np.zeros((90, 60), np.uint8)
    picture[20:70, 10:50] = 200
    document = {"inputs": [{"b64": base64.b64encode(png(picture)).decode()}]}
    asked = client.post("/invocations?pixels=true", json=document).json()
    assert np.shape(asked["pixels"]) == (1, *SHAPE) and asked["notes"] != [[]]
    np.testing.assert_allclose(
        champion.answers(np.array(asked["pixels"], np.uint8)), asked["predictions"], atol=1e-6
    )
    for other in ("", "?pixels=false"):
        assert "pixels" not in client.post("/invocations" + other, json=document).json()
    refused = client.post("/invocations?pixels=yes", json=document)
    assert refused.status_code == 400
    assert refused.json()["message"] == "'pixels' must be true or false, received 'yes'"


def test_the_page_may_reach_nothing_but_its_server(served: tuple[Registered, TestClient]) -> None:
    reply = served[1].get("/")
    assert reply.status_code == 200 and reply.headers["content-type"].startswith("text/html")
    policy = dict(
        part.split(" ", 1) for part in reply.headers["content-security-policy"].split("; ")
    )
    assert policy["default-src"] == policy["frame-ancestors"] == "'none'"
    assert policy["connect-src"] == "'self'"
    for rule in ("script-src", "style-src"):
        assert policy[rule].startswith("'sha256-")
    assert "https:" not in reply.text and "http:" not in reply.text.replace("http://127.0.0.1<", "")
    assert served[1].get("/", headers={"host": "rebound.example"}).status_code == 400


def test_health_names_the_version(served: tuple[Registered, TestClient]) -> None:
    health = served[1].get("/health").json()
    assert (health["status"], health["problem"]) == ("ok", None)
    assert health["model"]["version"] == 1


def test_another_path_or_method_is_told_which_there_are(
    served: tuple[Registered, TestClient],
) -> None:
    client = served[1]
    for reply, status in (
        (client.get("/predict"), 404),
        (client.get("/invocations"), 405),
        (client.get("/docs"), 404),
        (client.get("/openapi.json"), 404),
    ):
        assert reply.status_code == status
        assert "must be one of POST /invocations, GET /, /ping" in reply.json()["message"]


def test_another_hosts_name_is_refused(served: tuple[Registered, TestClient]) -> None:
    reply = served[1].get("/ping", headers={"host": "rebound.example"})
    assert reply.status_code == 400


def test_too_many_requests_are_asked_to_come_back(
    served: tuple[Registered, TestClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: Batcher) -> None:
        raise Overloaded("64 requests are waiting; retry in a second")

    monkeypatch.setattr(Batcher, "slot", full)
    reply = served[1].post("/invocations", json={"inputs": PIXELS.tolist()})
    assert (reply.status_code, reply.headers["retry-after"]) == (503, "1")
    assert reply.json()["error_code"] == "TEMPORARILY_UNAVAILABLE"


def test_a_fault_of_the_server_shows_no_trace(
    served: tuple[Registered, TestClient], monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(self: LiveModel, pixels: np.ndarray) -> np.ndarray:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(LiveModel, "predict", fail)
    # The same application, with a client that shows what a real one would get.
    client = TestClient(served[1].app, HOST, raise_server_exceptions=False)
    client.portal = served[1].portal
    reply = client.post("/invocations", json={"inputs": PIXELS.tolist()})
    assert reply.status_code == 500
    assert reply.json() == {
        "error_code": "INTERNAL_ERROR",
        "message": "internal error; see the log of the server",
    }
