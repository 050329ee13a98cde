"""Retrain again and again while things break; then check the promises.

    python -m tests.faults.soak --minutes 60

Each round is `cnn-pipeline retrain --force` on other candidates, in processes of its own. Most
rounds have one fault at a random moment. Nothing is repaired by hand between the rounds. At the
end one retraining without a fault must pass, and the promises are checked (`promises.py`).
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import signal
import subprocess
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

from cnn_pipeline.base.home import Home
from tests.faults.commands import TINY_RUN, Command, command, run_again
from tests.faults.promises import all_runs, assert_one_champion, unfinished
from tests.faults.servers import kill, temporary_prefect
from tests.faults.test_servers_away import locked
from tests.running import trainers_below

SOURCE = "fashion-mnist-sample"
MODEL = f"{SOURCE}-cnn"
ROUND = 60  # seconds from the start of one retraining to the next
LONGEST = 20  # seconds until the fault; a retraining takes about as long
STATUSES = {0, 1, 129, 130, 137, 143, -signal.SIGKILL}


def _retrain(filters: int) -> tuple[str, ...]:
    words = list(TINY_RUN[1:])
    words[words.index("--filters") + 1] = f"{filters},{filters + 1}"
    return ("retrain", "--force", *words)


def _hang_up(running: Command, home: Home) -> None:
    running.process.send_signal(signal.SIGHUP)


def _terminate(running: Command, home: Home) -> None:
    running.process.send_signal(signal.SIGTERM)


def _interrupt(running: Command, home: Home) -> None:
    running.interrupt()


def _lose_power(running: Command, home: Home) -> None:
    running.kill_all()


def _kill_command(running: Command, home: Home) -> None:
    running.process.kill()


def _kill_trainers(running: Command, home: Home) -> None:
    for pid in trainers_below(running.process.pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def _kill_prefect(running: Command, home: Home) -> None:
    with contextlib.suppress(ProcessLookupError):
        kill(temporary_prefect(running.process.pid))


def _lock_store(running: Command, home: Home) -> None:
    if home.database.exists():
        with locked(home.database):
            time.sleep(10)


def _retrain_too(running: Command, home: Home) -> None:
    run_again(home, *_retrain(2))


FAULTS: tuple[Callable[[Command, Home], None], ...] = (
    _hang_up,
    _terminate,
    _interrupt,
    _lose_power,
    _kill_command,
    _kill_trainers,
    _kill_prefect,
    _lock_store,
    _retrain_too,
)


def soak(home: Home, minutes: float, seed: int = 0, pause: float = ROUND) -> str:
    """Retrain for some minutes, then check the promises.

    Args:
        home: an empty folder.
        minutes: no round begins after this time.
        seed: of the candidates, the faults and their moments.
        pause: seconds from the start of one round to that of the next, unless it takes longer.

    Returns:
        What happened, in one sentence.
    """
    choose = random.Random(seed)
    end = time.monotonic() + 60 * minutes
    ended: Counter[int] = Counter()
    tried: Counter[str] = Counter()
    rest = list(FAULTS)
    while (begin := time.monotonic()) < end:
        if not rest:
            rest = list(FAULTS)
        fault = rest.pop(choose.randrange(len(rest))) if choose.random() < 0.8 else None
        with command(home, *_retrain(choose.randint(2, 6))) as running:
            if fault is not None:
                with contextlib.suppress(subprocess.TimeoutExpired):
                    running.process.wait(choose.uniform(0, LONGEST))
            if fault is not None and running.process.poll() is None:
                fault(running, home)
                tried[fault.__name__.strip("_").replace("_", " ")] += 1
            status = running.wait(300)
            assert status in STATUSES, f"exit status {status}:\n{running.said()}"
            assert "Traceback" not in running.said(), running.said()
            ended[status] += 1
        time.sleep(max(0, min(begin + pause, end) - time.monotonic()))
    status, said = run_again(home, *_retrain(2), seconds=300)
    assert status == 0, said
    assert unfinished(all_runs(home)) == []
    assert not (home.root / "no-cache").exists()
    champion = assert_one_champion(home, MODEL, SOURCE)
    status, said = run_again(home, "doctor", seconds=300)
    assert status == 0, said
    faults = ", ".join(f"{number} x {name}" for name, number in sorted(tried.items()))
    statuses = ", ".join(f"{status}: {number}" for status, number in sorted(ended.items()))
    return (
        f"{ended.total()} retrainings with {tried.total()} faults ({faults}) ended with the exit "
        f"statuses {statuses}; {len(all_runs(home))} runs, none RUNNING; champion: {champion.shown}"
    )


def main() -> None:
    """Soak for as long as asked, in a folder that is removed afterwards."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        print(soak(Home(Path(folder, "home")), options.minutes, options.seed))


if __name__ == "__main__":
    main()
