"""Signals wait for the end of the block, and then do what they always do."""

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator

import pytest

from cfmodel.training.resuming.interrupts import heard_between_steps

SLEEPER = """
import time
from cfmodel.training.resuming.interrupts import heard_between_steps
with heard_between_steps() as should_stop:
    print("ready", flush=True)
    while not should_stop():
        time.sleep(0.01)
    print("stopped by itself", flush=True)
print("never said")
"""


class Terminated(BaseException):
    pass


@pytest.fixture(autouse=True)
def _signals_raise() -> Iterator[None]:
    """SIGTERM raises wherever the program is, as under Prefect; so does Ctrl+C, which a background job would ignore."""

    def raise_terminated(number: int, frame: object) -> None:
        raise Terminated

    handlers = {signal.SIGTERM: raise_terminated, signal.SIGINT: signal.default_int_handler}
    before = {number: signal.signal(number, handler) for number, handler in handlers.items()}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


def send(*numbers: signal.Signals, then: BaseException | None = None) -> Iterator[bool]:
    """Be sent signals inside the block; yield after each whether the block is told to stop."""
    with heard_between_steps() as should_stop:
        for number in numbers:
            os.kill(os.getpid(), number)
            yield should_stop()
        if then is not None:
            raise then


@pytest.mark.parametrize(("number", "raised"), [(signal.SIGTERM, Terminated), (signal.SIGINT, KeyboardInterrupt)])
def test_a_signal_is_heard_and_raises_only_once_the_block_is_left(
    number: signal.Signals, raised: type[BaseException]
) -> None:
    block = send(number)
    assert next(block)
    with pytest.raises(raised):
        next(block)


def test_a_second_signal_does_not_wait() -> None:
    block = send(signal.SIGTERM, signal.SIGINT)
    assert next(block)
    with pytest.raises(KeyboardInterrupt):
        next(block)


def test_without_a_signal_nothing_is_told_to_stop() -> None:
    with heard_between_steps() as should_stop:
        assert not should_stop()


def test_afterwards_signals_are_what_they_were() -> None:
    before = [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)]
    with heard_between_steps():
        pass
    assert [signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)] == before


def test_an_error_of_the_block_is_not_lost_to_a_signal() -> None:
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


def test_in_another_thread_nothing_is_changed() -> None:
    heard: list[bool] = []

    def ask() -> None:
        with heard_between_steps() as should_stop:
            heard.append(should_stop())

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    assert heard == [False]


def test_a_process_without_a_handler_dies_of_the_signal_after_it_has_stopped_by_itself() -> None:
    command = [sys.executable, "-c", SLEEPER]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        process.terminate()
        assert process.stdout.read() == "stopped by itself\n"
    assert process.returncode == -signal.SIGTERM
