"""Whatever a scheme is composed of, the kit's samples sign the string that the gate checks."""

import contextlib
import io
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any
from unittest import mock

from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from gateway.core.policy import SigningKey
from gateway.core.reasons import Denied
from gateway.core.secret import Secret
from gateway.kit import node, python, shell
from gateway.kit.example import AT, NONCE, TOKEN, example_of
from gateway.kit.facts import Facts
from gateway.kit.plan import Given
from gateway.signing import parts as p
from gateway.signing.composed import ComposedScheme
from gateway.signing.places import InContent, InHeader, InItems, Place
from tests import messages
from tests import node as programs
from tests.unit.kit.kits import facts

COMMON: list[p.Part] = [
    p.Method(), p.Path(), p.Query(), p.Target(), p.Header("x-one"), p.Header("host"), p.Body(), p.Crc32(),
    p.Timestamp(), p.Nonce(), p.BodyDigest("sha256", "base64url"), p.BodyDigest("sha512", "hex-upper"),
    p.Field("query", "q"), p.Field("query", "none", optional=True), p.QueryWithout("sign"), p.SortedJson("query"),
    p.SortedJson("query", "top", php=True), p.Parameters(("query",), without=("sign",), headers=("X-One",)),
]  # fmt: skip
OWN: dict[str, list[p.Part]] = {
    "json": [
        p.Field("json", "/a/b"), p.Field("json", "/sum", "two-decimals"), p.SortedJson(), p.SortedJson("json", "top"),
        p.SortedJson(php=True), p.Serialized("/s"), p.Parameters(("json",), without=("sign",), encoded=True),
        p.Parameters(("query", "json"), write="values", join="~"),
    ],
    "form": [
        p.Field("form", "a"), p.Field("form", "sum", "two-decimals"),
        p.Parameters(("form",), without=("sign",), headers=("Content-Type",), skip_empty=True, equals=":"),
        p.Parameters(("query", "form"), without=("sign",), encoded=True),
    ],
}  # fmt: skip
LITERALS = st.builds(p.Literal, st.sampled_from(["", "it's", "{nonce}", "%s", '"', "$x", "\\n", "é"]))
ALGORITHMS = st.sampled_from(["hmac-sha256", "hmac-sha512", "digest-md5", "digest-sha256"])


@st.composite
def schemes(draw: st.DrawFn) -> ComposedScheme:
    kind: Any = draw(st.sampled_from(["json", "form"]))
    parts = draw(st.lists(st.sampled_from([*COMMON, *OWN[kind]]), min_size=1, max_size=5, unique=True))
    parts += draw(st.lists(LITERALS, max_size=2))
    algorithm = draw(ALGORITHMS)
    parts += [p.Shared()] if algorithm.startswith("digest") else []

    def place(name: str) -> Place:
        pointer = f"/own/{name}" if kind == "json" else name
        inside = [InContent("query", name), InContent(kind, pointer)]
        return draw(st.sampled_from([InHeader(f"x-{name}"), InHeader(f"x-{name}", "v="), *inside]))

    listed = draw(st.booleans())
    try:
        return ComposedScheme(
            name="generated",
            parts=tuple(draw(st.permutations(parts))),
            separator=draw(st.sampled_from([b"\n", b"", b"|", b"%s", b"'"])),
            algorithm=algorithm,
            encoding=draw(st.sampled_from(["hex", "base64", "base64url", "hex-upper"])),  # type: ignore[arg-type]
            signature=InItems("x-all", ",", "s=") if listed else place("sign"),
            key_id=draw(st.sampled_from([None, InHeader("x-key")])),
            timestamp=(InItems("x-all", ",", "t=") if listed else place("at")) if p.Timestamp() in parts else None,
            timestamp_format=draw(st.sampled_from(["unix", "unix-ms", "rfc3339"])),  # type: ignore[arg-type]
            nonce=place("nonce") if p.Nonce() in parts else None,
        )
    except ValueError:
        assume(False)
        raise


