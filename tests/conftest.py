"""Fixtures that several tests share."""

from __future__ import annotations

import os
import shutil
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import hypothesis
import pytest

from cnn_pipeline.base.home import Home
from cnn_pipeline.base.shell import MLFLOW, PREFECT, drop_foreign
from cnn_pipeline.base.startup import KERAS_ENVIRONMENT
from cnn_pipeline.experiment import run
from cnn_pipeline.experiment.outcome import Outcome
from cnn_pipeline.trainers.launching import Launcher, new_launcher
from cnn_pipeline.trainers.local_pool import TrainerPool
from cnn_pipeline.trainers.pool import trainers
from tests.recording import pytest_pyfunc_call, recorded  # noqa: F401
from tests.running import QUICK, TINY


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--quick` is what `make quick` runs, `--faults` is for `make faults`."""
    parser.addoption(
        "--quick",
        action="store_true",
        help="only tests that need neither TensorFlow nor a server: not marked slow",
    )
    parser.addoption(
        "--faults",
        type=Path,
        metavar="FILE",
        help="append a line of JSON to FILE for each fault that tests/faults tries",
    )


def pytest_configure(config: pytest.Config) -> None:
    """Ctrl-C works in whatever the tests start, and networks compute as in a trainer.

    A shell ignores it for what it starts in the background, and processes inherit that.
    Without oneDNN, TensorFlow's ReLU turns NaN into 0.
    """
    os.environ.update(KERAS_ENVIRONMENT)
    hypothesis.settings.register_profile("busy machine", deadline=None)
    hypothesis.settings.load_profile("busy machine")
    for prefixes in (MLFLOW, PREFECT):
        drop_foreign(prefixes)  # now, not when the first test opens a store
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if config.option.quick:
        sys.meta_path.insert(0, SkipWhatImports("tensorflow"))


class SkipWhatImports:
    """Skips a test, or a whole file, at the moment when it imports `module`."""

    def __init__(self, module: str) -> None:
        self._module = module

    def find_spec(self, name: str, *_: object) -> ModuleSpec | None:
        """Called for each import."""
        return ModuleSpec(name, self) if name == self._module else None  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> None:
        """An ordinary module."""

    def exec_module(self, module: ModuleType) -> None:
        """Called in the import statement of the test or of what it tests."""
        pytest.skip(f"not quick: imports {self._module}", allow_module_level=True)


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what is not quick; else begin with the files that have slow tests.

    So no worker is left alone with a long file at the end. Tests that record a fault are marked.
    """
    for item in items:
        if "recorded" in item.fixturenames:
            item.add_marker("fault")
    if config.option.quick:
        slow = [i for i in items if i.get_closest_marker("slow") or "launcher" in i.fixturenames]
        config.hook.pytest_deselected(items=slow)
        items[:] = [item for item in items if item not in set(slow)]
    else:
        files = {item.path for item in items if item.get_closest_marker("slow")}
        items.sort(key=lambda item: item.path not in files)


@pytest.fixture(scope="session")
def _migrated_store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An empty MLflow database, made once: migrations take seconds, a copy takes none."""
    from cnn_pipeline.tracking.store import open_store

    home = Home(tmp_path_factory.mktemp("store"))
    open_store(home, {})
    return home.database


@pytest.fixture
def home(tmp_path: Path, _migrated_store: Path) -> Home:
    """A home folder with an empty store, and a name that is hard on careless code."""
    return _new_home(tmp_path, _migrated_store)


def _new_home(folder: Path, store: Path) -> Home:
    place = Home(folder / "home with späces")
    place.artifacts.mkdir(parents=True)
    shutil.copy(store, place.database)
    return place


@pytest.fixture(scope="session")
def launcher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Launcher]:
    """What starts the trainers of all tests: TensorFlow is imported once, not for each pool."""
    with (tmp_path_factory.mktemp("launcher") / "server.log").open("ab") as log:
        made = new_launcher(log)
        yield made
        made.close()


@pytest.fixture(scope="module")
def shared_trainers(launcher: Launcher) -> Iterator[None]:
    """Pools that the program makes in this process take their trainers from `launcher` as well."""
    with _launched_by(launcher):
        yield


@contextmanager
def _launched_by(launcher: Launcher) -> Iterator[None]:
    def start(
        count: int, threads: int, log_folder: Path, own: Launcher | None = None
    ) -> TrainerPool:
        return TrainerPool(count, threads, log_folder, own or launcher)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cnn_pipeline.trainers.pool.TrainerPool", start)
        yield


@pytest.fixture(scope="session")
def tiny(
    tmp_path_factory: pytest.TempPathFactory, _migrated_store: Path, launcher: Launcher
) -> tuple[Home, Outcome]:
    """A whole sweep, run once without Prefect, and its home: for reading only."""
    place = _new_home(tmp_path_factory.mktemp("tiny"), _migrated_store)
    with _launched_by(launcher):
        return place, run.run_sweep(TINY, place)


@pytest.fixture(scope="session")
def pool(tmp_path_factory: pytest.TempPathFactory, launcher: Launcher) -> Iterator[TrainerPool]:
    """One trainer for all tests that need one."""
    with trainers(1, QUICK.threads, tmp_path_factory.mktemp("trainer"), launcher) as one:
        yield one


@pytest.fixture(autouse=True)
def _own_address() -> Iterator[None]:
    """Forget a store's address after each test: MLflow keeps it for the process."""
    yield
    if "mlflow" in sys.modules:
        sys.modules["mlflow"].set_tracking_uri(None)
    os.environ.pop("MLFLOW_TRACKING_URI", None)


@pytest.fixture
def need() -> Callable[[bool, str], None]:
    """Skip where something is missing; fail instead where CI has promised that it is there."""

    def check(there: bool, remedy: str) -> None:
        if there:
            return
        if os.environ.get("CNN_PIPELINE_REQUIRE_ALL") == "1":
            pytest.fail(f"required here: {remedy}")
        pytest.skip(remedy)

    return check
