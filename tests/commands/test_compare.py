"""What `cfmodel compare` refuses."""

from click.testing import CliRunner

from cfmodel.cli import main


def test_one_run_alone_is_refused_in_one_line(mlflow_store: str) -> None:
    refused = CliRunner().invoke(main, ["compare", "one", "--set", f"tracking.uri={mlflow_store}"])
    assert refused.exit_code == 1
    assert refused.output.startswith("Error: ")
    assert len(refused.output.splitlines()) == 1
