"""Stops a process at a chosen function. Python imports this file at its start from PYTHONPATH.

PAUSE_AT is 'package.module Class.function'. The first process that calls it writes its id into the
file PAUSE_FILE, and waits until that file is gone. Later calls do not wait.
"""

import functools
import os
import sys
import time
from importlib.machinery import PathFinder
from pathlib import Path

AT = os.environ.get("PAUSE_AT", "")
MODULE, _, FUNCTION = AT.partition(" ")


class Finder:
    """Finds MODULE alone, as Python does, and has it wrapped once it was executed."""

    def find_spec(self, name, path, target=None):
        if name != MODULE:
            return None
        spec = PathFinder.find_spec(name, path, target)
        execute = spec.loader.exec_module

        def execute_and_wrap(module):
            execute(module)
            wrap(module)

        spec.loader.exec_module = execute_and_wrap
        return spec


def wrap(module):
    *owners, name = FUNCTION.split(".")
    owner = functools.reduce(getattr, owners, module)
    function = getattr(owner, name)

    @functools.wraps(function)
    def paused(*args, **kwargs):
        pause()
        return function(*args, **kwargs)

    setattr(owner, name, paused)


def pause():
    file = Path(os.environ["PAUSE_FILE"])
    try:
        with file.with_suffix(".once").open("x"):
            pass
    except FileExistsError:
        return
    part = file.with_suffix(".part")
    part.write_text(str(os.getpid()))
    part.rename(file)
    while file.exists():
        time.sleep(0.02)


if AT:
    sys.meta_path.insert(0, Finder())
