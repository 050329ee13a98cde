"""A process is told apart from every other, on this machine and on others."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from cnn_pipeline.base import identity
from cnn_pipeline.base.identity import described, is_alive, this_process

SAY = "from cnn_pipeline.base.identity import this_process; print(this_process(), flush=True)"


def changed(**fields: object) -> str:
    return json.dumps(json.loads(this_process()) | fields)


def test_this_process_is_alive() -> None:
    assert is_alive(this_process()) is True
    assert this_process() == this_process()
    assert described(this_process()) == f"{os.uname().nodename}, pid {os.getpid()}"


def test_another_process_is_alive_until_it_is_killed() -> None:
    code = f"{SAY}; import time; time.sleep(600)"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        text = other.stdout.readline()
        assert is_alive(text) is True
        other.kill()
        # Before it is collected, too: a zombie is gone.
        os.waitid(os.P_PID, other.pid, os.WEXITED | os.WNOWAIT)
        assert is_alive(text) is False
    assert is_alive(text) is False


def test_a_later_process_of_the_same_pid_is_not_taken_for_it() -> None:
    own = json.loads(this_process())
    assert is_alive(changed(started=own["started"] + "1")) is False


def test_no_process_lives_on_after_a_restart_of_its_machine() -> None:
    assert is_alive(changed(boot="an earlier one")) is False


@pytest.mark.parametrize("field", ["host", "machine", "pids"])
def test_nothing_is_said_of_another_host_or_container(field: str) -> None:
    assert is_alive(changed(**{field: "another"})) is None
    assert is_alive(changed(**{field: "another"}, pid=2**22 + 1)) is None


@pytest.mark.parametrize("text", ["", "vm", "[]", "{}", '{"pid": 1}', '{"pid": "x", "started": 1}'])
def test_nothing_is_said_of_a_text_that_is_not_ours(text: str) -> None:
    assert is_alive(text) is None
    assert described(text) == "another process"


def test_nothing_is_said_of_a_hidden_process(monkeypatch: pytest.MonkeyPatch) -> None:
    """With hidepid a process of another user looks as if there were none."""

    def refused(pid: int, number: int) -> None:
        raise PermissionError

    text = changed(pid=2**22 + 1)
    assert is_alive(text) is False
    monkeypatch.setattr("os.kill", refused)
    assert is_alive(text) is None


def test_the_machine_s_own_id_is_not_told() -> None:
    if identity._MACHINE_ID.exists():
        assert Path("/etc/machine-id").read_text().strip() not in this_process()
