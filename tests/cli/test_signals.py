"""Ctrl-C at any instruction, also inside a lock's own code."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

# What waits in threads does this all the time. Without the rule of `_Signals`, a run of this
# script raises RuntimeError (a lock that is not held is released) or leaves the lock held.
IN_LOCKS = """
import random, signal, threading, time
from concurrent.futures import Future, TimeoutError
from cnn_pipeline.cli.signals import raise_signals

raise_signals()
chance = random.Random(0)
for _ in range(60):
    future, stop = Future(), False
    main = threading.main_thread().ident
    seconds = chance.random() / 100
    threading.Thread(
        target=lambda: (time.sleep(seconds), signal.pthread_kill(main, signal.SIGINT))
    ).start()
    try:
        while True:
            try:
                future.result(timeout=0)
            except TimeoutError:
                pass
    except KeyboardInterrupt:
        pass
    assert future._condition.acquire(blocking=False), "the lock is still held"
    future._condition.release()
print("all locks are free", flush=True)
"""

WAITS_FOREVER = """
import signal, threading
from cnn_pipeline.cli import app, signals

signals._LONGEST_SECONDS = 0.5

def work(*words, **options):
    lock = threading.Lock()
    lock.acquire()
    while True:
        try:
            print("waits", flush=True)
            lock.acquire()
        except KeyboardInterrupt:  # as code does that takes a lock when it cleans up
            pass

app.app.main = work
app.main(["sweeps"])
"""

WHILE_A_STRING_IS_EXECUTED = """
import signal
from cnn_pipeline.cli import app

def work(*words, **options):
    try:
        exec("signal.raise_signal(signal.SIGINT)")
    except KeyboardInterrupt:
        return 0  # as `ui` ends

app.app.main = work
app.main(["ui"])
"""


def test_the_status_stays_what_it_is_wherever_ctrl_c_came(tmp_path: Path) -> None:
    Path(tmp_path, "command.py").write_text(WHILE_A_STRING_IS_EXECUTED)
    done = subprocess.run([sys.executable, "-m", "command"], cwd=tmp_path, timeout=60)
    assert done.returncode == 0


def test_locks_stay_whole() -> None:
    done = subprocess.run(
        [sys.executable, "-c", IN_LOCKS], capture_output=True, text=True, timeout=60
    )
    assert done.stderr == ""
    assert done.stdout == "all locks are free\n"


def test_a_second_ctrl_c_ends_a_command_that_waits_forever() -> None:
    waiting = subprocess.Popen(
        [sys.executable, "-c", WAITS_FOREVER],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert waiting.stdout is not None
    for _ in range(2):
        assert waiting.stdout.readline() == "waits\n"
        waiting.send_signal(signal.SIGINT)
    _, err = waiting.communicate(timeout=15)
    assert (waiting.returncode, err) == (130, "error: interrupted\n")
