from pathlib import Path

import click
from click.testing import CliRunner

from gateway.cli.log_options import directory_option, index_option


@click.command()
@directory_option
@index_option
def command(directory: Path, index: Path | None) -> None:
    click.echo(f"{directory} {index}")


def test_folder_and_index(tmp_path: Path) -> None:
    run = CliRunner().invoke
    assert run(command, ["--directory", str(tmp_path), "--index", "there"]).output == f"{tmp_path} there\n"
    assert run(command, ["--directory", str(tmp_path)]).output == f"{tmp_path} None\n"
    assert "does not exist" in run(command, ["--directory", str(tmp_path / "none")]).output
    assert "var/audit" in run(command, ["--help"]).output
