"""Who a process is: told apart from every other, even after a restart of the machine."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import json
import os
import platform
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

_BOOT_ID = Path("/proc/sys/kernel/random/boot_id")
_MACHINE_ID = Path("/etc/machine-id")
_PID_SPACE = Path("/proc/self/ns/pid")


@dataclass(frozen=True)
class ProcessId:
    """A process of this machine, distinguished from later processes with the same PID."""

    pid: int
    started: str
    """Its start: the boot's id and the seconds since boot, or on macOS the time."""

    @property
    def alive(self) -> bool:
        """Whether this process still runs; a zombie does not."""
        return identify(self.pid) == self


@dataclass(frozen=True)
class Where:
    """The machine and, in a container, the set of PIDs that a process sees."""

    host: str
    machine: str
    """Told apart from another host of the same name; empty where the system has no such id."""
    boot: str
    """Empty on macOS."""
    pids: str
    """The PID namespace. Containers of one machine may share a name, never this."""


def identify(pid: int) -> ProcessId | None:
    """The process with this PID; None if there is none or it is a zombie."""
    with contextlib.suppress(psutil.NoSuchProcess):
        process = psutil.Process(pid)
        if process.status() != psutil.STATUS_ZOMBIE:
            return ProcessId(pid, _started(process))
    return None


def this_process() -> str:
    """Host, boot, PID and start of this process as one text, for `is_alive`."""
    own = identify(os.getpid())
    assert own is not None
    return json.dumps(asdict(_here()) | asdict(own))


def is_alive(text: str) -> bool | None:
    """Whether the process that `this_process` described runs; None if that cannot be known here.

    It cannot of a process of another host, of another container, or of a user whose processes are
    hidden, nor of a text that `this_process` did not write.
    """
    try:
        fields = json.loads(text)
        process = ProcessId(int(fields.pop("pid")), str(fields.pop("started")))
        where = Where(**fields)
    except (ValueError, TypeError, KeyError, AttributeError):
        return None
    here = _here()
    if (where.host, where.machine) != (here.host, here.machine):
        return None
    if where.boot != here.boot:
        return False
    if where.pids != here.pids:
        return None
    found = identify(process.pid)
    return None if found is None and _hidden(process.pid) else found == process


def described(text: str) -> str:
    """'vm, pid 123', from what `this_process` wrote; 'another process' if it is not readable."""
    try:
        fields = json.loads(text)
        return f"{fields['host']}, pid {fields['pid']}"
    except (ValueError, TypeError, KeyError):
        return "another process"


def _hidden(pid: int) -> bool:
    """Whether a PID that was not found is another user's (/proc may be mounted with hidepid)."""
    try:
        os.kill(pid, 0)
    except PermissionError:
        return True
    except (ProcessLookupError, OverflowError):
        pass
    return False


@functools.cache
def _here() -> Where:
    machine = _line(_MACHINE_ID)
    space = ""
    with contextlib.suppress(OSError):
        space = os.readlink(_PID_SPACE)
    return Where(
        host=platform.node(),
        # Hashed: systemd asks to keep the id itself private.
        machine=machine and hashlib.sha256(f"cnn-pipeline {machine}".encode()).hexdigest()[:12],
        boot=_line(_BOOT_ID),
        pids=space,
    )


def _line(file: Path) -> str:
    """The text of a file of the system; empty if there is none."""
    with contextlib.suppress(OSError):
        return file.read_text(encoding="ascii", errors="replace").strip()
    return ""


def _started(process: psutil.Process) -> str:
    """Start of a process as text: the same in every process, even if the clock was changed."""
    boot = _line(_BOOT_ID)
    if not boot:  # macOS
        return f"{process.create_time():.2f}"
    # Linux counts from boot; psutil adds the boot's time, which changes with the clock.
    return f"{boot} {process.create_time() - psutil.boot_time():.2f}"
