"""Faults that tests try, as rows of the table in docs/reliability.md.

The fixture `recorded` and the mark `fault`. tests/conftest.py imports both.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest

PROMISES = {f"I{number}" for number in range(1, 9)}


@dataclass
class Row:
    """One fault that was tried."""

    test: str
    fault: str
    moment: str
    promises: str
    day: str
    seconds: float | None = None
    """From the fault until everything was in order again; None if nothing had to recover."""
    duration: float = 0.0
    result: str = "failed"

    def recovered(self, seconds: float) -> None:
        """Everything was in order again this long after the fault."""
        self.seconds = round(seconds, 1)

    def save(self, path: Path) -> None:
        """Append this row. One `write`, so that parallel tests do not mix their lines."""
        line = json.dumps(asdict(self), ensure_ascii=False) + "\n"
        file = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
        try:
            os.write(file, line.encode())
        finally:
            os.close(file)


Recorded = Callable[..., AbstractContextManager[Row]]
"""`with recorded(fault="kill -9", moment="step 3 of a download", promises="I4 I7") as row:`"""


@pytest.fixture
def recorded(request: pytest.FixtureRequest) -> Recorded:
    """Names the fault of a test, its moment, and the promises that the test checks.

    What the test does goes inside of `with`. `row.recovered(seconds)` says how long it took until
    all was in order again. With `--faults FILE` the row is appended to FILE as JSON.
    """

    def record(fault: str, moment: str, promises: str) -> AbstractContextManager[Row]:
        return recording(request.node, fault, moment, promises)

    return record


@contextmanager
def recording(item: pytest.Item, fault: str, moment: str, promises: str) -> Iterator[Row]:
    """What `recorded` does, for the test `item`."""
    wrong = set(promises.split()) - PROMISES
    assert promises and not wrong, f"no promises: {promises!r}; see docs/reliability.md"
    row = Row(item.nodeid, fault, moment, promises, datetime.now(UTC).date().isoformat())
    begin = time.monotonic()
    try:
        yield row
        row.result = "passed"
    except pytest.skip.Exception:
        row.result = ""
        raise
    finally:
        row.duration = round(time.monotonic() - begin, 1)
        path = item.config.getoption("--faults")
        if path is not None and row.result:
            row.save(path)


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Iterator[None]:
    """Record a test that is marked as a fault: `recorded` for a whole test.

    The id of its parameters is the moment, unless the mark gives one.
    """
    mark = pyfuncitem.get_closest_marker("fault")
    if mark is None or not mark.kwargs:
        return (yield)
    callspec = getattr(pyfuncitem, "callspec", None)
    given = {"moment": callspec.id.replace("_", " ") if callspec else "", **mark.kwargs}
    with recording(pyfuncitem, **given):
        return (yield)
