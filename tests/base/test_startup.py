"""What importing Keras leaves out, and that all of it can be imported afterwards."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest

from cnn_pipeline.base.startup import hidden_notes, lean_imports

SAY = "\nimport sys\nprint(*sys.modules)\n"


def modules_after(*code: str, backend: str = "tensorflow") -> list[set[str]]:
    """The modules that a fresh interpreter has imported after each piece of `code`."""
    done = subprocess.run(
        [sys.executable, "-c", "".join(piece + SAY for piece in code)],
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
        env={**os.environ, "KERAS_BACKEND": backend},
    )
    return [set(line.split()) for line in done.stdout.splitlines()]


@pytest.mark.slow
def test_a_trainer_imports_neither_scikit_learn_nor_another_backend_but_could() -> None:
    loaded, afterwards = modules_after(
        "import numpy as np\n"
        "from cnn_pipeline.trainers import trainer\n"
        "from cnn_pipeline.network.evaluation import Evaluation\n"
        "trainer.preload(lambda _: None)\n"
        "Evaluation(('a', 'b'), np.array([0, 1]), np.eye(2, dtype=np.float32)).per_class",
        "import sklearn.base",
    )
    assert {"keras", "tensorflow", "mlflow"} <= loaded
    assert {"sklearn", "jax", "scipy.stats"} & loaded == set()
    assert "sklearn.base" in afterwards


@pytest.mark.slow
def test_a_backend_that_is_chosen_is_not_left_out(need: Callable[[bool, str], None]) -> None:
    need(find_spec("jax") is not None, 'JAX: pip install --editable ".[jax]"')
    code = "from cnn_pipeline.base.startup import lean_imports\nwith lean_imports(): import keras"
    (loaded,) = modules_after(code, backend="jax")
    assert "jax" in loaded


def test_what_is_there_already_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    there = object()
    monkeypatch.setitem(sys.modules, "sklearn", there)
    with lean_imports():
        assert sys.modules["sklearn"] is there
    assert sys.modules["sklearn"] is there


def test_an_error_in_the_block_leaves_nothing_hidden(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delitem(sys.modules, "sklearn", raising=False)
    with pytest.raises(ImportError), lean_imports():
        import sklearn  # noqa: F401
    assert "sklearn" not in sys.modules


@pytest.mark.slow
def test_a_file_of_the_users_cannot_choose_the_backend_that_is_left_out(tmp_path: Path) -> None:
    (tmp_path / "keras.json").write_text('{"backend": "jax"}', encoding="utf-8")
    (loaded,) = modules_after(
        f"import os\nos.environ['KERAS_HOME'] = {str(tmp_path)!r}\n"
        "del os.environ['KERAS_BACKEND']\n"
        "from cnn_pipeline.base.startup import lean_imports\n"
        "with lean_imports(): import keras\n"
        "assert keras.backend.backend() == 'tensorflow'"
    )
    assert "jax" not in loaded


def test_notes_of_native_code_are_hidden_unless_the_block_raises(
    capfd: pytest.CaptureFixture[str],
) -> None:
    with hidden_notes():
        os.write(2, b"a note\n")
    assert capfd.readouterr().err == ""
    with pytest.raises(ImportError), hidden_notes():
        _write_and_fail()
    assert capfd.readouterr().err == "why it failed\n"


def _write_and_fail() -> None:
    os.write(2, b"why it failed\n")
    raise ImportError


@pytest.mark.slow
def test_keras_is_imported_without_a_note() -> None:
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "from cnn_pipeline.base.startup import import_keras_quietly as quietly\n"
            "quietly()\nimport keras\nprint(keras.ops.sum(keras.ops.ones(3)))",
        ],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "KERAS_BACKEND": "tensorflow"},
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "3.0" in done.stdout
