"""`gateway certs list`: everything a policy trusts or uses, by its end; also as a cryptographic bill of materials."""

import json
import os
import sys
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path

import click
from cryptography import x509
from rich.console import Console
from rich.table import Table
from rich.text import Text

from gateway.cli.certs_bom import bill
from gateway.core.message import Instant
from gateway.core.policy import SigningKey
from gateway.engine.expiry import AHEAD_SHARE
from gateway.pki.crl import RevocationList
from gateway.pki.development import is_development
from gateway.pki.keys import key_facts
from gateway.pki.summary import Summary, days_left, moment, signature_name, summarise
from gateway.policy import PolicyInvalid, load
from gateway.policy.inventory import Material, Pin, SystemAuthorities
from gateway.policy.values import Unfit, duration_or_zero
from gateway.signing.jwks import VerificationKey

WIDE = 160
"""Columns of the table where the output is no terminal."""

_COUNTED = {"expired": "expired", "ends soon": "ending soon", "not yet valid": "not yet valid"}
_STYLES = {"expired": "red", "ends soon": "yellow", "not yet valid": "yellow"}


class Within(click.ParamType[float]):
    """A duration as a policy writes it."""

    name = "duration"

    def convert(self, value: str | float, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """Give the seconds; fails as a usage error."""
        if not isinstance(value, str):
            return value
        try:
            return duration_or_zero(value)
        except Unfit as unfit:
            self.fail(f"{unfit.message} ({unfit.hint})" if unfit.hint else unfit.message, param, ctx)


@click.command("list")
@click.argument("policy", type=click.Path(path_type=Path))
@click.option(
    "--within",
    type=Within(),
    default="30d",
    show_default=True,
    help="What ends within this time counts as ending soon.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option("--cbom", is_flag=True, help="Print a CycloneDX 1.6 bill of materials, TLS versions and suites included.")
def list_material(*, policy: Path, within: float, as_json: bool, cbom: bool) -> None:
    """List every certificate, key and revocation list that POLICY trusts or uses, what ends first at the top.

    Secrets are never shown. Exits with 1 where something has ended or ends within --within, and with 2 where the
    policy is refused (`gateway check` says why).
    """
    if as_json and cbom:
        raise click.UsageError("--json or --cbom, not both")
    now = Instant(time.time())
    try:
        loaded = load(policy, os.environ, now=now)
    except PolicyInvalid as invalid:
        for problem in invalid.problems:
            click.secho(str(problem), fg="red", err=True)
        raise SystemExit(2) from None
    listed = sorted(loaded.material, key=_by_end)
    states = [_state(one, now, within) for one in listed]
    if cbom:
        try:
            said: Mapping[str, object] = bill(loaded, now)
        except OSError as error:
            raise click.ClickException(f"TLS cannot be set up with the policy's files: {error}") from error
        click.echo(json.dumps(said, indent=2))
    elif as_json:
        rows = [_as_json(one, state, now) for one, state in zip(listed, states, strict=True)]
        head = {"name": loaded.policy.name, "digest": loaded.policy.digest}
        said = {"policy": head, "at": _dated(now), "within_seconds": within, "material": rows}
        click.echo(json.dumps(said, indent=2))
    else:
        _print(list(zip(listed, states, strict=True)), now)
    if {"expired", "ends soon"} & set(states):
        sys.exit(1)


def _by_end(one: Material) -> tuple[float, str, int, int]:
    ends = float("inf") if one.not_after is None else float(one.not_after)
    return ends, str(one.place.file), one.place.line, one.place.column


def _state(one: Material, now: Instant, within: float) -> str:
    if one.not_after is not None and one.not_after <= now:
        return "expired"
    if isinstance(one.what, RevocationList):  # of a day, it is always near its end: it is late in the last third
        within = min(within, (one.what.next_update - one.what.this_update) * AHEAD_SHARE)
    if one.not_after is not None and one.not_after <= now + within:
        return "ends soon"
    if one.not_before is not None and one.not_before > now:
        return "not yet valid"
    return "valid" if one.not_after is not None else "no end known"


def _print(rows: list[tuple[Material, str]], now: Instant) -> None:
    table = Table(show_lines=True)
    for title in ("ends", "what", "for", "place"):
        table.add_column(title, overflow="fold")
    for one, state in rows:
        style = _STYLES.get(state, "")
        where = f"{one.place}\n{one.file}".rstrip()
        table.add_row(
            Text(_ends(one, state, now), style),
            Text("\n".join([one.label, *_facts(one)])),
            Text(f"{one.owner}\n{one.role.value}"),
            Text(where),
        )
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = WIDE
    console.print(table)
    counts = {state: [each for _, each in rows].count(state) for state in _COUNTED}
    words = [f"{count} {_COUNTED[state]}" for state, count in counts.items() if count]
    said = ", ".join([f"{len(rows)} listed", *words])
    click.secho(said, fg="red" if counts["expired"] else "yellow" if counts["ends soon"] else "green")


def _ends(one: Material, state: str, now: Instant) -> str:
    if one.not_after is None:
        return f"{state}\nfrom {_dated(one.not_before)[:10]}" if one.not_before is not None else state
    ends = datetime.fromtimestamp(one.not_after, UTC)
    left = days_left(ends, now)
    detail = f"{left} day{'' if left == 1 else 's'} left" if left >= 0 else "expired"
    begins = f"\nnot before {_dated(one.not_before)[:10]}" if state == "not yet valid" else ""
    return f"{ends:%Y-%m-%d}\n{detail}{begins}"


def _facts(one: Material) -> Iterator[str]:
    """Say what kind of key it is, and what stands out."""
    match one.what:
        case x509.Certificate():
            said = _summary(one.what)
            yield f"{said.get('key', 'unknown')}, {said.get('signature', 'unknown')}"
            if is_development(one.what):
                yield "development CA"
        case VerificationKey(algorithms=algorithms, public=public):
            yield f"{key_facts(public)}, {' '.join(sorted(algorithms))}"
        case SigningKey(algorithm=algorithm):
            yield algorithm
        case RevocationList(algorithm=algorithm):
            yield f"{len(one.what):,} entries, {signature_name(algorithm)}"
        case Pin() | SystemAuthorities():
            pass


def _summary(certificate: x509.Certificate) -> Summary:
    return summarise(certificate, Instant(0.0))


def _as_json(one: Material, state: str, now: Instant) -> dict[str, object]:
    said: dict[str, object] = {
        "for": {one.owner.kind: one.owner.name},
        "role": one.role.value,
        "what": one.label,
        "state": state,
        "not_before": _dated(one.not_before) or None,
        "not_after": _dated(one.not_after) or None,
        "days_left": None if one.not_after is None else days_left(datetime.fromtimestamp(one.not_after, UTC), now),
        "place": {"file": str(one.place.file), "line": one.place.line, "column": one.place.column},
        "path": str(one.trail),
        "file": one.file or None,
    }
    match one.what:
        case x509.Certificate():
            summary = _summary(one.what)
            kept = ("subject", "issuer", "serial", "names", "key", "signature", "fingerprint", "public_key")
            said |= {name: summary.get(name) for name in kept} | {"development": is_development(one.what)}
        case VerificationKey(kid=kid, algorithms=algorithms, public=public):
            facts = key_facts(public)
            said |= {"id": kid, "key": str(facts), "public_key": facts.fingerprint, "algorithms": sorted(algorithms)}
        case SigningKey(id=identifier, algorithm=algorithm):
            said |= {"id": identifier, "algorithms": [algorithm]}
        case Pin(kind=kind, digest=digest):
            said |= {kind: digest}
        case RevocationList(issuer=issuer, number=number, algorithm=algorithm, fingerprint=fingerprint):
            said |= {"issuer": issuer.rfc4514_string(), "number": number, "entries": len(one.what)}
            said |= {"signature": signature_name(algorithm), "fingerprint": fingerprint.hex()}
        case SystemAuthorities():
            pass
    return said


def _dated(when: Instant | None) -> str:
    return "" if when is None else moment(datetime.fromtimestamp(when, UTC))
