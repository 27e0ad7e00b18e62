"""The operating guide, run from its first block to its last."""

from pathlib import Path

import pytest
from pages import blocks_of
from shell import Shell

PAGE = "docs/operating.md"
#: Output that shows that a terminal is ready, by a word of its block.
READY = {"mlflow server": "Application startup complete", "make worker": "started!"}


@pytest.mark.slow
def test_every_block_of_the_guide_that_can_run_here_does(shell: Shell, root: Path) -> None:
    printed: dict[str, str] = {}
    for block in blocks_of(root, PAGE):
        if block.how == "terminal":
            shell.open_terminal(block, ready=next(READY[word] for word in READY if word in block.text))
        elif block.how == "":
            printed[block.text] = shell.run(block)
    output = "\n".join(printed.values())
    assert "Flow run finished successfully in 'Completed'." in output
    assert output.count("finished") >= 2  # `cfmodel runs` lists the run
    assert "Nothing to remove" in output
    assert "Server stopped!" in output
    assert "Traceback" not in output
