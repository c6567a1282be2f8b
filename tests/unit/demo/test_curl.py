"""Commands to copy and paste: a shell runs them as they are."""

import stat
import subprocess
from pathlib import Path

import jwt
import pytest
import yaml

from gateway.demo.credentials import Credentials
from gateway.demo.curl import LIFETIME, SHOWN, commands, refresh_tokens, sign_in_shell, token_file
from gateway.demo.scenarios import DEPOSIT
from gateway.demo.signing import Stamp, sign_wallet
from gateway.demo.stage import TOKEN_REFRESH_SECONDS
from tests.unit.demo.world import NOW

POLICIES = Path(__file__).parents[3] / "policies"


@pytest.fixture
def tokens(credentials: Credentials, tmp_path: Path) -> Path:
    refresh_tokens(credentials, tmp_path, NOW)
    return tmp_path


def shell(script: str) -> str:
    return subprocess.run(["sh", "-euc", script], capture_output=True, text=True, check=True).stdout


def test_the_shell_signs_as_the_client_does(credentials: Credentials) -> None:
    body = '{"player":"p-1001","amount":"25.00"}'
    script = f"nonce=n-1\nbody='{body}'\n{sign_in_shell(credentials, DEPOSIT)}\n" + 'printf "%s %s" "$ts" "$sig"'
    timestamp, signature = shell(script).split()
    stamp = Stamp("acme-2026-11", int(timestamp), "n-1")
    expected = sign_wallet(credentials.secret("acme-2026-11"), stamp, "POST", "/psp/v1/deposits", body.encode())
    assert signature == expected["X-Signature"]


def test_each_call_has_a_token(credentials: Credentials, tokens: Path) -> None:
    key = jwt.PyJWKSet.from_json(credentials.operator.key_set().decode()).keys[0]
    for _, call, _ in SHOWN:
        assert call.token is not None
        token = token_file(tokens, call).read_text()
        claims = jwt.decode(
            token, key, algorithms=["ES256"], audience=call.token.audience,
            options={"verify_exp": False, "verify_iat": False},
        )  # fmt: skip
        assert (claims["sub"], claims["scope"]) == (call.party.subject, call.token.scopes)
        assert claims["exp"] - claims["iat"] == LIFETIME


def test_tokens_live_no_longer_than_any_route_allows_and_are_renewed_before_they_expire() -> None:
    routes = [route for file in POLICIES.glob("*.yaml") for route in yaml.safe_load(file.read_text()).get("routes", ())]
    allowed = [
        int(route["token"]["max_lifetime"].removesuffix("m")) * 60
        for route in routes
        if "max_lifetime" in route["token"]
    ]
    assert TOKEN_REFRESH_SECONDS < LIFETIME < min(allowed)


def test_tokens_are_private(tokens: Path) -> None:
    assert {stat.S_IMODE(path.stat().st_mode) for path in tokens.iterdir()} == {0o600}


def test_tokens_are_replaced(credentials: Credentials, tokens: Path) -> None:
    before = token_file(tokens, DEPOSIT).read_text()
    refresh_tokens(credentials, tokens, NOW)
    assert token_file(tokens, DEPOSIT).read_text() != before


def test_the_commands_hold_no_secret(credentials: Credentials, tokens: Path) -> None:
    text = commands(credentials, tokens, 8443)
    assert credentials.secret("acme-2026-11").decode() not in text
    assert token_file(tokens, DEPOSIT).read_text() not in text


def test_a_shell_runs_them_up_to_the_connection(credentials: Credentials, tokens: Path) -> None:
    """With a curl that prints its arguments, one a line: quoting, files and variables are what they should be."""
    stub = 'curl() { printf "%s\\n" "$@"; }\n'
    lines = shell(stub + commands(credentials, tokens, 8443)).splitlines()
    assert [line for line in lines if line.startswith("https://")] == [
        "https://127.0.0.1:8443/pam/v1/players/p-1001/balance",
        "https://127.0.0.1:8443/psp/v1/deposits",
        "https://127.0.0.1:8443/casino/v1/bonuses",
    ]
    assert f"Authorization: Bearer {token_file(tokens, DEPOSIT).read_text()}" in lines
    assert [len(line) for line in lines if line.startswith("X-Signature: ")] == [len("X-Signature: ") + 64]
    assert all(Path(line).is_file() for line in lines if line.startswith("/"))
