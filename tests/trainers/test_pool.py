"""Trainer processes, and the runs of a trainer or sweep that is killed."""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

import pytest
from mlflow.tracking import MlflowClient

from cnn_pipeline.base import events
from cnn_pipeline.base.events import Event, TrialProgress
from cnn_pipeline.base.home import Home
from cnn_pipeline.experiment import trials
from cnn_pipeline.settings.sweep import Sweep
from cnn_pipeline.tracking.store import Store
from cnn_pipeline.tracking.writer import Tracker
from cnn_pipeline.trainers import fork_server, local_pool
from cnn_pipeline.trainers.launching import ForkServer, Launcher, Spawner, can_fork
from cnn_pipeline.trainers.local_pool import TrainerPool
from cnn_pipeline.trainers.messages import (
    FORK_MESSAGES,
    FORK_PACKET_BYTES,
    FORK_REQUESTS,
    JOBS,
    TRAINER_MESSAGES,
    Ended,
    Fork,
    ForkMessage,
    Kill,
    Reply,
)
from cnn_pipeline.trainers.pool import close_warm, trainers, warm_up
from cnn_pipeline.trainers.trainer import COMPILING
from tests.running import (
    DEADLINE,
    ENDLESS,
    begin,
    descendants,
    gone,
    one_trial,
    processes,
    run_trials,
    trainers_below,
    wait_until,
)

pytestmark = pytest.mark.slow  # trainers import TensorFlow

FORK_SERVER, SPAWNED = "cnn_pipeline.trainers.fork_server", "cnn_pipeline.trainers.trainer "

needs_fork_server = pytest.mark.skipif(
    not can_fork(), reason="trainers are forked on Linux, with pidfd_open (kernel 5.3 and later)"
)

# A sweep in a process of its own, so that it can be killed.
SWEEP = """
import sys
from pathlib import Path
from cnn_pipeline.experiment.run import run_sweep
from cnn_pipeline.settings.sweep import Sweep
from cnn_pipeline.base.home import Home

sweep = Sweep.model_validate_json(sys.argv[2])
run_sweep(sweep, Home(Path(sys.argv[1])), workers=1)
"""


@contextmanager
def once_it_trains(action: Callable[[], object]) -> Iterator[None]:
    """Call `action` at the first sign of training."""
    called: list[Event] = []

    def listen(event: Event) -> None:
        if isinstance(event, TrialProgress) and not called:
            called.append(event)
            action()

    with events.listening(listen):
        yield
    assert called, "nothing was trained"


def statuses(home: Home) -> dict[str, tuple[str, str]]:
    """Status and reason of every run, the sweep's as 'sweep'."""
    client = MlflowClient(home.database_uri)
    runs = client.search_runs([e.experiment_id for e in client.search_experiments()])
    return {
        run.data.tags.get("trial", "sweep"): (run.info.status, run.data.tags.get("reason", ""))
        for run in runs
    }


@pytest.fixture
def own_pool(tmp_path: Path, launcher: Launcher) -> Iterator[TrainerPool]:
    with trainers(1, 1, tmp_path / "logs", launcher) as pool:
        yield pool


@pytest.mark.fault(fault="kill -9 of a trainer", moment="training", promises="I3")
def test_a_killed_trainer_fails_its_trial_and_the_next_gets_a_fresh_one(
    home: Home, tmp_path: Path, pool: TrainerPool
) -> None:
    killed: list[int] = []

    def kill() -> None:
        killed.extend(trainers_below(os.getpid()))
        for pid in killed:
            os.kill(pid, signal.SIGKILL)

    endless = begin(one_trial(ENDLESS), home, tmp_path)
    with once_it_trains(kill):
        (failed,) = run_trials(endless, pool)
    assert failed.status == "FAILED"
    assert failed.reason == (
        "the trainer was ended by SIGKILL; the system kills the largest process when memory is full"
    )
    assert statuses(home)["f2-max-d16-s0"] == ("FAILED", failed.reason)

    (finished,) = run_trials(begin(one_trial(), home, tmp_path), pool)
    assert (finished.status, finished.reason) == ("FINISHED", "")
    assert not set(killed) & trainers_below(os.getpid())
    assert gone(set(killed))


