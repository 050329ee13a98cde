"""Files that somebody planted: refused before anything in them runs."""

from __future__ import annotations

import io
import json
import os
import pickle
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from cnn_pipeline.base.errors import UserError
from cnn_pipeline.base.files import sha256_of
from cnn_pipeline.network.build import build_model
from cnn_pipeline.network.load import check_content, load_verified
from cnn_pipeline.settings.trial import Variant

SHAPE = (12, 12, 1)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "model.keras"
    build_model(Variant(filters=1, dense_units=2), SHAPE, 3, seed=0).save(path)
    return path


def load(path: Path) -> keras.Model:
    return load_verified(path, sha256_of(path), "the model")


@pytest.mark.parametrize(
    "variant",
    [
        Variant(filters=2),
        Variant(filters=(2, 3), pooling="average", batch_norm=True, dropout=0.5),
        Variant(filters=2, pooling="strided", padding="same"),
        Variant(filters=2, pooling="none", batch_norm=True),
    ],
    ids=lambda variant: variant.name,
)
def test_what_this_project_builds_is_loaded(variant: Variant, tmp_path: Path) -> None:
    model = build_model(variant, SHAPE, 3, seed=0)
    model.save(tmp_path / "model.keras")
    image = np.zeros((1, *SHAPE), np.uint8)
    answer = load(tmp_path / "model.keras").predict_on_batch(image)
    assert (answer == model.predict_on_batch(image)).all()


Change = Callable[[dict[str, Any]], None]


def rewritten(
    good: Path,
    path: Path,
    change: Change = lambda config: None,
    *,
    kind: int = zipfile.ZIP_STORED,
    **members: bytes,
) -> Path:
    """A copy of the model with another configuration and more members."""
    with zipfile.ZipFile(good) as source, zipfile.ZipFile(path, "w", kind) as target:
        for name in source.namelist():
            content = members.pop(name, source.read(name))
            if name == "config.json" and content == source.read(name):
                config = json.loads(content)
                change(config)
                content = json.dumps(config).encode()
            target.writestr(name, content)
        for name, content in members.items():
            target.writestr(name, content)
    return path


def layer(module: str | None, kind: str, /, **config: Any) -> Change:
    """Puts an object of any class where the first layer was."""

    def change(whole: dict[str, Any]) -> None:
        item = {"class_name": kind, "config": config, "registered_name": None}
        whole["config"]["layers"][1] = item if module is None else {"module": module, **item}

    return change


def registered(whole: dict[str, Any]) -> None:
    whole["config"]["layers"][1]["registered_name"] = "planted>Layer"


def initializer(whole: dict[str, Any]) -> None:
    whole["config"]["layers"][2]["config"]["kernel_initializer"] = {
        "module": "builtins", "class_name": "function", "config": "eval",
        "registered_name": "function",
    }  # fmt: skip


def deep(whole: dict[str, Any]) -> None:
    inner: list[Any] = []
    for _ in range(200):
        inner = [inner]
    whole["config"]["trainable"] = inner


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (layer("keras.layers", "Lambda", function={"class_name": "__lambda__", "config": {}}),
         "class 'keras.layers.Lambda'"),
        (layer("keras.layers", "TFSMLayer", filepath="/tmp/planted"), "TFSMLayer"),
        (layer("keras.layers", "StringLookup", vocabulary="/etc/passwd"), "StringLookup"),
        (layer("keras.utils", "get_file", fname="x", origin="http://127.0.0.1:9/x"), "get_file"),
        (layer("os", "system", command="true"), "'os.system'"),
        (layer("cnn_pipeline.network.convolution", "Conv2D"), "convolution.Conv2D"),
        (layer(None, "Dense", units=1), "'None.Dense'"),
        (registered, "keras.layers.Rescaling"),
        (initializer, "'builtins.function'"),
        (deep, "nested more than 50 deep"),
        (layer("keras.layers", "Rescaling", name="../planted"), "the name '../planted'"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)  # fmt: skip
def test_any_other_class_is_refused(
    change: Change, reason: str, good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keras.saving, "load_model", lambda *_, **__: pytest.fail("given to Keras"))
    path = rewritten(good, tmp_path / "model.keras", change)
    with pytest.raises(UserError, match=reason) as refused:
        load(path)
    assert str(refused.value).startswith("the model must be a .keras file of this project's layers")
    assert refused.value.exit_code == 2


