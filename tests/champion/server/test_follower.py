"""The follower serves the aliased version; one that cannot be loaded changes nothing."""

from __future__ import annotations

import threading

import keras
import numpy as np
import pytest
from mlflow.tracking import MlflowClient

from cnn_pipeline.base.errors import UserError
from cnn_pipeline.base.home import Home
from cnn_pipeline.champion.registry import CHAMPION, Registry
from cnn_pipeline.champion.server.batching import MAX_BATCH
from cnn_pipeline.champion.server.follower import Follower
from cnn_pipeline.network.build import build_model
from cnn_pipeline.settings.trial import Variant
from cnn_pipeline.tracking.store import Store
from tests.champion.server.champions import CLASSES, NAME, SHAPE, crown, register
from tests.running import wait_until

PIXELS = np.random.default_rng(0).integers(0, 256, (MAX_BATCH + 44, *SHAPE), dtype=np.uint8)


def follow(home: Home, said: list[str], retry_seconds: float = 0.0) -> Follower:
    registry = Registry(Store(home.database_uri, home.artifacts_uri))
    return Follower(registry, NAME, said.append, retry_seconds=retry_seconds)


def test_it_answers_as_the_champion_and_follows_the_alias(home: Home) -> None:
    first, second = register(home, 0), register(home, 1)
    crown(home, first.number)
    said: list[str] = []
    follower = follow(home, said)
    before = follower.current
    np.testing.assert_allclose(before.predict(PIXELS), first.answers(PIXELS), atol=1e-6)
    follower.look()
    assert follower.current is before
    crown(home, second.number)
    follower.look()
    assert follower.current.version.version == second.number
    np.testing.assert_allclose(follower.current.predict(PIXELS), second.answers(PIXELS), atol=1e-6)
    # A request that took the old model is still answered by it.
    np.testing.assert_allclose(before.predict(PIXELS), first.answers(PIXELS), atol=1e-6)
    assert said == ["now serving version 2 (was 1)"]
    assert follower.problem == ""


def test_it_looks_by_itself(home: Home) -> None:
    first, second = register(home, 0), register(home, 1)
    crown(home, first.number)
    registry = Registry(Store(home.database_uri, home.artifacts_uri))
    follower = Follower(registry, NAME, lambda line: None, poll_seconds=0.01)
    with follower.following():
        crown(home, second.number)
        wait_until(lambda: follower.current.version.version == second.number, "the promotion")
    assert "follower" not in {thread.name for thread in threading.enumerate()}


def test_without_a_champion_it_does_not_start(home: Home) -> None:
    with pytest.raises(UserError, match=f"no champion of {NAME} in .*promote RUN --why TEXT"):
        follow(home, [])
    register(home, 0)
    with pytest.raises(UserError, match="no champion"):
        follow(home, [])


def test_a_damaged_champion_does_not_start(home: Home) -> None:
    champion = register(home, 0)
    crown(home, champion.number)
    champion.damage()
    with pytest.raises(UserError, match="must have SHA-256"):
        follow(home, [])


@pytest.mark.parametrize("harm", ["damaged", "missing", "of another shape", "not finite"])
def test_a_champion_that_cannot_be_served_leaves_the_old_one(home: Home, harm: str) -> None:
    first = register(home, 0)
    network = None
    if harm == "of another shape":
        network = build_model(Variant(filters=2, dense_units=8), (20, 20, 1), 10, seed=1)
    if harm == "not finite":
        network = build_model(Variant(filters=2, dense_units=8), SHAPE, len(CLASSES), seed=1)
        network.set_weights([weights * np.nan for weights in network.get_weights()])
    second = register(home, 1, network=network)
    if harm == "damaged":
        second.damage()
    if harm == "missing":
        second.file.unlink()
    crown(home, first.number)
    said: list[str] = []
    follower = follow(home, said)
    before = follower.current
    crown(home, second.number)
    follower.look()
    follower.look()
    assert follower.current is before
    reason = {
        "damaged": "must have SHA-256",
        "missing": "must be readable",
        "of another shape": "must map (None, 28, 28, 1) to (None, 10)",
        "not finite": "must answer finite probabilities",
    }[harm]
    assert f"{NAME} version 2 cannot be served: " in follower.problem
    assert reason in follower.problem
    assert said == [f"still serving version 1: {follower.problem}"]
    crown(home, first.number)
    follower.look()
    assert follower.problem == ""


def test_a_file_with_code_in_it_is_refused(home: Home) -> None:
    network = keras.Sequential(
        [
            keras.layers.Input(SHAPE, dtype="uint8", name="image"),
            keras.layers.Flatten(),
            keras.layers.Lambda(lambda values: values[:, :10] * 0.1),
        ]
    )
    crown(home, register(home, 0, network=network).number)
    with pytest.raises(UserError, match=r"of this project's layers, received: .*Lambda"):
        follow(home, [])


def test_a_restored_file_is_served_after_all_but_not_tried_at_every_look(home: Home) -> None:
    first, second = register(home, 0), register(home, 1)
    whole = second.file.read_bytes()
    second.damage()
    crown(home, first.number)
    patient, eager = follow(home, [], retry_seconds=3600), follow(home, [])
    crown(home, second.number)
    for follower in (patient, eager):
        follower.look()
        assert "SHA-256" in follower.problem
    second.file.write_bytes(whole)
    for follower in (patient, eager):
        follower.look()
    assert "SHA-256" in patient.problem and patient.current.version.version == 1
    assert eager.problem == "" and eager.current.version.version == 2


def test_an_alias_that_is_gone_leaves_the_old_one(home: Home) -> None:
    crown(home, register(home, 0).number)
    follower = follow(home, [])
    client = MlflowClient(home.database_uri, registry_uri=home.database_uri)
    client.delete_registered_model_alias(NAME, CHAMPION)
    follower.look()
    assert follower.current.version.version == 1
    assert follower.problem == f"{NAME} has no alias 'champion' any more"


def test_whoever_is_told_of_a_problem_finds_it(home: Home) -> None:
    crown(home, register(home, 0).number)
    found: list[str] = []

    class Said(list[str]):
        def append(self, text: str) -> None:
            found.append(follower.problem)

    follower = follow(home, Said())
    client = MlflowClient(home.database_uri, registry_uri=home.database_uri)
    client.delete_registered_model_alias(NAME, CHAMPION)
    follower.look()
    assert found == [follower.problem]
    assert "has no alias" in follower.problem


def test_a_store_that_does_not_answer_leaves_the_old_one(home: Home) -> None:
    crown(home, register(home, 0).number)
    follower = follow(home, [])
    whole = home.database.read_bytes()
    home.database.write_bytes(b"no database at all" * 1000)
    follower.look()
    assert follower.current.version.version == 1
    assert "the registry does not answer" in follower.problem
    assert "\n" not in follower.problem
    home.database.write_bytes(whole)
    follower.look()
    assert follower.problem == ""
