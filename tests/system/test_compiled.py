"""Where compiled code is cached, and what it depends on."""

import os
import tempfile
from pathlib import Path

import pytest

import cfmodel
from cfmodel.system.compiled import _cache_folder, _compiled_sources, compiled


def test_a_compiled_function_computes_what_the_plain_one_does() -> None:
    def add(a: int, b: int) -> int:
        return a + b

    assert compiled()(add)(2, 3) == add(2, 3)


def test_the_cache_depends_on_files_with_compiled_functions_and_on_what_they_import() -> None:
    package = Path(cfmodel.__file__).parent
    sources = {path.relative_to(package).as_posix() for path in _compiled_sources(package)}
    assert "training/engines/cpu/kernels.py" in sources
    assert "training/engines/cpu/intrinsics.py" in sources
    assert "cli.py" not in sources


def test_a_cache_that_cannot_be_written_is_replaced_by_a_temporary_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("NUMBA_CACHE_DIR", str(tmp_path / "file"))
    folder = _cache_folder.__wrapped__()
    assert folder.parent == Path(tempfile.gettempdir(), f"cfmodel-compiled-{os.getuid()}")
