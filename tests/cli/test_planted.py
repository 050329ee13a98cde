"""A model that somebody planted in the store, with the hash that the store then records."""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import shutil
import zipfile
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from mlflow.exceptions import MlflowException
from mlflow.tracking import MlflowClient
from PIL import Image

from cnn_pipeline.base.home import Home
from cnn_pipeline.champion.register import open_registry
from cnn_pipeline.cli.app import status_of
from cnn_pipeline.experiment.outcome import Outcome
from cnn_pipeline.tracking import names
from cnn_pipeline.tracking.models import stored_model
from cnn_pipeline.tracking.store import open_store
from tests.recording import Recorded


@dataclass(frozen=True)
class Target:
    """A finished run whose model can be replaced; all is as before after the test."""

    home: Home
    run_id: str
    model: Path

    def plant(self, content: bytes) -> None:
        """Replace the file, and what the store says that it must be."""
        self.model.write_bytes(content)
        self.record(hashlib.sha256(content).hexdigest())

    def record(self, sha256: str) -> None:
        MlflowClient(self.home.database_uri).set_tag(self.run_id, names.MODEL_SHA256, sha256)


@pytest.fixture
def target(tiny: tuple[Home, Outcome], tmp_path: Path) -> Iterator[Target]:
    home, outcome = tiny
    run_id = outcome.results[0].run_id
    stored = stored_model(open_store(home, {}, create=False), run_id)
    (model,) = home.artifacts.rglob(f"{stored.model_id}/**/model.keras")
    shutil.copy2(model, tmp_path / "safe")
    target = Target(home, run_id, model)
    yield target
    with suppress(MlflowException):  # `promote` registers the model before it looks at the file
        MlflowClient(home.database_uri).delete_registered_model("fashion-mnist-sample-cnn")
    model.unlink(missing_ok=True)
    shutil.copy2(tmp_path / "safe", model)
    target.record(stored.sha256)


def with_layer(content: Path, name: str, config: dict[str, Any]) -> bytes:
    """The model, with a layer of somebody else's instead of its first one."""
    path = content.with_name("planted.keras")
    with zipfile.ZipFile(content) as source, zipfile.ZipFile(path, "w") as archive:
        whole = json.loads(source.read("config.json"))
        whole["config"]["layers"][1] = {
            "module": "keras.layers",
            "class_name": name,
            "registered_name": None,
            "config": config,
        }
        archive.writestr("config.json", json.dumps(whole))
        for member in ("metadata.json", "model.weights.h5"):
            archive.writestr(member, source.read(member))
    planted = path.read_bytes()
    path.unlink()
    return planted


def with_a_lambda(content: Path) -> bytes:
    code = {"class_name": "__lambda__", "config": {"value": "x"}}
    return with_layer(content, "Lambda", {"function": code})


@pytest.fixture
def picture(tmp_path: Path) -> str:
    Image.fromarray(np.zeros((28, 28), np.uint8)).save(tmp_path / "boot.png")
    return str(tmp_path / "boot.png")


@pytest.fixture
def commands(target: Target, picture: str) -> list[list[str]]:
    """Every command that takes a run's model."""
    here = ["--home", str(target.home.root)]
    return [
        ["predict", picture, "--run", target.run_id, *here],
        ["explain", target.run_id, "--output", f"{picture}.folder", *here],
        ["promote", target.run_id, "--why", "it is planted", *here],
        ["reproduce", target.run_id, *here],
    ]


@pytest.mark.slow
def test_code_in_a_model_is_refused_by_every_command(
    target: Target, commands: list[list[str]], capsys: pytest.CaptureFixture[str]
) -> None:
    target.plant(with_a_lambda(target.model))
    for words in commands:
        assert status_of(words) == 2, words
        said = capsys.readouterr().err
        assert "must be a .keras file of this project's layers, received: the class " in said
        assert "keras.layers.Lambda" in said
        assert "Traceback" not in said
    registry = open_registry(target.home)
    assert registry.by_alias("fashion-mnist-sample-cnn", "champion") is None


@pytest.mark.slow
@pytest.mark.parametrize(
    ("replace", "reason"),
    [
        (lambda path: path.symlink_to("/etc/hostname"), "The following failures"),
        (lambda path: path.symlink_to("/dev/zero"), "must be a file"),
        (os.mkfifo, "must be a file"),
        (os.mkdir, "must be a file"),
    ],
    ids=["link", "link to a device", "pipe", "folder"],
)
def test_what_stands_where_the_model_was_is_named(
    replace: Callable[[Path], None],
    reason: str,
    target: Target,
    commands: list[list[str]],
    capsys: pytest.CaptureFixture[str],
) -> None:
    target.model.unlink()
    replace(target.model)
    try:
        for words in commands:
            status = status_of(words)
            said = capsys.readouterr().err
            assert (status in (1, 2), reason in said) == (True, True), said
    finally:
        if target.model.is_dir():
            target.model.rmdir()


class Unpickled:
    """Whoever unpickles it writes a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, tuple[Path]]:
        return Path.touch, (self.path,)  # type: ignore[return-value]


def a_pickle(_: Path, ran: Path) -> bytes:
    return pickle.dumps(Unpickled(ran))


def a_lambda(model: Path, ran: Path) -> bytes:
    """Keras' own file of a layer whose code writes a file."""
    import keras

    path = str(ran)
    code = keras.layers.Lambda(lambda x: (open(path, "w").close(), x)[1])
    keras.Sequential([keras.layers.Input((2,)), code]).save(model)
    ran.unlink()  # building the network ran it
    return model.read_bytes()


def a_saved_model(model: Path, ran: Path) -> bytes:
    """A layer that runs what a SavedModel elsewhere holds."""
    ran.with_name("saved_model.pb").write_bytes(b"planted")
    return with_layer(model, "TFSMLayer", {"name": "planted", "filepath": str(ran.parent)})


@pytest.mark.slow
@pytest.mark.parametrize("planted", [a_pickle, a_lambda, a_saved_model])
def test_a_run_with_a_planted_model_is_not_reproduced(
    planted: Callable[[Path, Path], bytes],
    target: Target,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    recorded: Recorded,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is refused before anything is trained, and none of its code runs."""
    import keras

    ran = tmp_path / "planted" / "ran"
    ran.parent.mkdir()
    target.plant(planted(target.model, ran))
    monkeypatch.setattr(keras.saving, "load_model", lambda *_, **__: pytest.fail("given to Keras"))
    monkeypatch.setattr("cnn_pipeline.champion.reproduce._train", lambda *_: pytest.fail("trained"))
    moment = f"{planted.__name__.replace('_', ' ')} in a run that is reproduced"
    with recorded(fault="a planted model file", moment=moment, promises="I8"):
        assert status_of(["reproduce", target.run_id, "--home", str(target.home.root)]) == 2
        said = capsys.readouterr().err
        assert "must be a .keras file of this project's layers, received: " in said
        assert "Traceback" not in said
        assert not ran.exists()
