import os
import resource
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from cfmodel.errors import DiskFullError
from cfmodel.system import atomic

WRITE = """
import os, signal, sys
from pathlib import Path
from cfmodel.system import atomic
with atomic.file(Path(sys.argv[1])) as temporary:
    temporary.write_text("half")
    os.kill(os.getpid(), signal.SIGKILL)
"""


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_folder_appears_whole(tmp_path):
    with atomic.folder(tmp_path / "a" / "final") as temporary:
        (temporary / "file").write_text("x")
        assert not (tmp_path / "a" / "final").exists()
    assert (tmp_path / "a" / "final" / "file").read_text() == "x"
    assert names(tmp_path / "a") == ["final"]


def test_an_error_leaves_nothing_behind(tmp_path):
    with pytest.raises(RuntimeError), atomic.folder(tmp_path / "final"):
        raise RuntimeError
    assert names(tmp_path) == []


@pytest.mark.parametrize(("replace", "content"), [(True, "new"), (False, "old")])
def test_an_existing_folder_gives_way_only_when_told(tmp_path, replace, content):
    for text in ("old", "new"):
        with atomic.folder(tmp_path / "final", replace=replace) as temporary:
            (temporary / "file").write_text(text)
    assert (tmp_path / "final" / "file").read_text() == content
    assert names(tmp_path) == ["final"]


def test_leftovers_of_dead_processes_are_swept_and_those_of_the_living_kept(tmp_path):
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    for process in (dead.pid, os.getpid()):
        (tmp_path / f".tmp-{process}-0-final").mkdir()
        (tmp_path / f".tmp-{process}-1-final").touch()
    atomic.sweep(tmp_path)
    assert names(tmp_path) == [f".tmp-{os.getpid()}-0-final", f".tmp-{os.getpid()}-1-final"]


def test_a_file_appears_whole_and_replaces_the_one_before(tmp_path):
    for text in ("old", "new"):
        with atomic.file(tmp_path / "a" / "final") as temporary:
            assert not temporary.exists()
            assert temporary.parent == tmp_path / "a"
            temporary.write_text(text)
    assert (tmp_path / "a" / "final").read_text() == "new"
    assert names(tmp_path / "a") == ["final"]


def test_a_file_keeps_the_permissions_it_was_written_with(tmp_path):
    with atomic.file(tmp_path / "final") as temporary:
        temporary.touch(mode=0o600)
    assert (tmp_path / "final").stat().st_mode & 0o777 == 0o600


def test_an_error_keeps_the_file_before_and_leaves_nothing_beside_it(tmp_path):
    def write_half() -> None:
        with atomic.file(tmp_path / "final") as temporary:
            temporary.write_text("half")
            raise RuntimeError

    (tmp_path / "final").write_text("old")
    with pytest.raises(RuntimeError):
        write_half()
    assert (tmp_path / "final").read_text() == "old"
    assert names(tmp_path) == ["final"]


def test_a_process_killed_while_it_writes_a_file_keeps_the_one_before(tmp_path):
    (tmp_path / "final").write_text("old")
    killed = subprocess.run([sys.executable, "-c", WRITE, str(tmp_path / "final")], check=False)
    assert killed.returncode == -signal.SIGKILL
    assert (tmp_path / "final").read_text() == "old"
    assert len(names(tmp_path)) == 2
    with atomic.file(tmp_path / "final") as temporary:
        temporary.write_text("new")
    assert names(tmp_path) == ["final"]


def test_two_files_written_at_once_do_not_disturb_each_other(tmp_path):
    with atomic.file(tmp_path / "final") as one, atomic.file(tmp_path / "final") as other:
        one.write_text("one")
        other.write_text("other")
    assert (tmp_path / "final").read_text() == "one"
    assert names(tmp_path) == ["final"]


def test_a_file_that_does_not_fit_is_refused_and_the_one_before_stays(tmp_path: Path) -> None:
    def write_large() -> None:
        with atomic.file(tmp_path / "final") as temporary:
            temporary.write_bytes(b"x" * 5_000)

    (tmp_path / "final").write_text("old")
    limits, handler = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000, limits[1]))
    try:
        with pytest.raises(DiskFullError, match="final: File too large; nothing of it is kept"):
            write_large()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert (tmp_path / "final").read_text() == "old"
    assert names(tmp_path) == ["final"]
