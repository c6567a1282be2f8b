"""`gateway partner`: what a partner needs to integrate."""

import os
import time
from dataclasses import replace
from pathlib import Path

import click

from gateway.core.message import Instant
from gateway.kit.facts import Signing, gather
from gateway.kit.folder import files
from gateway.kit.plan import ENCODINGS
from gateway.policy import PolicyInvalid, load
from gateway.policy.document import assemble
from gateway.policy.folder import read_policy
from gateway.policy.nodes import MappingNode, Node, ScalarNode, SequenceNode
from gateway.policy.reader import Reader
from gateway.signing.outward import SignedAnswers


@click.group()
def partner() -> None:
    """Make what a partner needs to integrate."""


@partner.command()
@click.argument("policy", type=click.Path(exists=True, path_type=Path))
@click.argument("name")
@click.option("--output", metavar="DIR", required=True, type=click.Path(file_okay=False, path_type=Path))
@click.option("--url", default="https://api.example.com", show_default=True, help="Where the partner reaches the gate.")
@click.option("--route", metavar="NAME", help="The route that the samples call; the first signed one unless given.")
@click.option("--encoding", type=click.Choice(ENCODINGS), help="How the shared secret is written; as the policy says.")
def kit(*, policy: Path, name: str, output: Path, url: str, route: str | None, encoding: str | None) -> None:
    """Write a folder for the partner NAME of POLICY: what it can call, how it signs, samples that run.

    It holds nothing of other partners, and no secret. DIR must not be there yet.
    """
    if output.exists():
        raise click.UsageError(f"{output} is there already: name a folder that is not")
    try:
        loaded = load(policy, os.environ)
        facts = gather(loaded.policy, name, url.rstrip("/"), route=route, now=Instant(time.time()))
        signing = facts.signing
        if signing is not None:
            said = _encoding(_definition(policy, "partners", name), signing.key_id)
            facts = replace(facts, secret_encoding=encoding or said)
        made = files(facts, _schemes(policy, signing))
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


def _definition(policy: Path, section: str, name: str) -> Node | None:
    """Give a scheme or a partner as the policy writes it."""
    sources, _ = read_policy(policy)
    found = assemble(sources, Reader(os.environ, None)).named[section].get(name)
    return None if found is None else found.node


def _schemes(policy: Path, signing: Signing | None) -> dict[str, Node]:
    """Give the schemes that requests and answers of the route are signed by."""
    if signing is None:
        return {}
    names, answers = [signing.scheme.name], signing.route.answers
    names += [answers.scheme.name] if isinstance(answers, SignedAnswers) else []
    found = {name: _definition(policy, "schemes", name) for name in names}
    return {name: node for name, node in found.items() if node is not None}


def _encoding(partner: Node | None, key_id: str) -> str:
    """Give how the policy says that a key's secret is written."""
    keys = partner.values.get("signing_keys") if isinstance(partner, MappingNode) else None
    for key in keys.items if isinstance(keys, SequenceNode) else ():
        values = key.values if isinstance(key, MappingNode) else {}
        named, encoding = values.get("id"), values.get("encoding")
        if isinstance(named, ScalarNode) and named.text == key_id and isinstance(encoding, ScalarNode):
            return encoding.text
    return "utf-8"
