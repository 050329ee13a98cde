"""Where things lie."""

import os
from pathlib import Path

import pytest

from cnn_pipeline.base.errors import InvalidInput
from cnn_pipeline.base.home import Home, cache_dir, resolve_home

CHECKOUT = Path(__file__).resolve().parent.parent.parent


def test_the_flag_comes_before_the_variable(tmp_path: Path) -> None:
    environ = {"CNN_PIPELINE_HOME": str(tmp_path / "variable")}
    assert resolve_home(str(tmp_path / "flag"), environ).root == tmp_path / "flag"
    assert resolve_home(None, environ).root == tmp_path / "variable"


def test_the_default_is_the_checkout_that_holds_the_package() -> None:
    assert resolve_home(None, {}).root == CHECKOUT
    assert resolve_home(None, {"CNN_PIPELINE_HOME": ""}).root == CHECKOUT


def test_without_a_checkout_the_default_is_the_current_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "cnn_pipeline.base.home.__file__", str(tmp_path / "site" / "pkg" / "base" / "home.py")
    )
    monkeypatch.chdir(tmp_path)
    assert resolve_home(None, {}).root == tmp_path


def test_a_relative_home_becomes_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert resolve_home("a/../b", {}).root == tmp_path / "b"


def test_a_tilde_is_the_users_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert resolve_home("~/cnn", {}).root == tmp_path / "cnn"


def test_resolving_makes_nothing(tmp_path: Path) -> None:
    home = resolve_home(str(tmp_path / "new"), {})
    assert home.write_fault() is None
    assert list(tmp_path.iterdir()) == []


def test_everything_lies_under_mlruns() -> None:
    home = Home(Path("/data/ein Ördner"))
    assert home.mlruns == Path("/data/ein Ördner/mlruns")
    assert home.database == home.mlruns / "mlflow.db"
    assert home.artifacts == home.mlruns / "artifacts"
    assert home.state == home.mlruns / "state"
    assert home.database_uri == "sqlite:////data/ein Ördner/mlruns/mlflow.db"
    assert home.artifacts_uri == "file:///data/ein%20%C3%96rdner/mlruns/artifacts"


def test_sqlalchemy_reads_the_database_address_as_it_was_meant() -> None:
    from sqlalchemy.engine import make_url

    home = resolve_home("/data/ein Ördner #1 + 'x'", {})
    assert make_url(home.database_uri).database == str(home.database)


@pytest.mark.parametrize("character", ["%", "?"])
def test_characters_that_break_an_address_are_refused(character: str) -> None:
    with pytest.raises(InvalidInput, match=f"--home: must not contain '\\{character}'"):
        resolve_home(f"/data/a{character}20b", {})


@pytest.mark.parametrize("text", ["", "  ", "a\0b", "~no-such-user-here/x"])
def test_what_is_no_path_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput, match="--home: "):
        resolve_home(text, {})


def test_a_file_is_no_home(tmp_path: Path) -> None:
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(InvalidInput, match="CNN_PIPELINE_HOME: must be a folder"):
        resolve_home(None, {"CNN_PIPELINE_HOME": str(file)})
    assert "must be a folder" in (resolve_home(str(file / "below"), {}).write_fault() or "")


def test_a_read_only_home_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda path, mode: False)  # root may write anywhere
    fault = resolve_home(str(tmp_path / "new"), {}).write_fault()
    assert fault is not None and f"{tmp_path} is not" in fault and "CNN_PIPELINE_HOME" in fault


def test_the_cache_is_the_variable_else_the_users(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert cache_dir({"CNN_PIPELINE_CACHE": str(tmp_path)}) == tmp_path
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    default = cache_dir({})
    assert default.is_relative_to(tmp_path) and default.name == "cnn-pipeline"
