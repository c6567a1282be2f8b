"""The gate's policies: the reference, and what is made of it."""

from collections.abc import Iterator
from ipaddress import ip_network
from itertools import islice
from pathlib import Path

from benchmarks import tokens
from benchmarks.errors import BenchError
from benchmarks.lab import HERE
from benchmarks.messages import COVERED

REFERENCE = HERE / "reference.yaml"

UPSTREAM_PORT = 9001

PARTNERS = 10_000
NETWORKS_EACH = 10
"""Hence 100,000 networks."""


def without_replay(folder: Path) -> Path:
    """Write the reference without its replay check; gives the file."""
    file = folder / "without-replay.yaml"
    because = "h2load sends one request again and again"
    file.write_text(_replaced(_portable(), "replay: required", f'replay: {{off: "{because}"}}'))
    return file


def with_messages(folder: Path, algorithm: str, public_key: bytes | None) -> Path:
    """Write the reference with signatures by RFC 9421 and without its replay check; gives the file.

    `public_key` is the partner's, as PEM; None where the secret is the reference's.
    """
    file = folder / f"messages-{algorithm}.yaml"
    text = without_replay(folder).read_text()
    start, end = text.index("  reference:\n"), text.index("\npartners:")
    covered = ", ".join(f'"{name}"' for name in COVERED)
    text = f"{text[:start]}  reference: {{type: http-message-signatures, covered: [{covered}]}}\n{text[end:]}"
    if public_key is not None:
        key = folder / f"messages-{algorithm}.pub"
        key.write_bytes(public_key)
        secret = text[text.index("algorithm: hmac-sha256, secret") : text.index("}", text.index("secret: "))]
        text = _replaced(text, secret, f'algorithm: {algorithm}, public_key: "{key}"')
    file.write_text(text)
    return file


def with_tokens(folder: Path, kind: str) -> Path:
    """Write the reference with tokens of a kind (`workloads.TOKENS`) and without signatures; gives the file."""
    file = folder / f"tokens-{kind}.yaml"
    text = without_replay(folder).read_text()
    text = _replaced(text, "signature: {scheme: reference,", 'signature: {off: "tokens alone are measured"} #')
    keys = "    keys: file:${LAB}/jwks.json\n    algorithms: [RS256]\n"
    if kind == "introspection":
        asked = f"url: 'http://127.0.0.1:{UPSTREAM_PORT}/introspect', plaintext: the upstream answers, cache: 5m"
        text = _replaced(text, keys, f"    introspection: {{{asked}, client_id: gate, client_secret: env:SECRET}}\n")
    else:
        algorithm = "ES256" if kind == "dpop" else kind.partition("-")[0]
        text = _replaced(
            text, keys, f"    keys: 'file:{tokens.write_keys(folder, algorithm)}'\n    algorithms: [{algorithm}]\n"
        )
    if kind == "dpop":
        plain = "token: {issuer: idp, audience: wallet}"
        text = _replaced(text, plain, f"{plain[:-1]}, bound_to: dpop, dpop: {{max_age: 5m}}}}")
    file.write_text(text)
    return file


def on_port(folder: Path, name: str, port: int) -> Path:
    """Write the reference for another port; gives the file."""
    file = folder / f"{name}.yaml"
    file.write_text(_replaced(_portable(), ":9446", f":{port}"))
    return file


def durable(folder: Path, port: int) -> Path:
    """Write the reference with decisions that wait for the disk, on another port; gives the file."""
    file = folder / "durable.yaml"
    file.write_text(_replaced(_portable(), ":9446", f":{port}") + "\naudit: {durability: fsync}\n")
    return file


def revoking(folder: Path, port: int) -> Path:
    """Write the reference with revocation looked up in the lab's list, on another port; gives the file."""
    file = folder / "revoking.yaml"
    trusted = "client_ca: ${LAB}/ca.pem"
    text = _replaced(_portable(), ":9446", f":{port}")
    file.write_text(_replaced(text, trusted, f'{trusted}\n    revocation: {{lists: ["${{LAB}}/ca.crl"]}}'))
    return file


def with_store(folder: Path, port: int) -> Path:
    """Write the reference with its state on a Valkey that the gate runs, and on another port; gives the file."""
    file = folder / f"store-{port}.yaml"
    text = _replaced(_portable(), ":9446", f":{port}")
    file.write_text(_replaced(text, "\nstate:\n", "\nstate:\n  store: valkey\n  embedded: true\n"))
    return file


def with_partners(folder: Path, port: int, count: int = PARTNERS) -> Path:
    """Write the reference with `count` partners in all, of ten networks each, and on another port; gives the folder."""
    policy, secrets = folder / "partners", folder / "secrets"
    policy.mkdir(exist_ok=True)
    secrets.mkdir(mode=0o700, exist_ok=True)
    names = [f"partner-{number}" for number in range(2, count + 1)]
    text = _replaced(_portable(), ":9446", f":{port}")
    text = _replaced(text, "partners: [partner-1]", f"partners: [{', '.join(['partner-1', *names])}]")
    networks = _networks()
    text = _replaced(text, "networks: [127.0.0.0/8]", f"networks: [127.0.0.0/8, {_next(networks, NETWORKS_EACH - 1)}]")
    lines = ["version: 1", "", "partners:"]
    for name in names:
        secret = secrets / name
        secret.touch(mode=0o600)
        secret.write_text(name.rjust(32, "."))
        lines += [
            f"  {name}:",
            f"    certificate: {{san_dns: {name}.example}}",
            f"    networks: [{_next(networks, NETWORKS_EACH)}]",
            f"    subjects: {{idp: [{name}]}}",
            f'    signing_keys: [{{id: {name}, algorithm: hmac-sha256, secret: "file:{secret}"}}]',
        ]
    (policy / "reference.yaml").write_text(text)
    (policy / "partners.yaml").write_text("\n".join(lines) + "\n")
    return policy


def _networks() -> Iterator[str]:
    """Give networks of 16 addresses that no partner shares."""
    return (str(network) for network in ip_network("10.0.0.0/8").subnets(new_prefix=28))


def _next(networks: Iterator[str], count: int) -> str:
    return ", ".join(islice(networks, count))


def _portable() -> str:
    """Give the reference so that it can stand in any folder."""
    return _replaced(REFERENCE.read_text(), "unsafe-file:", f"unsafe-file:{HERE}/")


def _replaced(text: str, old: str, new: str) -> str:
    if text.count(old) != 1:
        raise BenchError(
            f"{REFERENCE} has `{old}` {text.count(old)} times: expected once, to make other policies of it"
        )
    return text.replace(old, new)
