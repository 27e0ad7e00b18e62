"""The journal of a run: what it keeps, what it drops, and what is left after a kill."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cfmodel.errors import DigestError, TrackingError
from cfmodel.tracking.outbox.entries import Became, Entry, File, Param, Point, Start, Tag
from cfmodel.tracking.outbox.journal import JOURNAL, Journal

WRITE = """
import os, signal, sys
from pathlib import Path
from cfmodel.tracking.outbox.entries import Point
from cfmodel.tracking.outbox.journal import Journal
journal = Journal(Path(sys.argv[1]))
for step in range(int(sys.argv[2])):
    journal.append([Point(sys.argv[3], float(step), step, step)])
print("written", flush=True)
if sys.argv[4] == "die":
    os.kill(os.getpid(), signal.SIGKILL)
"""


def points(*steps: int, key: str = "val/rmse", value: float = 0.5) -> list[Entry]:
    return [Point(key, value, step, 1_000 + step) for step in steps]


def write(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", WRITE, str(folder), *arguments], stdout=subprocess.PIPE, text=True)


def test_a_new_process_reads_what_a_killed_one_wrote(tmp_path: Path) -> None:
    process = write(tmp_path, "50", "val/rmse", "die")
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    journal = Journal(tmp_path)
    assert [point.step for point in journal.history("val/rmse")] == list(range(50))
    assert journal.has("val/rmse", 49)
    assert not journal.has("val/rmse", 50)


def test_a_repeated_point_is_dropped_whatever_its_value_and_time(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    assert journal.append(points(1, 2)) == 2
    assert Journal(tmp_path).append([Point("val/rmse", 9.0, 2, 5), *points(3, 3)]) == 1
    assert [(point.step, point.value) for point in Journal(tmp_path).history("val/rmse")] == [
        (1, 0.5),
        (2, 0.5),
        (3, 0.5),
    ]


def test_entries_that_change_nothing_are_dropped_and_the_others_keep_their_order(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    entries: list[Entry] = [
        Start("cfmodel", None, {"device": "cpu"}, 1),
        Param("a", "1"),
        Tag("t", "1"),
        File("report.html", "s1", "f1"),
        Became("KILLED", 5),
    ]
    assert journal.append(entries) == 5
    assert journal.append(entries) == 0
    changed = [Tag("t", "2"), File("report.html", "s2", "f2"), Became("RUNNING", 6), Became("KILLED", 7)]
    assert journal.append(changed) == 4
    assert [entry for entry, _ in journal.since(0)] == [*entries, *changed]
    assert (journal.tags, journal.params, journal.status) == ({"device": "cpu", "t": "2"}, {"a": "1"}, "KILLED")


def test_a_changed_parameter_is_refused_with_all_entries_appended_with_it(tmp_path: Path) -> None:
    journal = Journal(tmp_path)
    journal.append([Param("train.epochs", "5")])
    with pytest.raises(TrackingError, match=r"train\.epochs of this run is '5' and cannot become '6'"):
        journal.append([*points(1), Param("train.epochs", "6")])
    assert not journal.has("val/rmse", 1)


@given(cut=st.integers(min_value=1, max_value=400))
def test_a_last_line_cut_off_anywhere_is_dropped_and_the_lines_before_it_stay(
    cut: int, tmp_path_factory: pytest.TempPathFactory
) -> None:
    folder = tmp_path_factory.mktemp("cut")
    Journal(folder).append(points(*range(6)))
    file = folder / JOURNAL
    whole = file.read_bytes()
    file.write_bytes(whole[:-cut])
    left = whole[:-cut].count(b"\n")
    journal = Journal(folder)
    assert [point.step for point in journal.history("val/rmse")] == list(range(left))
    journal.append(points(*range(6)))
    assert file.read_bytes() == whole


def test_damage_in_the_middle_is_refused_with_its_position(tmp_path: Path) -> None:
    Journal(tmp_path).append(points(1, 2, 3))
    file = tmp_path / JOURNAL
    file.write_bytes(file.read_bytes().replace(b"0.5", b"0.6", 1))
    with pytest.raises(DigestError, match=r"journal\.jsonl: damaged at byte 0"):
        Journal(tmp_path)


def test_two_processes_write_one_journal_and_every_line_of_both_is_whole(tmp_path: Path) -> None:
    processes = [write(tmp_path, "200", f"m{number}", "live") for number in range(2)]
    here = Journal(tmp_path)
    for process in processes:
        process.communicate()
        assert process.returncode == 0
    here.append(points(1))
    for journal in (here, Journal(tmp_path)):
        assert [len(journal.history(key)) for key in ("m0", "m1", "val/rmse")] == [200, 200, 1]


def test_a_full_disk_takes_nothing_rather_than_half(tmp_path: Path) -> None:
    code = f"""
import resource, signal
from pathlib import Path
from cfmodel.tracking.outbox.entries import Point
from cfmodel.tracking.outbox.journal import Journal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
journal = Journal(Path({str(tmp_path)!r}))
journal.append([Point("val/rmse", 0.5, 1, 1)])
resource.setrlimit(resource.RLIMIT_FSIZE, (1000, 1000))
try:
    journal.append([Point("val/rmse", 0.5, step, 1) for step in range(1, 100)])
except OSError as error:
    assert [point.step for point in journal.history("val/rmse")] == [1]
    print("refused", error.errno)
journal.append([Point("val/rmse", 0.5, 2, 1)])
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "refused 27\n"), done.stderr
    assert [point.step for point in Journal(tmp_path).history("val/rmse")] == [1, 2]


def test_a_lock_of_a_dead_process_blocks_nobody(tmp_path: Path) -> None:
    process = write(tmp_path, "1", "a", "die")
    process.communicate()
    assert os.path.lexists(tmp_path / "journal.lock")
    assert Journal(tmp_path).append(points(1)) == 1
