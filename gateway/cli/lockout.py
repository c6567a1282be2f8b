"""`gateway lockout`: who is locked out after failed authentications, and letting them in again."""

from pathlib import Path

import click

from gateway.cli.revoke import STATE, lift_all, reasons, show


@click.group()
def lockout() -> None:
    """Show and lift lock-outs after failed authentications (the section `lockout` of a policy)."""


@lockout.command("list")
@STATE
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--all", "everything", is_flag=True, help="Also those that have ended or were lifted.")
def list_lockouts(*, state: Path, as_json: bool, everything: bool) -> None:
    """List who is locked out, until when, and why."""
    show(state, "lockouts", "nobody is locked out", as_json=as_json, everything=everything, locked=True)


@lockout.command()
@click.argument("numbers", nargs=-1, required=True, type=click.IntRange(min=1), metavar="NUMBER...")
@reasons
def lift(*, numbers: tuple[int, ...], state: Path, because: str, by: str) -> None:
    """Let those in again who are locked out under NUMBER (see gateway lockout list)."""
    lift_all(state, numbers, by, because, "locked out", locked=True)
