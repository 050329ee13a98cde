"""Which of the user's variables reach a trainer, and that no other changes a number."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from cnn_pipeline.base.home import Home
from cnn_pipeline.base.machine import has_gpu
from cnn_pipeline.experiment.content_key import content_key
from cnn_pipeline.network.results import TrialResult
from cnn_pipeline.tracking.reader import Reader
from cnn_pipeline.tracking.store import Store
from cnn_pipeline.trainers import environment
from cnn_pipeline.trainers.environment import (
    FIXED,
    NUMBA_FILE,
    numeric_environment,
    trainer_environment,
)
from cnn_pipeline.trainers.local_pool import TrainerPool
from tests.running import begin, one_trial, run_trials

KEYED = {
    "CUBLAS_WORKSPACE_CONFIG": ":4096:8",
    "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2",
    "MKL_CBWR": "COMPATIBLE",
    "NPY_DISABLE_CPU_FEATURES": "AVX512F",
    "NVIDIA_TF32_OVERRIDE": "0",
    "ONEDNN_DEFAULT_FPMATH_MODE": "BF16",
    "ONEDNN_MAX_CPU_ISA": "AVX2",
    "OPENBLAS_CORETYPE": "Haswell",
    "TENSORFLOW_USE_CUSTOM_CONTRACTION_KERNEL": "0",
    "TF_CUDNN_DETERMINISTIC": "1",
    "TF_DETERMINISTIC_OPS": "1",
    "TF_ENABLE_AUTO_MIXED_PRECISION": "1",
    "TF_SET_ONEDNN_FPMATH_MODE": "BF16",
    "TF_XLA_FLAGS": "--tf_xla_auto_jit=2",
    "XLA_FLAGS": "--xla_cpu_enable_fast_math=true",
}
OVERRULED = {
    "KERAS_MAX_EPOCHS": "1",
    "KERAS_MAX_STEPS_PER_EPOCH": "1",
    "KERAS_NNX_ENABLED": "0",
    "MKL_NUM_THREADS": "3",
    "NUMBA_CPU_NAME": "generic",
    "NUMBA_DISABLE_JIT": "1",
    "NUMBA_OPT": "0",
    "OMP_NUM_THREADS": "7",
    "OPENBLAS_NUM_THREADS": "4",
    "TF_ENABLE_ONEDNN_OPTS": "0",
    "TF_NUM_INTRAOP_THREADS": "3",
}
HARMLESS = {"ONEDNN_VERBOSE": "1", "TF_CPP_MIN_LOG_LEVEL": "0", "NUMBA_CACHE_DIR": "/tmp/numba"}


def key() -> str:
    sweep = one_trial()
    return content_key(sweep.trials()[0], sweep.data, "digest", threads=1)


@pytest.fixture(autouse=True)
def _unset(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in (*KEYED, *OVERRULED, *HARMLESS, "KERAS_BACKEND", "KERAS_HOME"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("name", KEYED)
def test_options_that_can_change_a_number_are_in_the_key(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = key()
    monkeypatch.setenv(name, KEYED[name])
    assert key() != before
    assert numeric_environment({name: KEYED[name]}) == {name: KEYED[name]}
    assert trainer_environment({name: KEYED[name]})[name] == KEYED[name]


@pytest.mark.parametrize("name", [*OVERRULED, *HARMLESS])
def test_options_without_effect_on_numbers_are_not_in_the_key(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = key()
    monkeypatch.setenv(name, (OVERRULED | HARMLESS)[name])
    assert key() == before


def test_jax_options_count_on_jax_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    options = {"JAX_ENABLE_X64": "1", "JAX_DEFAULT_MATMUL_PRECISION": "bfloat16"}
    assert numeric_environment(options) == {}
    monkeypatch.setenv("KERAS_BACKEND", "jax")
    assert numeric_environment(options) == options


@pytest.mark.parametrize("there", [False, True])
def test_the_choice_of_gpus_counts_where_there_are_any(
    there: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(environment, "has_gpu", lambda: there)
    assert bool(numeric_environment({"CUDA_VISIBLE_DEVICES": "1"})) is there


def test_numbas_options_file_is_in_the_key(tmp_path: Path) -> None:
    (tmp_path / NUMBA_FILE).write_text("opt: 0\n", encoding="utf-8")
    assert numeric_environment({}, tmp_path) == {NUMBA_FILE: "opt: 0\n"}


def test_a_trainer_does_not_depend_on_the_users_shell() -> None:
    clean = {name: value for name, value in OVERRULED.items() if name.startswith("KERAS_MAX_")}
    assert trainer_environment(OVERRULED) == trainer_environment({}) | clean
    assert FIXED.items() <= trainer_environment({}).items()
    given = {**HARMLESS, "PATH": "/bin"}
    assert given.items() <= trainer_environment(given).items()


@pytest.mark.slow  # two trainers of their own: they import TensorFlow
@pytest.mark.skipif(has_gpu(), reason="GPU kernels are not repeatable bit by bit")
def test_a_hostile_environment_changes_no_number(
    tmp_path: Path, home: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """oneDNN, Keras' own file and its debugging limits, Numba's options and thread counts."""
    plain_key, plain = key(), _trained(home, tmp_path)
    folder = tmp_path / "keras"
    folder.mkdir()
    settings = {
        "floatx": "float16",
        "epsilon": 0.1,
        "image_data_format": "channels_first",
        "backend": "jax",
    }
    (folder / "keras.json").write_text(json.dumps(settings), encoding="utf-8")
    monkeypatch.setenv("KERAS_HOME", str(folder))
    for name, value in OVERRULED.items():
        monkeypatch.setenv(name, value)
    hostile_key, hostile = key(), _trained(home, tmp_path)
    assert hostile_key == plain_key
    assert plain == hostile


def _trained(home: Home, cache: Path) -> tuple[dict[str, float], bytes]:
    """Metrics without times, and predictions, of a trial on a new trainer."""
    sweep_run = begin(one_trial(), home, cache)
    pool = TrainerPool(1, 1, home.state / "logs")
    try:
        (result,) = run_trials(sweep_run, pool)
    finally:
        pool.close()
    assert result.finished, result.reason
    return _scores(result), _probabilities(result, Store(sweep_run.store_uri, None))


def _scores(result: TrialResult) -> dict[str, float]:
    return {name: value for name, value in result.metrics.items() if "_accuracy" in name}


def _probabilities(result: TrialResult, store: Store) -> bytes:
    return Reader(store).predictions(result.run_id)[1].tobytes()