def test_the_reply_to_an_interrupted_job_is_not_read_as_the_next(
    home: Home, tmp_path: Path, pool: TrainerPool
) -> None:
    class Interrupted(BaseException):
        pass

    def interrupt() -> None:
        raise Interrupted

    longer = one_trial(ENDLESS.model_copy(update={"epochs": 3}))
    with pytest.raises(Interrupted), once_it_trains(interrupt):
        run_trials(begin(longer, home, tmp_path), pool)
    assert statuses(home)["f2-max-d16-s0"] == (
        "KILLED",
        "the sweep was stopped: Interrupted",
    )
    (result,) = run_trials(begin(one_trial(), home, tmp_path), pool)
    assert result.status == "FINISHED"
    assert result.metrics["best_epoch"] == 0


def test_an_exception_in_a_listener_is_raised(
    home: Home, tmp_path: Path, pool: TrainerPool
) -> None:
    def fail() -> None:
        raise ValueError("the terminal is gone")

    with pytest.raises(ValueError, match="the terminal is gone"), once_it_trains(fail):
        run_trials(begin(one_trial(ENDLESS), home, tmp_path), pool)
    reason = "the sweep was stopped: ValueError: the terminal is gone"
    assert statuses(home)["f2-max-d16-s0"] == ("KILLED", reason)


def test_closing_the_pool_kills_what_runs(
    home: Home, tmp_path: Path, own_pool: TrainerPool
) -> None:
    closers = [threading.Thread(target=own_pool.close)]
    with once_it_trains(closers[0].start):
        (result,) = run_trials(begin(one_trial(ENDLESS), home, tmp_path), own_pool)
    closers[0].join(DEADLINE)
    assert (result.status, result.reason) == ("KILLED", "the sweep was stopped")
    assert statuses(home)["f2-max-d16-s0"] == ("KILLED", "the sweep was stopped")
    # What is asked of it afterwards is not run either, and no trainer comes back.
    (after,) = run_trials(begin(one_trial(), home, tmp_path), own_pool)
    assert after.status == "KILLED"
    own_pool.close()


def below(root: int, module: str) -> set[int]:
    """Ids of the processes below `root` that were started on `module`, or forked from it."""
    return {pid for pid, command in descendants(root).items() if module in command}


@needs_fork_server
def test_a_warm_pool_serves_the_sweep_that_fits_it(tmp_path: Path) -> None:
    before = below(os.getpid(), FORK_SERVER)
    warm_up(2, 3, tmp_path / "logs")
    try:
        (warm,) = below(os.getpid(), FORK_SERVER) - before
        with trainers(2, 3, tmp_path / "logs") as pool:
            assert (pool.count, pool.threads) == (2, 3)

            def forked() -> set[int]:
                return below(os.getpid(), FORK_SERVER) - before - {warm}

            wait_until(lambda: len(forked()) == 1, "the first trainer is forked")
            assert forked() <= trainers_below(os.getpid())
        assert below(os.getpid(), FORK_SERVER) == before
        warm_up(1, 1, tmp_path / "logs")
        assert len(below(os.getpid(), FORK_SERVER) - before) == 1
    finally:
        close_warm()
    assert below(os.getpid(), FORK_SERVER) == before


