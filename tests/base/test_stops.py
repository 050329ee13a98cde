"""Ctrl-C stays Ctrl-C, whatever the interrupted library makes of it."""

from __future__ import annotations

import signal
import weakref
from collections.abc import Iterator

import pytest

from cnn_pipeline.base.errors import causes
from cnn_pipeline.base.stops import forget_stop, keeping_stop, let_go, raise_stop


@pytest.fixture
def ctrl_c() -> Iterator[None]:
    """Ctrl-C is raised as the commands raise it."""
    usual = signal.signal(signal.SIGINT, lambda *_: raise_stop(KeyboardInterrupt()))
    yield
    signal.signal(signal.SIGINT, usual)
    forget_stop()


def without_cause() -> None:
    """Be interrupted, and fail with an error of its own, as pydantic's Rust code does."""
    try:
        signal.raise_signal(signal.SIGINT)
    except KeyboardInterrupt:
        failed = RuntimeError("Error calling function")
    raise failed


@pytest.mark.usefixtures("ctrl_c")
def test_an_error_without_cause_is_the_interrupt() -> None:
    with pytest.raises(RuntimeError):
        without_cause()
    with pytest.raises(KeyboardInterrupt), keeping_stop():
        without_cause()


@pytest.mark.usefixtures("ctrl_c")
def test_after_an_interrupt_was_handled_an_error_is_an_error() -> None:
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    forget_stop()
    with pytest.raises(ValueError, match="of its own"), keeping_stop():
        raise ValueError("of its own")


def test_what_stopped_a_block_is_kept() -> None:
    def unlock() -> None:
        try:
            raise KeyboardInterrupt
        finally:
            raise RuntimeError("cannot release un-acquired lock")

    with pytest.raises(KeyboardInterrupt) as raised, keeping_stop():
        unlock()
    assert [type(one) for one in causes(raised.value)] == [KeyboardInterrupt, RuntimeError]


def test_other_errors_stay_as_they_are() -> None:
    def fail() -> None:
        try:
            raise ValueError("inner")
        finally:
            raise RuntimeError("outer")

    with pytest.raises(RuntimeError) as raised, keeping_stop():
        fail()
    assert [str(one) for one in causes(raised.value)] == ["outer", "inner"]


def test_letting_go_reaches_what_an_error_hides() -> None:
    class Held:
        """A transaction, say, that ends with its frame."""

    held: list[weakref.ref[Held]] = []

    def inner() -> None:
        local = Held()
        held.append(weakref.ref(local))
        raise KeyboardInterrupt

    def outer() -> None:
        try:
            inner()
        finally:
            raise RuntimeError

    try:
        outer()
    except RuntimeError as error:
        let_go(error)
        assert held[0]() is None
