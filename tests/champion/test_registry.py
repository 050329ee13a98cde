"""The registry on a real SQLite store: promotion, kills, races, rollback, history."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from cnn_pipeline.base.errors import UserError
from cnn_pipeline.base.home import Home
from cnn_pipeline.champion.registry import (
    CHALLENGER,
    CHAMPION,
    PREVIOUS,
    ModelVersion,
    Promoter,
    Registry,
    registered_name,
)
from cnn_pipeline.champion.registry.promoter import ChampionChanged
from cnn_pipeline.data.preparation import Preparation
from cnn_pipeline.tracking import names
from cnn_pipeline.tracking.champions import Journal
from cnn_pipeline.tracking.store import Store, StoreError
from tests.champion.retraining.stored import CLASSES, DATASET, log_run, model_path

NAME = f"{DATASET}-cnn"
ROOT = Path(__file__).parent.parent.parent


@pytest.fixture
def store(home: Home) -> Store:
    return Store(home.database_uri, home.artifacts_uri)


@pytest.fixture
def promoter(home: Home, store: Store) -> Promoter:
    return Promoter(store, home.state / "registry.lock", Journal.of(home))


def register(promoter: Promoter, payload: bytes = b"weights") -> ModelVersion:
    return promoter.register(log_run(promoter.store, payload), {"sweep_id": "toy-1"})


def number(registry: Registry, alias: str) -> int | None:
    found = registry.by_alias(NAME, alias)
    return found.version if found else None


def aliases(registry: Registry) -> tuple[int | None, int | None, int | None]:
    """(champion, previous, challenger)."""
    return number(registry, CHAMPION), number(registry, PREVIOUS), number(registry, CHALLENGER)


def test_the_registered_model_has_the_name_of_the_experiment() -> None:
    assert registered_name("fashion-mnist") == "fashion-mnist-cnn"


def test_an_empty_registry_has_neither_versions_nor_champion(store: Store) -> None:
    registry = Registry(store)
    assert registry.by_alias(NAME, CHAMPION) is None
    assert registry.versions(NAME) == ()
    assert registry.history(NAME) == ()


def test_a_model_without_the_alias_gives_none(promoter: Promoter) -> None:
    register(promoter)
    assert promoter.by_alias(NAME, CHAMPION) is None


def test_a_challenger_has_what_is_needed_to_load_and_trace_it(
    promoter: Promoter, tmp_path: Path
) -> None:
    stored = log_run(promoter.store, b"weights")
    version = promoter.register(stored, {"sweep_id": "toy-1"})
    assert (version.name, version.version, version.run_id) == (NAME, 1, stored.run_id)
    assert version.aliases == (CHALLENGER,)
    assert (version.dataset, version.data_digest) == (DATASET, "d" * 64)
    assert (version.class_names, version.image_shape) == (CLASSES, (4, 4, 1))
    assert version.tags["sweep_id"] == "toy-1"
    assert promoter.by_alias(NAME, CHALLENGER) == version
    assert promoter.versions(NAME) == (version,)
    assert promoter.model_file(version, tmp_path).read_bytes() == b"weights"


def test_a_version_keeps_how_its_pictures_are_prepared(promoter: Promoter) -> None:
    preparation = Preparation(fit="crop", background="#00ff7f", drawing="dark-on-light")
    stored = dataclasses.replace(log_run(promoter.store, b"weights"), preparation=preparation)
    assert promoter.register(stored, {}).preparation == preparation
    assert Registry(promoter.store).version(NAME, 1).preparation == preparation


def test_the_journal_has_each_champion(promoter: Promoter, home: Home) -> None:
    first, second = register(promoter, b"1"), register(promoter, b"2")
    promoter.promote(first, "the first", expected=None)
    promoter.promote(second, "better", expected=1)
    promoter.refuse(first, "worse", expected=2)
    promoter.rollback(NAME, "slow")
    entries = Journal.of(home).entries()
    assert [(one.model, one.version, one.sha256) for one in entries] == [
        (NAME, 1, first.sha256), (NAME, 2, second.sha256), (NAME, 1, first.sha256),
    ]  # fmt: skip


def test_an_empty_registry_beside_the_journal_is_a_lost_one(promoter: Promoter, home: Home) -> None:
    assert promoter.champion(NAME) is None
    version = register(promoter)
    promoter.promote(version, "the first", expected=None)
    assert promoter.champion(NAME) == promoter.version(NAME, 1)
    promoter._client.delete_registered_model(NAME)
    with pytest.raises(StoreError, match=r"version 1 was champion on 20.*Restore.*promote RUN"):
        promoter.champion(NAME)
    assert promoter.champion("other-cnn") is None
    server = Journal.of(home, "http://team.example:5000")
    assert Registry(promoter.store, server).champion(NAME) is None


def test_a_champion_of_before_the_journal_is_remembered(promoter: Promoter, home: Home) -> None:
    version = register(promoter)
    promoter.promote(version, "the first", expected=None)
    Journal.of(home).path.unlink()
    assert promoter.settle(NAME) is None
    assert promoter.settle(NAME) is None
    assert [entry.version for entry in Journal.of(home).entries()] == [1]


def test_registering_a_model_again_makes_no_second_version(promoter: Promoter) -> None:
    stored = log_run(promoter.store, b"weights")
    assert promoter.register(stored, {}) == promoter.register(stored, {})
    assert len(promoter.versions(NAME)) == 1


def test_promotions_keep_the_previous_champion_and_the_history(promoter: Promoter) -> None:
    first, second = register(promoter, b"1"), register(promoter, b"2")
    promoter.promote(first, "the first", expected=None)
    assert aliases(promoter) == (1, None, 2)
    decision = promoter.promote(second, "better", expected=1, tags={"content_key": "k"})
    assert decision is not None
    assert aliases(promoter) == (2, 1, None)
    assert [(d.number, d.action, d.champion_before, d.champion_after, d.why)
            for d in promoter.history(NAME)] == [
        (1, "promote", None, 1, "the first"), (2, "promote", 1, 2, "better"),
    ]  # fmt: skip
    tags = promoter.version(NAME, 2).tags
    assert (tags["decision"], tags["why"], tags["content_key"]) == ("promote", "better", "k")


def test_decisions_are_sentences_above_what_people_wrote(promoter: Promoter) -> None:
    version = register(promoter)
    promoter._client.update_model_version(NAME, "1", "Anna's favourite.")
    promoter.refuse(version, "too slow", expected=None)
    promoter.promote(version, "fast enough", expected=None)
    first, second, third = promoter._client.get_model_version(NAME, "1").description.split("\n\n")
    assert re.fullmatch(r"Promoted on \d{4}-\d\d-\d\d: fast enough", first)
    assert re.fullmatch(r"Refused on \d{4}-\d\d-\d\d: too slow", second)
    assert third == "Anna's favourite."


CONTENT = {"code": "ab", "libraries": "keras 3.15.1, numpy 2.4.0"}
COUNTS = {"fitted": [3, 4], "test": [1, 2]}


def test_pages_of_models_show_no_json(promoter: Promoter) -> None:
    stored = log_run(promoter.store, b"weights")
    version = promoter.register(stored, {"class_counts": json.dumps(COUNTS)})
    promoter.promote(version, "the first", expected=None, tags={"content": json.dumps(CONTENT)})
    client = promoter._client
    assert all(key.startswith("mlflow.") for key in client.get_registered_model(NAME).tags)
    tags = client.get_model_version(NAME, "1").tags
    assert not any(value.startswith(("{", "[")) for value in tags.values())
    assert tags["decided_on"] == "content: code: ab; libraries: keras 3.15.1, numpy 2.4.0"
    assert "| class_counts: fitted: 3, 4; test: 1, 2" in tags["record"]
    assert list(tags)[:2] == ["decision", "why"] and len(tags) < 7
    found = promoter.version(NAME, 1)
    assert json.loads(found.tags["content"]) == CONTENT
    assert json.loads(found.tags["class_counts"]) == COUNTS
    assert found.class_names == CLASSES


@pytest.mark.parametrize("names", [("a, b", "c"), ("a | b: c", "d"), ("[a]",), ("x" * 5000,)])
def test_any_names_of_classes_are_read_as_written(
    promoter: Promoter, names: tuple[str, ...]
) -> None:
    stored = dataclasses.replace(log_run(promoter.store, b"1"), class_names=names)
    version = promoter.register(stored, {})
    assert (version.class_names, version.sha256) == (names, stored.sha256)


def test_tags_that_an_earlier_version_stored_are_read_and_replaced(promoter: Promoter) -> None:
    version = register(promoter)
    promoter.promote(version, "the first", expected=None)
    client = promoter._client
    # As it was: JSON, under names that are shown.
    for key, value in client.get_registered_model(NAME).tags.items():
        client.set_registered_model_tag(NAME, key.removeprefix(names.HIDDEN_PREFIX), value)
        client.delete_registered_model_tag(NAME, key)
    earlier = promoter.version(NAME, 1).tags | {"content": json.dumps(CONTENT)}
    client.delete_model_version_tag(NAME, "1", "record")
    for key, value in earlier.items():
        client.set_model_version_tag(NAME, "1", key, value)
    found = promoter.version(NAME, 1)
    assert found.class_names == CLASSES and json.loads(found.tags["content"]) == CONTENT
    tags = {"content": json.dumps(CONTENT | {"code": "c"})}
    promoter.refuse(version, "a second look", expected=1, tags=tags)
    assert json.loads(promoter.version(NAME, 1).tags["content"])["code"] == "c"
    assert [decision.why for decision in promoter.history(NAME)] == ["the first", "a second look"]


def test_promoting_the_champion_again_changes_nothing(promoter: Promoter) -> None:
    first = register(promoter)
    promoter.promote(first, "the first", expected=None)
    assert promoter.promote(first, "again", expected=1) is None
    assert len(promoter.history(NAME)) == 1


def test_a_promotion_needs_the_champion_that_it_was_compared_with(promoter: Promoter) -> None:
    first, second, third = (register(promoter, payload) for payload in (b"1", b"2", b"3"))
    promoter.promote(first, "the first", expected=None)
    promoter.promote(second, "better", expected=1)
    with pytest.raises(ChampionChanged, match="champion version 1, but version 2"):
        promoter.promote(third, "better than 1", expected=1)
    assert aliases(promoter)[:2] == (2, 1)


def test_a_refusal_keeps_the_champion_and_says_why(promoter: Promoter) -> None:
    first, second = register(promoter, b"1"), register(promoter, b"2")
    promoter.promote(first, "the first", expected=None)
    promoter.refuse(second, "no better", expected=1)
    assert aliases(promoter) == (1, None, 2)
    last = promoter.history(NAME)[-1]
    assert (last.action, last.version, last.champion_after) == ("refuse", 2, 1)


def test_a_refusal_needs_the_champion_that_it_was_compared_with(promoter: Promoter) -> None:
    first, second = register(promoter, b"1"), register(promoter, b"2")
    promoter.promote(first, "the first", expected=None)
    with pytest.raises(ChampionChanged, match="champion version None, but version 1"):
        promoter.refuse(second, "worse than none", expected=None)
    assert len(promoter.history(NAME)) == 1


def test_each_change_is_made_in_its_turn(promoter: Promoter) -> None:
    turns: list[str] = []

    @contextlib.contextmanager
    def turn(model: str) -> Iterator[None]:
        turns.append(f"{model} begins")
        yield
        turns.append(f"{len(promoter.history(model))} decisions")

    mine = Promoter(promoter.store, promoter._lock_file, promoter.journal, turn=turn)
    first, second = register(mine, b"1"), register(mine, b"2")
    mine.promote(first, "the first", expected=None)
    mine.refuse(second, "worse", expected=1)
    mine.promote(second, "after all", expected=1)
    mine.rollback(NAME, "slow")
    assert mine.settle(NAME) is None, "nothing to complete needs no turn"
    assert turns[::2] == [f"{NAME} begins"] * 6
    assert turns[1::2] == [f"{count} decisions" for count in (0, 0, 1, 2, 3, 4)]


def test_a_promotion_that_was_frozen_past_its_turn_moves_no_alias(
    home: Home, promoter: Promoter
) -> None:
    first, second, third = (register(promoter, payload) for payload in (b"1", b"2", b"3"))
    promoter.promote(first, "the first", expected=None)
    other = Promoter(promoter.store, home.state / "lock of another home")

    def meanwhile(step: int) -> None:
        if step == 3:
            assert other.settle(NAME) is not None
            other.promote(third, "better still", expected=2)

    frozen = Promoter(promoter.store, promoter._lock_file, on_step=meanwhile)
    with pytest.raises(StoreError, match="another process has ended this change"):
        frozen.promote(second, "better", expected=1)
    assert aliases(promoter)[:2] == (3, 2)
    assert [d.champion_after for d in promoter.history(NAME)] == [1, 2, 3]


def test_a_rollback_exchanges_champion_and_previous(promoter: Promoter) -> None:
    first, second = register(promoter, b"1"), register(promoter, b"2")
    promoter.promote(first, "the first", expected=None)
    promoter.promote(second, "better", expected=1)
    decision = promoter.rollback(NAME, "complaints")
    assert aliases(promoter)[:2] == (1, 2)
    assert (decision.action, decision.version, decision.why) == ("rollback", 1, "complaints")
    promoter.rollback(NAME, "they were about something else")
    assert aliases(promoter)[:2] == (2, 1)


def test_a_rollback_needs_a_previous_champion(promoter: Promoter) -> None:
    with pytest.raises(UserError, match="there is none"):
        promoter.rollback(NAME, "why")
    promoter.promote(register(promoter), "the first", expected=None)
    with pytest.raises(UserError, match="version 1 is the first"):
        promoter.rollback(NAME, "why")


def test_a_rollback_to_a_damaged_file_is_refused(promoter: Promoter) -> None:
    stored = log_run(promoter.store, b"1")
    first, second = promoter.register(stored, {}), register(promoter, b"2")
    promoter.promote(first, "the first", expected=None)
    promoter.promote(second, "better", expected=1)
    model_path(promoter.store, stored).write_bytes(b"0")
    with pytest.raises(UserError, match="must have SHA-256"):
        promoter.rollback(NAME, "why")
    assert aliases(promoter)[:2] == (2, 1)


def test_a_missing_file_is_told_with_a_remedy(promoter: Promoter, tmp_path: Path) -> None:
    stored = log_run(promoter.store, b"1")
    version = promoter.register(stored, {})
    model_path(promoter.store, stored).unlink()
    with pytest.raises(UserError, match=r"version 1 must be readable.*backup"):
        promoter.model_file(version, tmp_path)


def test_a_version_of_something_else_is_told(promoter: Promoter) -> None:
    version = register(promoter)
    promoter._client.delete_model_version_tag(NAME, str(version.version), "record")
    with pytest.raises(UserError, match=r"model_id, model_sha256, .* is missing"):
        promoter.by_alias(NAME, CHALLENGER)


def test_the_history_is_bounded(promoter: Promoter, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cnn_pipeline.champion.registry.promoter.KEPT_DECISIONS", 3)
    version = register(promoter)
    for index in range(5):
        promoter.refuse(version, f"reason {index}", expected=None)
    assert [d.number for d in promoter.history(NAME)] == [3, 4, 5]


@pytest.mark.fault(fault="two promoters at once", moment="each of another model", promises="I1 I6")
def test_only_one_of_two_promoters_at_once_succeeds(home: Home, promoter: Promoter) -> None:
    first, second, third = (register(promoter, payload) for payload in (b"1", b"2", b"3"))
    promoter.promote(first, "the first", expected=None)
    outcomes: list[str] = []
    start = threading.Barrier(2)

    def promote(version: ModelVersion) -> None:
        mine = Promoter(promoter.store, home.state / "registry.lock")
        start.wait()
        try:
            mine.promote(version, f"better: {version.version}", expected=1)
            outcomes.append(f"version {version.version}")
        except ChampionChanged:
            outcomes.append("too late")

    threads = [threading.Thread(target=promote, args=(version,)) for version in (second, third)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes)[0] == "too late"
    winner = number(promoter, CHAMPION)
    assert sorted(outcomes)[1] == f"version {winner}"
    assert number(promoter, PREVIOUS) == 1
    assert [d.champion_after for d in promoter.history(NAME)] == [1, winner]


# Imports MLflow once, and forks a process for each promotion.
KILLED = """
import json, os, signal, sys
from collections.abc import Callable, Iterator
from pathlib import Path
from mlflow.store.model_registry import sqlalchemy_store
from cnn_pipeline.champion.registry import Promoter
from cnn_pipeline.tracking.champions import Journal
from cnn_pipeline.tracking.store import Store