def test_a_trainer_is_replaced_after_its_jobs_without_changing_numbers(
    home: Home, tmp_path: Path, launcher: Launcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    """This frees memory that TensorFlow never frees."""
    before = trainers_below(os.getpid())
    monkeypatch.setattr(local_pool, "JOBS_OF_A_TRAINER", 2)
    sweep_run = begin(one_trial().model_copy(update={"seeds": (0, 1, 2)}), home, tmp_path)
    trials = sweep_run.decision.sweep.trials()
    serving: list[set[int]] = []
    accuracies = []
    with trainers(1, 1, tmp_path / "logs", launcher) as pool:
        for trial in (*trials, trials[0]):
            with once_it_trains(lambda: serving.append(trainers_below(os.getpid()) - before)):
                (result,) = run_trials(sweep_run, pool, (trial,))
            accuracies.append(result.metrics["test_accuracy"])
    first, second, third, fourth = serving
    assert first == second != third == fourth
    assert len(first) == len(third) == 1
    assert gone(first)
    assert accuracies[0] == accuracies[3]


@pytest.mark.fault(
    fault="kill -9 of the fork server", moment="training; between two trials", promises="I3"
)
@needs_fork_server
def test_a_fork_server_that_is_killed_fails_what_it_forked_and_is_replaced(
    home: Home, tmp_path: Path
) -> None:
    before = below(os.getpid(), FORK_SERVER)
    with trainers(1, 1, tmp_path / "logs") as own:
        family: set[int] = set()

        def kill_server() -> None:
            family.update(below(os.getpid(), FORK_SERVER) - before)
            (server,) = (pid for pid in family if processes()[pid][0] == os.getpid())
            os.kill(server, signal.SIGKILL)

        with once_it_trains(kill_server):
            (failed,) = run_trials(begin(one_trial(ENDLESS), home, tmp_path), own)
        assert failed.status == "FAILED"
        assert failed.reason.startswith("the trainer was ended by SIGKILL")
        assert len(family) == 2
        wait_until(lambda: gone(family), "what it forked ends with it")
        (finished,) = run_trials(begin(one_trial(), home, tmp_path), own)
        assert finished.status == "FINISHED"
        # Also between two jobs: no trial fails for a trainer that died before it.
        family.clear()
        kill_server()
        wait_until(lambda: gone(family), "the idle trainer ends with it")
        (finished,) = run_trials(begin(one_trial(), home, tmp_path), own)
        assert finished.status == "FINISHED"


@needs_fork_server
def test_pools_share_a_fork_server_and_leave_it_open(
    home: Home, tmp_path: Path, launcher: Launcher
) -> None:
    before = trainers_below(os.getpid())
    with (
        trainers(1, 1, tmp_path / "logs", launcher) as one,
        trainers(1, 1, tmp_path / "logs", launcher) as other,
    ):
        for pool in (one, other):
            (result,) = run_trials(begin(one_trial(), home, tmp_path), pool)
            assert result.status == "FINISHED"
        own = trainers_below(os.getpid()) - before
        assert len(own) == 2
    assert gone(own)
    assert launcher.alive


@needs_fork_server
def test_a_pool_whose_launcher_has_died_starts_its_own(home: Home, tmp_path: Path) -> None:
    with (tmp_path / "server.log").open("ab") as log:
        server = ForkServer(log)
        server.close()
    with trainers(1, 1, tmp_path / "logs", server) as one:
        (result,) = run_trials(begin(one_trial(), home, tmp_path), one)
    assert result.status == "FINISHED"


def test_spawned_trainers_give_the_same_numbers(
    home: Home, tmp_path: Path, pool: TrainerPool
) -> None:
    """As on macOS, and with JAX."""
    (forked,) = run_trials(begin(one_trial(), home, tmp_path), pool)
    before = below(os.getpid(), FORK_SERVER)
    with trainers(1, 1, tmp_path / "logs", Spawner()) as own:
        (spawned,) = run_trials(begin(one_trial(), home, tmp_path), own)
        assert below(os.getpid(), FORK_SERVER) == before
        (trainer,) = below(os.getpid(), SPAWNED)
    assert gone({trainer})
    assert spawned.metrics["test_accuracy"] == forked.metrics["test_accuracy"]
    assert spawned.metrics["test_loss"] == forked.metrics["test_loss"]


def test_a_job_starts_a_trainer_if_none_is_idle(
    home: Home, tmp_path: Path, launcher: Launcher
) -> None:
    before = trainers_below(os.getpid())
    most: list[int] = []

    def count(_: Event) -> None:
        most.append(len(trainers_below(os.getpid()) - before))

    with trainers(2, 1, tmp_path / "logs", launcher) as pool, events.listening(count):
        sweep_run = begin(one_trial().model_copy(update={"seeds": (0, 1, 2)}), home, tmp_path)
        with ThreadPoolExecutor() as together:
            results = list(together.map(lambda one: run_trials(sweep_run, pool, (one,)),
                                        sweep_run.decision.sweep.trials()))  # fmt: skip
        assert all(result.finished for (result,) in results)
        assert max(most) == 2


def test_a_trainer_that_cannot_start_says_where_its_log_is(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KERAS_BACKEND", "no_such_backend")
    with trainers(1, 1, tmp_path / "logs") as pool:
        (result,) = run_trials(begin(one_trial(), home, tmp_path), pool)
    assert result.status == "FAILED"
    beginning, _, log = result.reason.partition("; see ")
    assert beginning == "the trainer ended with status 1"
    assert Path(log).parent == tmp_path / "logs"
    assert "no_such_backend" in Path(log).read_text()


def test_where_tensorflow_cannot_be_imported_the_log_says_so(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    broken = tmp_path / "broken"
    broken.mkdir()
    (broken / "tensorflow.py").write_text("raise ImportError('libcrystal.so: not found')")
    monkeypatch.setenv("PYTHONPATH", str(broken))
    with trainers(1, 1, tmp_path / "logs") as pool:
        (result,) = run_trials(begin(one_trial(), home, tmp_path), pool)
    assert result.status == "FAILED"
    beginning, _, log = result.reason.partition("; see ")
    assert beginning == "the trainer ended with status 1"
    assert "libcrystal.so: not found" in Path(log).read_text()


class Scripted:
    """Starts processes that write one line on any input and do not exit."""

    alive = True

    def __init__(self, line: str) -> None:
        self._line = line
        self.started: list[subprocess.Popen[bytes]] = []

    def start(
        self, threads: int, stdin: int, stdout: int, log: BinaryIO
    ) -> subprocess.Popen[bytes]:
        words = ["sh", "-c", 'printf "%s\\n" "$1"; exec sleep 600', "sh", self._line]
        self.started.append(subprocess.Popen(words, stdin=stdin, stdout=stdout, stderr=log))
        return self.started[-1]

    def close(self) -> None: ...


@pytest.mark.parametrize(
    ("line", "fault"),
    [
        ("Traceback (most recent call last):", "Invalid JSON"),
        ('{"kind": "TrialEnded", "trial": "f2", "status": "FINISHED", "seconds": 1}', "TrialEnded"),
        ('{"kind": "Stage", "text": 3}', "Stage.text: Input should be a valid string, received 3"),
        ('{"kind": "Reply", "status": "DONE"}', "Reply.status: Input should be 'FINISHED'"),
        ('{"kind": "Reply", "status": "FINISHED", "seed": 1}', "Reply.seed: Unexpected"),
        (
            '{"kind": "Reply", "status": "FINISHED", "metrics": {"test_accuracy": "high"}}',
            "Reply.metrics.test_accuracy: Input should be a valid number, received 'high'",
        ),
    ],
)
def test_an_invalid_message_ends_the_trainer_and_fails_its_trial(
    home: Home, tmp_path: Path, line: str, fault: str
) -> None:
    launcher = Scripted(line)
    with trainers(1, 1, tmp_path / "logs", launcher) as pool:
        (result,) = run_trials(begin(one_trial(), home, tmp_path), pool)
        assert [process.poll() for process in launcher.started] == [-signal.SIGKILL]
    assert result.status == "FAILED"
    assert result.reason.startswith("the trainer sent an invalid message and was ended: ")
    assert fault in result.reason
    assert result.reason.endswith(f"; see {pool.log_file}")
    assert statuses(home)["f2-max-d16-s0"] == ("FAILED", result.reason)


@needs_fork_server
@pytest.mark.parametrize("packet", [b"nonsense", FORK_MESSAGES.write(Ended(7, status=0))])
def test_a_fork_server_that_sends_an_invalid_message_is_ended(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, packet: bytes
) -> None:
    broken = tmp_path / "broken" / "cnn_pipeline" / "trainers"
    broken.mkdir(parents=True)
    for package in (broken, broken.parent):
        (package / "__init__.py").touch()
    (broken / "fork_server.py").write_text(
        "import socket, sys, time\n"
        "channel = socket.socket(fileno=int(sys.argv[1]))\n"
        f"channel.send({packet!r})\n"
        "time.sleep(600)\n"
    )
    monkeypatch.chdir(tmp_path / "broken")
    before = below(os.getpid(), FORK_SERVER)
    with trainers(1, 1, tmp_path / "logs") as pool:
        (result,) = run_trials(begin(one_trial(), home, tmp_path), pool)
        assert gone(below(os.getpid(), FORK_SERVER) - before)
    assert (result.status, result.reason) == (
        "FAILED",
        f"the trainer ended with status 1; see {pool.log_file}",
    )
    assert "the fork server sent an invalid message: " in pool.log_file.read_text()


def test_a_trainer_needs_no_git_and_no_other_program(tmp_path: Path) -> None:
    """GitPython, a dependency of MLflow, cannot be imported without git."""
    code = "from cnn_pipeline.trainers import trainer; trainer.preload(print)"
    environment = {**os.environ, "PATH": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], env=environment, stderr=subprocess.PIPE)
    assert done.returncode == 0, done.stderr.decode()


@needs_fork_server
def test_an_exception_on_a_delay_does_not_hang_a_trainer(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Printing to a closed terminal raises. The same thread must still receive `Ended`."""
    told: list[Event] = []

    def fail(event: Event) -> None:
        if isinstance(event, events.Delay):
            told.append(event)
            raise BrokenPipeError

    monkeypatch.setattr(ForkServer, "_receive", delayed_once(ForkServer._receive))
    with events.listening(fail), trainers(1, 1, tmp_path / "logs") as pool:
        (result,) = run_trials(begin(one_trial(), home, tmp_path), pool)
    assert result.status == "FINISHED"
    assert told == [events.Delay("any")]


def delayed_once(
    receive: Callable[[ForkServer], ForkMessage | None],
) -> Callable[[ForkServer], ForkMessage | None]:
    """Makes a fork server send a delay first."""
    messages = iter([events.Delay("any")])
    return lambda server: next(messages, None) or receive(server)


@pytest.mark.parametrize(
    "launcher",
    [
        pytest.param("forked", marks=needs_fork_server),
        pytest.param("spawned", marks=pytest.mark.long),
    ],
)
def test_compiling_convolutions_is_reported_once(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, launcher: str
) -> None:
    """It takes ten seconds without any other event."""
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "cache"))
    for expected in (1, 0):
        told: list[Event] = []
        given = Spawner() if launcher == "spawned" else None
        with events.listening(told.append), trainers(1, 1, tmp_path / "logs", given) as pool:
            (result,) = run_trials(begin(one_trial(), home, tmp_path), pool)
        assert result.status == "FINISHED"
        assert told.count(events.Delay(COMPILING)) == expected


def test_only_the_latest_logs_are_kept(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    logs.mkdir()
    for number in range(30):
        path = logs / f"trainer-{number}.log"
        path.write_text("old")
        os.utime(path, (number, number))
    with trainers(1, 1, logs):
        pass
    kept = {path.name for path in logs.iterdir()}
    assert len(kept) <= 21
    assert "trainer-29.log" in kept
    assert "trainer-0.log" not in kept


@pytest.fixture
def by_hand() -> Iterator[subprocess.Popen[bytes]]:
    """A trainer on its own pipes, driven by hand as its docstring says."""
    words = [sys.executable, "-m", "cnn_pipeline.trainers.trainer", "1"]
    pipe = subprocess.PIPE
    with subprocess.Popen(words, stdin=pipe, stdout=pipe, stderr=pipe) as process:
        yield process
        process.kill()


def test_a_trainer_also_ends_runs_whose_reply_was_not_read(
    home: Home, tmp_path: Path, by_hand: subprocess.Popen[bytes]
) -> None:
    sweep_run = begin(one_trial(), home, tmp_path)
    tracker = Tracker(Store(sweep_run.store_uri, sweep_run.artifacts_uri))
    (trial,) = sweep_run.decision.sweep.trials()
    run_id = trials.start_trial(tracker, sweep_run, trial, {})
    assert by_hand.stdin is not None and by_hand.stdout is not None
    by_hand.stdin.write(JOBS.write(trials.job_of(sweep_run, trial, run_id)))
    by_hand.stdin.flush()
    told = map(TRAINER_MESSAGES.read, by_hand.stdout)
    replies = (message for message in told if isinstance(message, Reply))
    assert next(replies).status == "FINISHED"
    assert set(statuses(home).values()) == {("RUNNING", "")}
    by_hand.stdin.close()
    assert by_hand.wait(DEADLINE) == 0
    assert statuses(home) == {
        "sweep": ("KILLED", "the sweep's process is gone"),
        trial.name: ("FINISHED", ""),  # it has its last record
    }


def test_a_trainer_exits_with_a_message_on_invalid_input(by_hand: subprocess.Popen[bytes]) -> None:
    _, errors = by_hand.communicate(b"no job\n", timeout=DEADLINE)
    assert by_hand.returncode == 1
    assert b"InvalidMessage: Invalid JSON" in errors


@pytest.fixture
def channel() -> Iterator[tuple[socket.socket, socket.socket]]:
    """The sweep's end of a fork server's socket, and the server's."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with ours, theirs:
        yield ours, theirs


@needs_fork_server
def test_a_failed_fork_fails_one_trainer_but_not_the_server(
    channel: tuple[socket.socket, socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_fork() -> int:
        raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")

    monkeypatch.setattr(os, "fork", no_fork)
    ours, theirs = channel
    for number in (0, 1):
        streams = [os.open(os.devnull, os.O_RDWR) for _ in range(3)]
        socket.send_fds(ours, [FORK_REQUESTS.write(Fork(number, threads=1))], streams)
        for stream in streams:
            os.close(stream)
    ours.shutdown(socket.SHUT_WR)
    fork_server.Server(theirs).serve()
    told = [FORK_MESSAGES.read(ours.recv(FORK_PACKET_BYTES)) for _ in range(2)]
    assert told == [Ended(0, status=1), Ended(1, status=1)]


@needs_fork_server
def test_a_sweep_that_was_killed_with_unread_packets_does_not_crash_the_server(
    channel: tuple[socket.socket, socket.socket],
) -> None:
    ours, theirs = channel
    theirs.send(b"not read")
    ours.send(FORK_REQUESTS.write(Kill(7)))
    ours.close()
    fork_server.Server(theirs).serve()


@pytest.fixture
def start(home: Home) -> Iterator[Callable[[Sweep], subprocess.Popen[bytes]]]:
    """Starts a sweep in a process group of its own, which is killed after the test."""
    started: list[subprocess.Popen[bytes]] = []

    def begin_process(sweep: Sweep) -> subprocess.Popen[bytes]:
        process = subprocess.Popen(
            [sys.executable, "-c", SWEEP, str(home.root), sweep.model_dump_json()],
            start_new_session=True,
            stderr=subprocess.PIPE,
        )
        started.append(process)
        return process

    yield begin_process
    for process in started:
        with suppress(ProcessLookupError):  # the group may outlive the sweep
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def epochs_logged(home: Home) -> bool:
    client = MlflowClient(home.database_uri)
    runs = client.search_runs([e.experiment_id for e in client.search_experiments()])
    return any("val_loss" in run.data.metrics for run in runs)


def trial_begun(home: Home) -> bool:
    return "f2-max-d16-s0" in statuses(home)


@pytest.mark.fault(fault="kill -9 of a command", promises="I3")
@pytest.mark.parametrize("when", [trial_begun, epochs_logged])
def test_a_killed_sweep_leaves_no_run_running_and_no_trainer(
    when: Callable[[Home], bool],
    home: Home,
    start: Callable[[Sweep], subprocess.Popen[bytes]],
) -> None:
    """Also if the trainer has a job but is still importing TensorFlow."""
    process = start(one_trial(ENDLESS))
    wait_until(lambda: when(home), when.__name__)
    family = below(process.pid, FORK_SERVER) | below(process.pid, SPAWNED)
    assert family
    os.kill(process.pid, signal.SIGKILL)
    process.wait(DEADLINE)
    # The server goes last: also a trainer that it had yet to fork is gone then.
    wait_until(lambda: gone(family), "the trainer ends itself, then its server")
    ending = ("KILLED", "the sweep's process is gone")
    assert statuses(home) == {"sweep": ending, "f2-max-d16-s0": ending}


def test_ctrl_c_ends_all_runs_and_begins_no_other(
    home: Home, start: Callable[[Sweep], subprocess.Popen[bytes]]
) -> None:
    sweep = one_trial(ENDLESS).model_copy(update={"seeds": (0, 1, 2)})
    process = start(sweep)
    wait_until(lambda: epochs_logged(home), "the first trial trains")
    trainer = trainers_below(process.pid)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=DEADLINE)
    assert process.returncode == -signal.SIGINT, errors.decode()
    assert gone(trainer)
    assert statuses(home) == {
        "sweep": ("KILLED", "Ctrl-C"),
        "f2-max-d16-s0": ("KILLED", "the sweep was stopped"),
    }
