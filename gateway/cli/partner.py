"""`gateway partner`: what a partner needs to integrate."""

import os
import time
from dataclasses import replace
from pathlib import Path

import click

from gateway.core.message import Instant
from gateway.kit.facts import gather
from gateway.kit.folder import files
from gateway.kit.plan import ENCODINGS
from gateway.policy import PolicyInvalid, load
from gateway.policy.document import assemble
from gateway.policy.folder import read_policy
from gateway.policy.nodes import Node
from gateway.policy.reader import Reader


@click.group()
def partner() -> None:
    """Make what a partner needs to integrate."""


@partner.command()
@click.argument("policy", type=click.Path(exists=True, path_type=Path))
@click.argument("name")
@click.option("--output", metavar="DIR", required=True, type=click.Path(file_okay=False, path_type=Path))
@click.option("--url", default="https://api.example.com", show_default=True, help="Where the partner reaches the gate.")
@click.option("--route", metavar="NAME", help="The route that the samples call; the first signed one unless given.")
@click.option("--encoding", type=click.Choice(ENCODINGS), default="utf-8", help="How the shared secret is written.")
def kit(*, policy: Path, name: str, output: Path, url: str, route: str | None, encoding: str) -> None:
    """Write a folder for the partner NAME of POLICY: what it can call, how it signs, samples that run.

    It holds nothing of other partners, and no secret. DIR must not be there yet.
    """
    if output.exists():
        raise click.UsageError(f"{output} is there already: name a folder that is not")
    try:
        loaded = load(policy, os.environ)
        facts = gather(loaded.policy, name, url.rstrip("/"), route=route, now=Instant(time.time()))
        facts = replace(facts, secret_encoding=encoding)
        scheme = None if facts.signing is None else facts.signing.scheme.name
        made = files(facts, None if scheme is None else _definition(policy, scheme))
    except PolicyInvalid as invalid:
        raise click.UsageError("\n".join(map(str, invalid.problems))) from None
    except ValueError as error:
        raise click.ClickException(str(error)) from None
    try:
        for file, text in made.items():
            path = output / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", errors="surrogateescape", newline="")
            click.echo(str(path))
    except OSError as error:
        raise click.ClickException(f"{error.filename}: {error.strerror}") from None


def _definition(policy: Path, scheme: str) -> Node | None:
    """Give a scheme as the policy writes it."""
    sources, _ = read_policy(policy)
    found = assemble(sources, Reader(os.environ, None)).named["schemes"].get(scheme)
    return None if found is None else found.node
