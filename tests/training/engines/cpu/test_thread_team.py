"""A team of threads: each chunk is done once, and a phase begins after the end of the one before."""

from typing import Any

import numpy as np
import pytest

from cfmodel.system.compiled import compiled
from cfmodel.training.engines.cpu.thread_team import Phases, ThreadTeam, end, is_last, take, wait


@compiled()
def count_chunks(phases: Phases, thread: int, done: Any, before: Any) -> None:
    for phase in range(done.shape[0]):
        for turn in range(done.shape[1]):
            chunk = (thread + turn) % done.shape[1]
            if take(phases, phase, chunk):
                before[phase, chunk] = done[:phase].sum()
                done[phase, chunk] += 1
                if is_last(phases, phase, done.shape[1]):
                    end(phases)
        wait(phases, phase)


@pytest.mark.parametrize("threads", [1, 2, 5])
def test_every_chunk_is_done_once_after_all_chunks_of_earlier_phases(threads: int) -> None:
    team = ThreadTeam(threads)
    for _ in range(20):
        done, before = np.zeros((4, 6), np.int64), np.zeros((4, 6), np.int64)
        team.run(count_chunks, 4, 6, done, before)
        assert (done == 1).all()
        assert before.tolist() == [[6 * phase] * 6 for phase in range(4)]
    team.close()
