"""`gateway certs inspect`: what stands in files of certificates and keys, and what the gate would object to."""

import json
import sys
import time
from pathlib import Path

import click

from gateway.core.message import Instant
from gateway.pki.contents import FoundKey, read_contents
from gateway.pki.objections import Use
from gateway.pki.summary import Summary, summarise
from gateway.policy.folder import explained, read_bounded
from gateway.policy.inventory import printable
from gateway.policy.references import MAX_FILE_BYTES, OTHERS

_SHOWN = {
    "issuer": "issuer",
    "serial": "serial",
    "valid": "valid",
    "this_update": "from",
    "next_update": "next one",
    "revoked": "revoked",
    "names": "names",
    "use": "use",
    "key": "key",
    "signature": "signature",
    "fingerprint": "fingerprint",
    "public_key": "public_key",
}
"""What is shown in lines of its own, in this order. `fingerprint` and `public_key` are called as in the policy."""


@click.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--as", "use", type=click.Choice([use.value for use in Use]), help="What the first certificate is meant for."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def inspect(*, files: tuple[Path, ...], use: str | None, as_json: bool) -> None:
    """Show every certificate, request, revocation list and key in FILE...: PEM or DER.

    Of keys, only type, size and the fingerprint of the public half are shown. `fingerprint` and `public_key` are in
    the form that a policy's partners take. Chains are not verified. Exits with 1 where the gate would object to
    something, and with 2 where a file cannot be read.
    """
    now = Instant(time.time())
    found = {file: _read(file, now, None if use is None else Use(use)) for file in files}
    if as_json:
        listed = [{"file": str(file), "items": items} for file, items in found.items()]
        click.echo(json.dumps({"files": listed}, indent=2))
    else:
        for file, items in found.items():
            _print(file, items)
    if any(item["objections"] for items in found.values() for item in items):
        sys.exit(1)


def _read(file: Path, now: Instant, use: Use | None) -> list[Summary]:
    try:
        items = read_contents(read_bounded(file, MAX_FILE_BYTES))
        mode = file.stat().st_mode
    except OSError as error:
        message, hint = explained(error)
        raise click.UsageError(f"{file} {message}{f' ({hint})' if hint else ''}") from None
    said: list[Summary] = []
    for index, item in enumerate(items):
        one = dict(summarise(item, now, use if index == 0 or use is Use.CA else None))
        if isinstance(item, FoundKey) and item.private and mode & OTHERS:
            others = "may be read by others than its owner: run `chmod 600` on it"
            one["objections"] = [*_texts(one["objections"]), others]
        said.append(one)
    return said


def _print(file: Path, items: list[Summary]) -> None:
    click.secho(printable(str(file)), bold=True)
    for item in items:
        title = item.get("subject", item.get("what", "")) or ""
        click.echo(f"  {item['kind']}  {printable(str(title))}".rstrip())
        lines = {**item, "valid": _validity(item), "use": _use(item)}
        for name, shown in _SHOWN.items():
            value = lines.get(name)
            text = ", ".join(_texts(value)) if isinstance(value, list) else str(value)
            if value not in (None, "", []):
                click.echo(f"    {shown:<12} {printable(text)}")
        for objection in _texts(item["objections"]):
            click.secho(f"    {'objection':<12} {printable(objection)}", fg="yellow")


def _validity(item: Summary) -> str:
    left = item.get("days_left")
    if not isinstance(left, int) or "not_after" not in item:
        return ""
    said = f"{left} day{'' if left == 1 else 's'} left" if left >= 0 else "expired"
    return f"{item['not_before']} to {item['not_after']}, {said}"


def _use(item: Summary) -> str:
    if "ca" not in item:
        return ""
    length = "" if item["path_length"] is None else f", path length {item['path_length']}"
    kind = f"CA{length}" if item["ca"] else "no CA"
    return "; ".join(
        [kind, *filter(None, map(", ".join, map(_texts, (item["key_usage"], item["extended_key_usage"]))))]
    )


def _texts(value: object) -> list[str]:
    assert isinstance(value, list)
    return [str(each) for each in value]