COMPONENTS = [
    "@method", "@target-uri", "@authority", "@scheme", "@request-target", "@path", "@query", "content-digest",
    '"@query-param";name="a%20b"', '"@query-param";name="id"', '"@query-param";name="%7E*"', "repr-digest;bs",
    "host;bs",
    '"content-digest";key="sha-256"', '"content-digest";key="sha-512"', '"repr-digest";key="sha-512"', "x-one",
    "x-one;bs", '"x-dict";key="a"', '"x-dict";key="b"', "x-dict", "cache-control;sf", "priority;sf", "accept;sf",
    "content-type", "content-type;bs", "content-type;sf", "user-agent", "idempotency-key;sf", "authorization",
]  # fmt: skip
IF_PRESENT = ("content-type", "accept", "accept-encoding", "user-agent", "host", "authorization", "dpop")
COVERED = st.lists(st.sampled_from(COMPONENTS), min_size=1, max_size=8, unique=True)


def planned(scheme: ComposedScheme) -> tuple[Facts, bytes]:
    """Give a kit's facts and the string of its example; what the scheme itself would refuse is none."""
    key = SigningKey("key-1", scheme.algorithm, Secret(b"0123456789abcdef" * 4))
    found = facts(scheme, keys={key.id: key})
    assert found.signing is not None
    try:
        return found, example_of(found, found.signing).string
    except (ValueError, Denied):
        assume(False)
        raise


def given_of(found: Facts) -> Given:
    signing = found.signing
    assert signing is not None
    return Given(signing.plan, signing.sample, "generated", found.base_url, signing.key_id)


ENVIRON = {"NOW": str(int(AT)), "NONCE": NONCE, "TOKEN": TOKEN, "CERT": "-", "CERT_KEY": "-", "SECRET_FILE": "-"}


def by_python(text: str) -> bytes:
    """Run a sample in this process."""
    out = io.TextIOWrapper(io.BytesIO(), write_through=True)
    with (
        mock.patch.dict(os.environ, ENVIRON),
        mock.patch.object(sys, "argv", ["sign.py", "--string"]),
        contextlib.redirect_stdout(out),
        contextlib.suppress(SystemExit),
    ):
        exec(compile(text, "sign.py", "exec"), {"__name__": "__main__"})  # noqa: S102 - what the kit wrote
    return out.buffer.getvalue()  # type: ignore[attr-defined, no-any-return]


def by_program(program: str, name: str, text: str) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, name)
        file.write_text(text, newline="")
        environ = {**ENVIRON, "PATH": os.environ["PATH"]}
        done = subprocess.run([program, str(file), "--string"], env=environ, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b""), text
    return done.stdout


@given(schemes())
@settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
def test_python_signs_what_the_gate_checks(scheme: ComposedScheme) -> None:
    found, string = planned(scheme)
    assert by_python(python.write(given_of(found))) == string


@given(schemes())
@settings(deadline=None, max_examples=12, suppress_health_check=[HealthCheck.filter_too_much, HealthCheck.too_slow])
def test_a_shell_and_javascript_too(scheme: ComposedScheme) -> None:
    programs.program("jq")
    found, string = planned(scheme)
    assert by_program("bash", "sign.sh", shell.write(given_of(found))) == string
    assert by_program(programs.program("node"), "sign.mjs", node.write(given_of(found))) == string


@given(COVERED, st.sets(st.sampled_from(IF_PRESENT)), st.booleans(), st.booleans())
@settings(deadline=None, max_examples=150)
def test_what_rfc_9421_covers(covered: list[str], present: set[str], expires: bool, body: bool) -> None:
    more = {"covered_if_present": tuple(sorted(present)), "expires_required": expires}
    scheme = messages.scheme(*covered, algorithms=frozenset({"hmac-sha256"}), **more)
    keys = {"hmac-sha256": messages.signing_key("hmac-sha256")}
    found = facts(scheme, keys=keys, body_limit=1_024 if body else 0)
    assert found.signing is not None
    assert by_python(python.write(given_of(found))) == example_of(found, found.signing).string
