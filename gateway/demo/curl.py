"""`--keep`: commands to copy and paste, with tokens from files and signatures made by the shell."""

from collections.abc import Iterator
from pathlib import Path

from gateway.core.message import Instant
from gateway.demo.calls import Call
from gateway.demo.client import HOST
from gateway.demo.credentials import Credentials
from gateway.demo.scenarios import BALANCE, BONUS, DEPOSIT
from gateway.pki.files import write_private

LIFETIME = 290
"""Seconds: the strictest route that is shown takes five minutes."""

SHOWN: tuple[tuple[str, Call, str], ...] = (
    ("read a balance: certificate and token", BALANCE, ""),
    ("a signed deposit", DEPOSIT, '{"player":"p-1001","amount":"25.00","currency":"EUR","reference":"\'$nonce\'"}'),
    (
        "a bonus, from the vendor that cannot sign", BONUS,
        '{"player":"p-1001","campaign":"autumn","amount":"5.00","reference":"\'$nonce\'"}',
    ),
)  # fmt: skip


def refresh_tokens(credentials: Credentials, folder: Path, now: Instant) -> None:
    """Write a token for each call that is shown, readable by the owner only."""
    for _, call, _ in SHOWN:
        assert call.token is not None
        claims = {
            "sub": call.party.subject,
            "aud": call.token.audience,
            "scope": call.token.scopes,
            "iat": int(now),
            "exp": int(now) + LIFETIME,
            "jti": f"keep-{call.operation}-{int(now)}",
        }
        write_private(token_file(folder, call), credentials.operator.sign(claims).encode())


def token_file(folder: Path, call: Call) -> Path:
    """File of the call's token."""
    return folder / f"{call.operation}.token"


def commands(credentials: Credentials, tokens: Path, port: int) -> str:
    """Give the commands for a POSIX shell."""
    blocks = (
        f"# {title}\n" + "\n".join(_command(credentials, tokens, port, call, body)) for title, call, body in SHOWN
    )
    return "\n\n" + "\n\n".join(blocks) + "\n"


def sign_in_shell(credentials: Credentials, call: Call) -> str:
    """Give the shell's way to sign by the scheme `wallet`: sets ts and sig, needs nonce and body."""
    secret = credentials.secret_file(call.party.signing_keys[0])
    return (
        "ts=$(date +%s)\n"
        f'sig=$(printf \'{call.method}\\n{call.target}\\n%s\\n%s\\n%s\' "$ts" "$nonce" "$body" |\n'
        f"  openssl dgst -sha256 -hmac \"$(cat {secret})\" -r | cut -d' ' -f1)"
    )


def _command(credentials: Credentials, tokens: Path, port: int, call: Call, body: str) -> Iterator[str]:
    if body:
        yield "nonce=$(openssl rand -hex 16)"
        yield f"body='{body}'"
    if call.sign is not None:
        yield sign_in_shell(credentials, call)
    name = call.party.name
    yield f"curl --cacert {credentials.authority} \\"
    yield f"  --cert {credentials.certificate(name)} --key {credentials.key(name)} \\"
    yield f'  -H "Authorization: Bearer $(cat {token_file(tokens, call)})" \\'
    if call.sign is not None:
        yield f'  -H "X-Key-Id: {call.party.signing_keys[0]}" -H "X-Timestamp: $ts" \\'
        yield '  -H "X-Nonce: $nonce" -H "X-Signature: $sig" \\'
    if body:
        yield '  -H "Content-Type: application/json" --data-binary "$body" \\'
    yield f"  'https://{HOST}:{port}{call.target}'"