def test_a_real_lambda_is_refused(tmp_path: Path) -> None:
    planted = str(tmp_path / "ran")
    code = keras.layers.Lambda(lambda x: (open(planted, "w").close(), x)[1])
    keras.Sequential([keras.layers.Input((2,)), code]).save(tmp_path / "model.keras")
    Path(planted).unlink()  # building the model ran it
    with pytest.raises(UserError, match="Lambda"):
        load(tmp_path / "model.keras")
    assert not Path(planted).exists()


def test_unknown_members_are_refused(good: Path, tmp_path: Path) -> None:
    for name in ("../planted", "/tmp/planted", "assets/planted", "model.weights.npz"):
        path = rewritten(good, tmp_path / "model.keras", **{name: b"x"})
        with pytest.raises(UserError, match="an archive with the members"):
            load(path)
    with zipfile.ZipFile(path, "w") as archive:
        for name in ("metadata.json", "config.json", "model.weights.h5"):
            archive.writestr(name, b"{}")
        with pytest.warns(UserWarning, match="Duplicate name"):
            archive.writestr("config.json", b"{}")
    with pytest.raises(UserError, match="an archive with the members"):
        load(path)


def test_a_bomb_is_refused_before_it_is_unpacked(good: Path, tmp_path: Path) -> None:
    bomb = {"model.weights.h5": bytes(50_000_000)}
    path = rewritten(good, tmp_path / "model.keras", kind=zipfile.ZIP_DEFLATED, **bomb)
    assert path.stat().st_size < 100_000
    with pytest.raises(UserError, match="a compressed archive"):
        load(path)


class Planted:
    def __reduce__(self) -> tuple[Callable[[str], int], tuple[str]]:
        return pytest.fail, ("unpickled",)  # type: ignore[return-value]


def legacy(good: Path) -> bytes:
    """Keras' older format in HDF5, whose loader has fewer checks."""
    path = good.with_name("legacy.h5")
    keras.saving.load_model(good).save(path)
    return path.read_bytes()


def arrays(_: Path) -> bytes:
    stream = io.BytesIO()
    np.savez(stream, x=np.array([Planted()]))
    return stream.getvalue()


@pytest.mark.parametrize(
    "content",
    [lambda _: pickle.dumps(Planted()), legacy, arrays, lambda _: b"", lambda good: b"PK\3\4"],
    ids=["pickle", "legacy", "arrays", "empty", "cut off"],
)
def test_another_format_is_refused(
    content: Callable[[Path], bytes], good: Path, tmp_path: Path
) -> None:
    path = tmp_path / "model.keras"
    path.write_bytes(content(good))
    with pytest.raises(UserError, match=r"must be a \.keras file"):
        load(path)


def test_what_is_no_file_is_refused(good: Path, tmp_path: Path) -> None:
    link, folder, pipe = (tmp_path / name for name in ("link", "folder", "pipe"))
    link.symlink_to(good)
    folder.mkdir()
    (folder / "saved_model.pb").write_bytes(b"")
    os.mkfifo(pipe)
    for path in (link, folder, pipe):
        with pytest.raises(UserError, match="is a link, folder, pipe or device"):
            load_verified(path, "0" * 64, "the model")


def test_weights_from_outside_of_the_file_are_not_read(good: Path, tmp_path: Path) -> None:
    import h5py

    secret = tmp_path / "secret.h5"
    with h5py.File(secret, "w") as file:
        file["planted"] = np.ones((3, 3, 1, 1), np.float32)
    with zipfile.ZipFile(good) as archive:
        weights = io.BytesIO(archive.read("model.weights.h5"))
    with h5py.File(weights, "a") as file:
        place = "layers/conv2d/vars/0"
        assert file[place].shape == (3, 3, 1, 1)
        del file[place]
        file[place] = h5py.ExternalLink(str(secret), "planted")
    path = rewritten(good, tmp_path / "model.keras", **{"model.weights.h5": weights.getvalue()})
    with pytest.raises(UserError):
        load(path)


def test_a_configuration_that_keras_cannot_build_is_an_error_to_fix(
    good: Path, tmp_path: Path
) -> None:
    def change(whole: dict[str, Any]) -> None:
        whole["config"]["layers"][2]["config"]["filters"] = "many"

    path = rewritten(good, tmp_path / "model.keras", change)
    check_content(path, "the model")
    with pytest.raises(UserError, match=r"must be one that Keras 3\.\S+ reads"):
        load(path)
