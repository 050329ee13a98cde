"""Threads of a sweep follow the number of trainers."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace
from typing import Any

import pytest

from cnn_pipeline.trainers import protocol
from cnn_pipeline.trainers.protocol import Gate
from tests.running import wait_until


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "_POLL_SECONDS", 0.01)


@pytest.mark.parametrize("trainers", [0, 1, 2])
def test_jobs_begin_as_trainers_come(trainers: int) -> None:
    pool: Any = SimpleNamespace(now=trainers, stopped="")
    gate, going = Gate(pool), threading.Event()
    begun: list[int] = []

    def job(number: int) -> None:
        begun.append(number)
        going.wait()

    with ThreadPoolExecutor(4, initializer=gate.enter) as executor:
        for number in range(6):
            executor.submit(job, number)
        wait_until(lambda: len(begun) == max(1, trainers), "the first jobs")
        pool.now = 3
        wait_until(lambda: len(begun) == 3, "the third job")
        assert begun == [0, 1, 2]
        going.set()  # the fourth thread never starts
        wait_until(lambda: len(begun) == 6, "all jobs")
        gate.open()


def test_all_enter_once_the_pool_is_closed() -> None:
    pool: Any = SimpleNamespace(now=0, stopped="")
    gate = Gate(pool)
    with ThreadPoolExecutor(3, initializer=gate.enter) as executor:
        barrier = threading.Barrier(3)
        jobs = [executor.submit(barrier.wait) for _ in range(3)]
        pool.stopped = "Ctrl-C"
        assert sorted(job.result() for job in jobs) == [0, 1, 2]
