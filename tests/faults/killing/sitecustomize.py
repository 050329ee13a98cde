"""Kills a trainer at a chosen step of saving. Python imports this at its start from PYTHONPATH.

KILL_FILE is a file with 'STEP TIME': a process that reads this kills itself when it reaches the
step of saving for this time, from 1. It does not while the file is empty.
"""

import collections
import os
import signal
from pathlib import Path

from cnn_pipeline.network import checkpoint

FILE = Path(os.environ["KILL_FILE"])
times = collections.Counter()


def kill_if_chosen(step):
    chosen = FILE.read_text()
    times[chosen, step] += 1
    if chosen == f"{step} {times[chosen, step]}":
        os.kill(os.getpid(), signal.SIGKILL)


checkpoint.reached = kill_if_chosen
