"""Signals are deferred to the end of the block; then their handlers run."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from cfmodel.training.resuming.interrupts import defer_signals

SLEEPER = """
import time
from cfmodel.training.resuming.interrupts import defer_signals
with defer_signals() as should_stop:
    print("ready", flush=True)
    while not should_stop():
        time.sleep(0.01)
    print("stopped by itself", flush=True)
print("never printed")
"""


class Terminated(BaseException):
    pass


@pytest.fixture(autouse=True)
def _signals_raise() -> Iterator[None]:
    """SIGTERM raises at once, as under Prefect; so does Ctrl+C, which a background job would ignore."""

    def raise_terminated(number: int, frame: object) -> None:
        raise Terminated

    handlers = {signal.SIGTERM: raise_terminated, signal.SIGINT: signal.default_int_handler}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def send(*numbers: signal.Signals, then: BaseException | None = None) -> Iterator[bool]:
    """Send signals inside the block; yield after each whether the block should stop."""
    with defer_signals() as should_stop:
        for number in numbers:
            os.kill(os.getpid(), number)
            yield should_stop()
        if then is not None:
            raise then


@pytest.mark.parametrize(("number", "raised"), [(signal.SIGTERM, Terminated), (signal.SIGINT, KeyboardInterrupt)])
def test_a_signal_is_reported_and_raises_only_at_the_end_of_the_block(
    number: signal.Signals, raised: type[BaseException]
) -> None:
    block = send(number)
    assert next(block)
    with pytest.raises(raised):
        next(block)


def test_a_second_signal_is_not_deferred() -> None:
    block = send(signal.SIGTERM, signal.SIGINT)
    assert next(block)
    with pytest.raises(KeyboardInterrupt):
        next(block)


def test_without_a_signal_the_block_need_not_stop() -> None:
    with defer_signals() as should_stop:
        assert not should_stop()


def test_the_handlers_are_restored() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    with defer_signals():
        pass
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before


def test_an_error_in_the_block_is_the_context_of_the_signals_exception() -> None:
    block = send(signal.SIGTERM, then=ValueError("first"))
    assert next(block)
    with pytest.raises(Terminated) as raised:
        next(block)
    assert isinstance(raised.value.__context__, ValueError)


def test_a_signal_that_is_ignored_stays_ignored() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        block = send(signal.SIGINT)
        assert not next(block)
        assert next(block, "left") == "left"
    finally:
        signal.signal(signal.SIGINT, before)


def test_in_another_thread_nothing_changes() -> None:
    answers: list[bool] = []

    def ask() -> None:
        with defer_signals() as should_stop:
            answers.append(should_stop())

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    assert answers == [False]


def test_a_process_without_a_handler_stops_cleanly_and_then_dies_of_the_signal() -> None:
    command = [sys.executable, "-c", SLEEPER]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.terminate()
        assert process.stdout.read() == "stopped by itself\n"
    assert process.returncode == -signal.SIGTERM
