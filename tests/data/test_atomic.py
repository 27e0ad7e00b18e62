import os
import subprocess
import sys

import pytest

from cfmodel.system import atomic


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
    atomic.sweep(tmp_path)
    assert names(tmp_path) == [f".tmp-{os.getpid()}-0-final"]
