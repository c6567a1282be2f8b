"""Whether the samples sign so is tested in tests/cli/test_partner.py, against the gate."""

import json
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from gateway.core.message import RequestHead
from gateway.kit.plan import Pieces, Plan, Taken
from gateway.kit.shell_taken import in_shell
from gateway.kit.taken import functions, in_node, in_python, put, read, way_of, written
from gateway.signing import parts as p
from gateway.signing.content import Content
from gateway.signing.derived import derive
from tests import node, vendors

MEMBERS = {"b": "é/*~ +", "a": True, "é": None, "B": {"z": "1", "a": ["x", {"k": "y"}]}, "n": "2.5"}
FLAT = {"b": "é/*~ +", "a": True, "empty": "", "B": "1"}
PYTHON = """\
import json, sys, zlib
from decimal import Decimal
from urllib.parse import parse_qsl, quote_plus, urlencode
"""


def head(kind: str) -> RequestHead:
    return vendors.request("POST", "/pay", {"content-type": kind}, b"{}").head


def plan(*taken: Taken, **changes: Any) -> Plan:
    return Plan((), "hmac-sha256", "hex", (), **{"taken": taken, "members": "json", **changes})


def text(_pieces: Pieces) -> str:
    return '"from a field"'


def by_shell(taken: Taken, body: str) -> str:
    line = in_shell(taken, lambda _: "'from a field'")
    work = tempfile.mkdtemp()
    Path(work, "body").write_bytes(body.encode())
    program = f'members={shlex.quote(body)}; work={work}\n{line}\nprintf %s "${taken.name}"'
    node.program("jq")
    return subprocess.run(["bash", "-c", program], check=True, capture_output=True).stdout.decode()


def by_python(taken: Taken, body: str) -> str:
    made = plan(taken)
    expression = in_python(taken, text)
    program = f"{PYTHON}\n{functions(expression, node=False)}\nbody = {body.encode()!r}\n"
    program += f"members = {read(made, node=False)}\nsys.stdout.buffer.write(({expression}).encode())"
    return subprocess.run([sys.executable, "-c", program], check=True, capture_output=True).stdout.decode()


def by_node(taken: Taken, body: str) -> str:
    made = plan(taken)
    expression = in_node(taken, text)
    program = f"{functions(expression, node=True)}\nconst body = Buffer.from({json.dumps(body)});\n"
    program += f"const members = {read(made, node=True)};\nprocess.stdout.write({expression});"
    return subprocess.run([node.program("node"), "-e", program], check=True, capture_output=True).stdout.decode()


@pytest.mark.parametrize(
    "part",
    [
        p.Crc32(),
        p.Field("json", "/B/z", "two-decimals"),
        p.Field("json", "/absent", optional=True),
        p.Serialized("/B"),
        p.SortedJson(),
        p.SortedJson(depth="top", php=True),
        p.Parameters(("json",), without=("a",), skip_empty=True, encoded=True),
        p.Parameters(("json",), write="values", join=","),
    ],
)
@pytest.mark.parametrize("by", [by_python, by_node, by_shell])
def test_every_language_takes_what_the_gate_takes(part: p.Part, by: Callable[[Taken, str], str]) -> None:
    content = FLAT if isinstance(part, p.Parameters) else MEMBERS
    body = json.dumps(content, ensure_ascii=False)
    gate = derive(part)(Content(head("application/json"), body.encode()))
    assert by(Taken("taken_0", part), body) == gate


def test_fields_among_the_parameters() -> None:
    taken = Taken("taken_0", p.Parameters(("json",), headers=("X-A",)), (("X-A", ()),))
    for by in (by_python, by_node, by_shell):
        assert by(taken, '{"b":"1"}') == "X-A=from a field&b=1"


def test_only_the_functions_that_are_used() -> None:
    assert "def put" in functions(put(("a", 0), "signature"), node=False)
    assert functions("nothing", node=False) == ""
    assert put(("a", 0), "signature") == 'put(members, signature, "a", 0)'
    assert way_of("/a/0/b~1") == ["a", 0, "b/"]


def test_bodies_are_made_anew() -> None:
    for form in ("json", "form"):
        assert "members" in written(plan(members=form), node=True)
        assert "members" in written(plan(members=form), node=False)


def test_other_parts_are_not_taken() -> None:
    for write in (in_python, in_node, in_shell):
        with pytest.raises(TypeError):
            write(Taken("taken_0", p.Body()), text)
