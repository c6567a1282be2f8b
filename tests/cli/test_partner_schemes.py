"""Kits for partners: every preset, and what a policy can compose, signed by the samples in bash, Python and JavaScript.

One gate has a route for each scheme, and takes what each sample sends; the string that a sample shows is the kit's.
"""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gateway.core.policy import Policy
from gateway.kit.example import AT, NONCE
from gateway.kit.facts import gather
from gateway.kit.folder import files
from gateway.policy import load
from gateway.policy.presets import preset
from gateway.signing.algorithms import PUBLIC_KEY_ALGORITHMS
from gateway.signing.secret_algorithms import SECRET_ALGORITHMS
from tests import messages, node, vendors, world
from tests.engine.harness import serving
from tests.engine.services import Folder, Served, again
from tests.mint import private_key

SIGN = {"sh": ["bash"], "py": [sys.executable], "mjs": ["node"]}
WEAK = "allow_weak: {owner: tests, until: 2100-01-01}"
HMAC = "algorithm: hmac-sha256"
HASHED = f"{WEAK}, algorithm: digest-sha256"
MESSAGES = "type: http-message-signatures, covered"
COMPOSED = {
    "query-fields": (
        f"{HMAC}, string_to_sign: [method, {{query: amount, format: two-decimals}}, {{query: absent, optional: yes}},"
        " timestamp, nonce], separator: '|', timestamp: {query: ts, format: rfc3339}, nonce: {query: nonce},"
        " key_id: {query: key}, signature: {query: sign}, encoding: base64"
    ),
    "target": (
        f"{HMAC}, string_to_sign: [method, target, timestamp, {{digest: sha256, encoding: base64url}}], separator: '|',"
        " timestamp: {query: ts, format: rfc3339}, signature: {header: X-Sign}, encoding: hex-upper"
    ),
    "raw-query": f"{HMAC}, string_to_sign: [path, query], separator: '?', signature: {{header: X-Sign}}",
    "both": (
        f"{HASHED}, string_to_sign: [{{parameters: [query, json], without: [sign], write: encoded-pairs}}, secret],"
        " separator: '', timestamp: {query: ts, format: unix}, signature: {query: sign}"
    ),
    "form-in-query": (
        f"{HASHED}, string_to_sign: [secret, {{parameters: [query, form], without: [sign], skip_empty: yes,"
        " join: ';'}], timestamp: {form: ts, format: unix-ms}, signature: {form: sign}"
    ),
    "sorted-query": (
        f"{HMAC}, string_to_sign: [{{sorted_json: query, depth: top, php_escapes: yes}}, {{header: X-Time}}],"
        " separator: '.', timestamp: {header: X-Time, format: unix}, signature: {header: X-Sign, prefix: 'v1 '}"
    ),
    "without": (
        f"{HMAC}, string_to_sign: [{{query_without: 'sign'}}, body], separator: '.', nonce: {{query: n}},"
        " signature: {query: sign}"
    ),
    "sorted-json": (
        f"{HMAC}, string_to_sign: [{{sorted_json: body, php_escapes: yes}}, {{json: /a/b}}, {{serialized: /c}}, crc32],"
        " separator: '|', timestamp: {json: /at, format: unix}, nonce: {json: /n}, signature: {header: X-Sign}"
    ),
    "in-json": (
        f"{HMAC}, string_to_sign: [{{json: /a/b}}, {{serialized: /c}}, timestamp, {{json: /n}}], separator: '|',"
        " timestamp: {json: /at, format: unix}, nonce: {json: /n}, signature: {json: /deep/sign}"
    ),
    "form": (
        f"{HMAC}, string_to_sign: [{{parameters: [form], headers: [Content-Type, X-Key], without: [sign]}},"
        " {form: amount}], key_id: {header: X-Key}, signature: {form: sign}"
    ),
    "crc32": f"{HMAC}, string_to_sign: [method, path, crc32], signature: {{header: X-Sign}}",
    "values": (
        f"{HMAC}, string_to_sign: [{{parameters: [json], headers: [X-Key], without: [sign], write: values,"
        " join: '~'}], key_id: {header: X-Key}, signature: {json: /sign}"
    ),
}
"""Compositions of everything that no preset has."""
COVERED = {
    "query": "['@method', '@query', '@scheme', '@authority', '@request-target', '@path']",
    "parameters": """['"@query-param";name="a%20b"', '"@query-param";name="id"', '@target-uri']""",
    "members": """['x-dict;key="a"', 'x-dict;key="b"', x-dict, 'content-digest;key="sha-512"', '"priority";key="u"']""",
    "structured": "['content-type;sf', 'accept;sf', 'cache-control;sf', 'x-own;sf']",
    "octets": "['x-latin;bs', 'content-digest;bs', 'host;bs']",
    "digests": "[repr-digest, content-digest, host, content-length, user-agent]",
    "get": "['@method', content-digest]",
}
"""Of RFC 9421: covered components of every kind."""


def schemes() -> Mapping[str, tuple[str, str]]:
    """Give algorithm and definition of every scheme, by its name."""
    found = {}
    for name in vendors.NAMES:
        definition = vendors.definition_text(name).partition(": {")[2].removesuffix("}")
        found[name] = (preset(name).key["algorithm"], definition)
    for name, text in COMPOSED.items():
        found[f"composed-{name}"] = ("digest-sha256" if HASHED in text else "hmac-sha256", text)
    for name, text in COVERED.items():
        more = ", structured_fields: {x-own: dictionary}" if name == "structured" else ""
        present = ", covered_if_present: [accept, user-agent, accept-encoding, content-length, host]"
        found[f"covered-{name}"] = ("ed25519", f"{MESSAGES}: {text}, algorithms: [ed25519]{present}{more}")
    return found


