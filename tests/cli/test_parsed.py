"""Text of options that a reader of the policy's own refuses."""

from ipaddress import ip_address

import click
import pytest
from click.testing import CliRunner

from gateway.cli.parsed import Parsed
from gateway.policy.values import duration


@click.command()
@click.option("--for", "seconds", type=Parsed("duration", duration), default="5m")
@click.option("--address", type=Parsed("address", ip_address), default=ip_address("::1"))
def _command(seconds: float, address: object) -> None:
    click.echo(f"{seconds:.0f} {address!r}")


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "300 IPv6Address('::1')\n"),
        (["--for", "2h"], "7200 IPv6Address('::1')\n"),
        (["--address", "192.0.2.7"], "300 IPv4Address('192.0.2.7')\n"),
    ],
)
def test_a_reader_gives_the_value(arguments: list[str], told: str) -> None:
    ran = CliRunner().invoke(_command, arguments)
    assert (ran.exit_code, ran.output) == (0, told)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--for", "soon"], "Invalid value for '--for'"),
        (["--for", "soon"], "such as"),  # the hint of the reader
        (["--address", "192.0.2.700"], "'192.0.2.700' does not appear to be an IPv4 or IPv6 address"),
    ],
)
def test_what_no_reader_understands_is_an_error_of_usage(arguments: list[str], told: str) -> None:
    ran = CliRunner().invoke(_command, arguments)
    assert ran.exit_code == 2
    assert told in ran.output