for line in sys.stdin:
    uri, lock, kill_at = json.loads(line)

    def kill(step):
        if step == kill_at:
            os.kill(os.getpid(), signal.SIGKILL)

    child = os.fork()
    if not child:
        journal = Journal(Path(lock).with_name("champions.jsonl"))
        promoter = Promoter(Store(uri, None), Path(lock), journal, on_step=kill)
        second = promoter.version("toy-cnn", 2)
        promoter.promote(second, "better", expected=1, tags={"content_key": "k"})
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@pytest.fixture(scope="module")
def promote_killed() -> Iterator[Callable[[str, Path, int], int]]:
    """Promotes in a process that is killed at a step; returns how that ended."""
    pipe = subprocess.PIPE
    with subprocess.Popen(
        [sys.executable, "-c", KILLED], cwd=ROOT, stdin=pipe, stdout=pipe, text=True
    ) as process:

        def promote(uri: str, lock: Path, step: int) -> int:
            assert process.stdin is not None and process.stdout is not None
            process.stdin.write(json.dumps([uri, str(lock), step]) + "\n")
            process.stdin.flush()
            return int(process.stdout.readline())

        yield promote


@pytest.mark.slow
@pytest.mark.fault(fault="kill -9 of a promotion", promises="I1 I6 I7")
@pytest.mark.parametrize("step", range(1, 10), ids=lambda step: f"step {step}")
def test_a_promotion_killed_at_any_step_is_whole_or_invisible_afterwards(
    home: Home,
    promoter: Promoter,
    promote_killed: Callable[[str, Path, int], int],
    step: int,
) -> None:
    first, second = register(promoter, b"1"), register(promoter, b"2")
    promoter.promote(first, "the first", expected=None)
    lock = home.state / "registry.lock"
    assert promote_killed(promoter.store.uri, lock, step) == -signal.SIGKILL
    # Whoever only reads sees the old or the new champion, and either can be loaded.
    seen = promoter.by_alias(NAME, CHAMPION)
    assert seen is not None and seen.version in (1, 2)
    promoter.verify(seen)
    # The next one who writes finds the lock free and the promotion finished, or not begun.
    settled = promoter.settle(NAME)
    if step == 1:
        assert settled is None
        assert aliases(promoter) == (1, None, 2)
        promoter.promote(second, "better", expected=1, tags={"content_key": "k"})
    else:
        assert settled is not None
    assert aliases(promoter) == (2, 1, None)
    assert [d.champion_after for d in promoter.history(NAME)] == [1, 2]
    tags = promoter.version(NAME, 2).tags
    assert (tags["decision"], tags["content_key"]) == ("promote", "k")
    assert [entry.version for entry in Journal.of(home).entries()] == [1, 2]
    assert names.PENDING_DECISION not in promoter.model_tags(NAME)
    assert promoter.settle(NAME) is None


def test_a_half_done_promotion_gives_way_to_an_alias_moved_by_hand(promoter: Promoter) -> None:
    first, second, third = (register(promoter, payload) for payload in (b"1", b"2", b"3"))
    promoter.promote(first, "the first", expected=None)

    class Killed(Exception):
        pass

    def stop(step: int) -> None:
        if step == 3:
            raise Killed

    halted = Promoter(promoter.store, promoter._lock_file, on_step=stop)
    with pytest.raises(Killed):
        halted.promote(second, "better", expected=1)
    promoter._client.set_registered_model_alias(NAME, CHAMPION, str(third.version))
    assert promoter.settle(NAME) is None
    assert number(promoter, CHAMPION) == 3