SCHEMES = schemes()
GET = ("covered-get", "blueocean", "softswiss-query", "composed-query-fields", "composed-sorted-query")
ROUTE = """\
  - name: {name}
    match: {{method: {method}, path: "/v1/{name}/{{id}}"}}
    upstream: psp
    partners: [acme-casino]
    mutual_tls: required
    ip_allowlist: partner
    token: {{off: "the signature tells who calls"}}
    rate_limit: {{off: "a handful of requests"}}
    signature: {{scheme: {name}{window}}}
    replay: {{off: "three languages sign the same"}}
    body: {{limit: 64KiB}}
"""


def policy_text(text: str) -> str:
    """Put into the world's policy a route for each scheme, and a key for each algorithm."""
    listed, routes, keys = "", "", ""
    for name, (_, definition) in SCHEMES.items():
        listed += f"  {name}: {{{definition}}}\n"
        dated = "timestamp:" in definition or MESSAGES in definition
        dated = dated or (name in vendors.NAMES and vendors.scheme(name).dated)
        window = ", max_age: 300s, max_ahead: 10s" if dated else ""
        routes += ROUTE.format(name=name, window=window, method="GET" if name in GET else "POST")
    for algorithm in sorted({algorithm for algorithm, _ in SCHEMES.values()}):
        kept = f'secret: "file:{algorithm}.key"' if algorithm in SECRET_ALGORITHMS else f"public_key: {algorithm}.pub"
        keys += f"      - {{id: key-{algorithm}, algorithm: {algorithm}, {kept}}}\n"
    before, _, rest = text.partition("schemes:\n")
    partners = rest[rest.index("partners:\n") : rest.index("    signing_keys:\n")]
    return f"{before}schemes:\n{listed}\n{partners}    signing_keys:\n{keys}\nroutes:\n{routes}"


@pytest.fixture
async def up(tmp_path: Path) -> AsyncIterator[Served]:
    """A gate with a route for each scheme."""
    async with serving() as upstream:
        folder = Folder(tmp_path, upstream.port)
        folder.write()
        for algorithm in {algorithm for algorithm, _ in SCHEMES.values()} & set(PUBLIC_KEY_ALGORITHMS):
            key = private_key(messages.KINDS[algorithm], "partner")
            folder.put(f"{algorithm}.pub", messages.public_pem(algorithm))
            folder.put(f"{algorithm}.key", key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
        for algorithm in SECRET_ALGORITHMS:
            folder.put(f"{algorithm}.key", algorithm.encode() * 6)
        folder.put("policy.yaml", policy_text(folder.policy.read_text()).encode())
        async with again(folder, upstream) as service:
            yield service


async def run(
    up: Served, kit: Path, algorithm: str, ending: str, *words: str, **environ: str
) -> tuple[int, bytes, bytes]:
    """Run one sample of a kit."""
    folder = up.folder.path
    given = {
        "PATH": os.environ["PATH"], "CERT": f"{folder}/partner.pem", "CERT_KEY": f"{folder}/partner.pem",
        "CA": f"{folder}/operator-ca.pem", "SECRET_FILE": f"{folder}/{algorithm}.key",
        "PRIVATE_KEY": f"{folder}/{algorithm}.key", "NOW": str(int(world.NOW)), "no_proxy": "*", **environ,
    }  # fmt: skip
    command = [*SIGN[ending], str(kit / "sample" / f"sign.{ending}"), *words]
    process = await asyncio.create_subprocess_exec(*command, env=given, stdout=-1, stderr=-1)
    out, error = await process.communicate()
    return process.returncode or 0, out, error


def written(up: Served, policy: Policy, name: str) -> tuple[Path, str]:
    """Write the kit for a route; give where it lies, and the algorithm."""
    facts = gather(policy, "acme-casino", f"https://localhost:{up.port}", route=name, now=world.NOW)
    assert facts.signing is not None
    output = up.folder.path / "kits" / name
    for file, text in files(facts, {}).items():
        path = output / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, newline="")
    return output, facts.signing.algorithm


CHUNKS = 4


@pytest.mark.parametrize("chunk", range(CHUNKS))
async def test_every_scheme_is_signed_in_three_languages(up: Served, chunk: int) -> None:
    for program in ("node", "jq"):
        node.program(program)
    policy = load(up.folder.policy, {}).policy
    names = list(SCHEMES)[chunk::CHUNKS]
    wrong: list[object] = []
    for number, name in enumerate(names):
        kit, algorithm = written(up, policy, name)
        string = (kit / "sample" / "string-to-sign.txt").read_bytes()
        shows = list(SIGN)[number % len(SIGN)]
        shown, *sent = await asyncio.gather(
            run(up, kit, algorithm, shows, "--string", NONCE=NONCE, NOW=str(int(AT))),
            *(run(up, kit, algorithm, ending) for ending in SIGN),
        )
        wrong += [(name, shows, shown, string)] if shown != (0, string, b"") else []
        wrong += [(name, *each) for each in zip(SIGN, sent, strict=True) if each[1] != (0, b'{"status":"ok"}', b"")]
    assert wrong == []
    assert len(up.upstream.bodies) == len(SIGN) * len(names)
