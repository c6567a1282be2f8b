"""The policies of docs/identity.md are valid as they stand."""

import re
from pathlib import Path

from gateway.controls.token import TokenControl
from gateway.core.issuer import KeySource
from gateway.policy import load
from tests.policy.files import ENVIRON, NOW

PAGE = (Path(__file__).parents[2] / "docs" / "identity.md").read_text()
SECRETS = {**ENVIRON, "OLD_GAMES_SECRET": "o" * 32, "BANK_SECRET": "b" * 32}


def recipe(name: str) -> str:
    (text,) = re.findall(rf"^```yaml\n(# {name}\.yaml\n.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    return text.replace("fintech.pem", "acme-ed25519.pem")


def written(world: Path, name: str, text: str) -> Path:
    folder = world / f"identity-{name}"
    folder.mkdir()
    (folder / "policy.yaml").write_text(text)
    return folder


def token_of(folder: Path) -> TokenControl:
    loaded = load(folder, SECRETS, now=NOW)
    assert loaded.warnings == ()
    (token,) = [control for control in loaded.policy.routes[0].chain if isinstance(control, TokenControl)]
    return token


def test_the_recipe_for_fapi(world: Path) -> None:
    token = token_of(written(world, "fapi", recipe("fapi")))
    assert isinstance(token.issuer.keys, KeySource)
    assert (token.issuer.profile, token.bound_to) == ("rfc9068", "either")


def test_the_recipe_for_open_banking(world: Path) -> None:
    (issuer, token) = re.findall(
        r"^# issuers:\n(  bank:.*?)^# and on the route:\n(    token:.*?)^```$", PAGE, re.MULTILINE | re.DOTALL
    )[0]
    text = recipe("fapi")
    start, end = text.index("  bank: {"), text.index("\nschemes:")
    text = text[:start] + issuer + text[end:]
    start, end = text.index("    token:\n"), text.index("    rate_limit:")
    found = token_of(written(world, "open-banking", text[:start] + token + text[end:]))
    assert found.issuer.introspection is not None
    assert found.bound_to == "certificate"


def test_the_recipe_for_a_vendor_with_api_keys(world: Path) -> None:
    loaded = load(written(world, "legacy", recipe("legacy")), SECRETS, now=NOW)
    assert loaded.warnings == ()
    assert {off.control for off in loaded.policy.routes[0].switched_off} == {"mutual_tls", "token"}


def test_the_fragments_name_keys_that_there_are(world: Path) -> None:
    fragments = re.findall(r"^```yaml\n    token: (\{.*?\})\n```$", PAGE, re.MULTILINE | re.DOTALL)
    assert len(fragments) >= 2
    text = recipe("fapi").replace("bank:", "operator:").replace("issuer: bank", "issuer: operator")
    start, end = text.index("    token:\n"), text.index("    rate_limit:")
    (world / "certs" / "dpop-nonce.key").write_text("n" * 32)
    (world / "certs" / "dpop-nonce.key").chmod(0o600)
    for number, fragment in enumerate(fragments):
        token_of(written(world, f"fragment-{number}", f"{text[:start]}    token: {fragment}\n{text[end:]}"))
