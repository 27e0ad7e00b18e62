"""The load benchmark: its memory limit works, and it reports the memory and time that a process used."""

import subprocess
import sys
import time
from collections.abc import Iterator
from threading import Thread

import pytest
from load import MemoryGroup, Watch

MEGABYTE = 2**20
#: Takes so many megabytes, waits for a line, then says what a run says at the end of a step.
HUNGRY = """
import sys
taken = b"x" * (int(sys.argv[1]) << 20)
sys.stdin.readline()
print("ingest      that much  (0.5 s)")
"""


@pytest.fixture
def group() -> Iterator[MemoryGroup]:
    """Return a control group of 100 megabytes, where control groups are allowed."""
    try:
        with MemoryGroup.limited_to(100 * MEGABYTE) as made:
            yield made
    except SystemExit as refusal:
        pytest.skip(str(refusal))


def hungry(group: MemoryGroup, megabytes: int) -> "subprocess.Popen[str]":
    command = [sys.executable, "-u", "-c", HUNGRY, str(megabytes)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, preexec_fn=group.enter)


def test_the_memory_and_time_of_a_step_are_measured(group: MemoryGroup) -> None:
    with hungry(group, 60) as process:
        watch = Watch(group, process)

        def let_go_on_once_seen() -> None:
            while min(watch.peaks[""][whose] for whose in ("group", "run")) < 60 * MEGABYTE:
                time.sleep(0.01)
            assert process.stdin is not None
            print(file=process.stdin, flush=True)

        Thread(target=let_go_on_once_seen, daemon=True).start()
        assert watch.follow() == 0
    assert watch.seconds == {"ingest": 0.5}
    for whose in ("group", "run"):
        assert 60 * MEGABYTE < watch.peaks["ingest"][whose] < 100 * MEGABYTE
    assert watch.peaks["ingest"]["server"] == 0
    assert group.killed() == 0


def test_a_process_beyond_the_limit_is_killed(group: MemoryGroup) -> None:
    with hungry(group, 200) as process:
        assert Watch(group, process).follow() == -9
    assert group.killed() == 1
