"""What samples take out of queries, JSON and forms: functions and expressions in Python and JavaScript."""

import json
from collections.abc import Callable, Sequence

from gateway.kit.plan import Pieces, Plan, Taken
from gateway.signing import parts as p
from gateway.signing.content import read_pointer

_PYTHON = {
    "without": '''\
def without(query, name):
    """Give a query without one parameter, the rest as it is."""
    return "&".join(pair for pair in query.split("&") if pair.partition("=")[0] != name)
''',
    "quoted": """\
def quoted(value):
    return quote(value, safe=":")
""",
    "at": '''\
def at(value, *way):
    """Give what stands at a place; None where there is nothing."""
    for step in way:
        try:
            value = value[step]
        except (KeyError, IndexError):
            return None
    return value
''',
    "put": """\
def put(value, new, *way):
    for step in way[:-1]:
        value = value.setdefault(step, {}) if isinstance(value, dict) else value[step]
    value[way[-1]] = new
""",
    "pairs": '''\
def pairs(found, without, skip_empty):
    """Give names and texts in the order of the names' bytes."""
    kept = ((name, text(value)) for name, value in found.items() if name not in without)
    return sorted(((name, value) for name, value in kept if value or not skip_empty), key=lambda each: each[0].encode())
''',
    "encoded": """\
def encoded(value):
    return quote_plus(value).replace("~", "%7E")
""",
    "run_together": '''\
def run_together(value):
    """Give names in their order, each followed by its value."""
    if isinstance(value, dict):
        return "".join(name + run_together(value[name]) for name in sorted(value))
    return "".join(map(run_together, value)) if isinstance(value, list) else text(value)
''',
    "text": """\
def text(value):
    return "" if value is None else str(value).lower() if isinstance(value, bool) else str(value)
""",
}
_NODE = {
    "without": """\
// A query without one parameter, the rest as it is.
const without = (query, name) => query.split("&").filter((pair) => pair.split("=")[0] !== name).join("&");
""",
    "quoted": 'const quoted = (value) => encodeURIComponent(value).replaceAll("%3A", ":");\n',
    "at": "const at = (value, ...way) => way.reduce((found, step) => found?.[step], value);\n",
    "put": """\
function put(value, fresh, ...way) {
  const last = way.pop();
  for (const step of way) value = value[step] ??= {};
  value[last] = fresh;
}
""",
    "pairs": """\
// Names and texts in the order of the names' bytes.
const pairs = (found, without, skipEmpty) => Object.keys(found).sort(byBytes)
  .filter((name) => !without.includes(name)).map((name) => [name, text(found[name])])
  .filter(([, value]) => value || !skipEmpty);
""",
    "encoded": """\
const encoded = (value) => new URLSearchParams([["", value]]).toString().slice(1).replaceAll("*", "%2A");
""",
    "runTogether": """\
// Names in their order, each followed by its value.
const runTogether = (value) => Array.isArray(value) ? value.map(runTogether).join("")
  : value !== null && typeof value === "object"
    ? Object.keys(value).sort(byBytes).map((name) => name + runTogether(value[name])).join("") : text(value);
""",
    "sorted": """\
const sorted = (value) => Array.isArray(value) ? value.map(sorted)
  : value !== null && typeof value === "object"
    ? Object.fromEntries(Object.keys(value).sort(byBytes).map((name) => [name, sorted(value[name])])) : value;
""",
    "phpEscapes": """\
const phpEscapes = (json) => json.replaceAll("/", "\\\\/")
  .replace(/[\\u0080-\\uffff]/g, (each) => "\\\\u" + each.charCodeAt(0).toString(16).padStart(4, "0"));
""",
    "crc32": """\
function crc32(bytes) {
  let sum = 0xffffffff;
  for (const byte of bytes) {
    sum ^= byte;
    for (let bit = 0; bit < 8; bit += 1) sum = (sum >>> 1) ^ (sum & 1 ? 0xedb88320 : 0);
  }
  return (sum ^ 0xffffffff) >>> 0;
}
""",
    "text": 'const text = (value) => (value === null || value === undefined ? "" : String(value));\n',
    "byBytes": "const byBytes = (one, other) => Buffer.compare(Buffer.from(one), Buffer.from(other));\n",
}
"""Functions, each before those that it uses."""

_READ = {
    "json": ("json.loads(body)", "JSON.parse(body)"),
    "form": (
        "dict(parse_qsl(body.decode(), keep_blank_values=True))",
        "Object.fromEntries(new URLSearchParams(body.toString()))",
    ),
}
_WRITTEN = {
    "json": (
        'json.dumps(members, separators=(",", ":"), ensure_ascii=False).encode()',
        "Buffer.from(JSON.stringify(members))",
    ),
    "form": ("urlencode(members).encode()", "Buffer.from(new URLSearchParams(members).toString())"),
}


def functions(text: str, *, node: bool) -> str:
    """Give the functions that a sample's text uses."""
    found = ""
    for name, function in (_NODE if node else _PYTHON).items():
        if f"{name}(" in text + found or f"({name}" in text + found:
            found = f"{function}{'' if node else '\n\n'}{found}"
    return found


QUERY_READ = (
    "dict(parse_qsl(query, keep_blank_values=True))",
    "Object.fromEntries(new URLSearchParams(query))",
)
"""The expression that takes the query apart, in Python and in JavaScript."""


def read(plan: Plan, *, node: bool) -> str:
    """Give the expression that takes the body apart."""
    return _READ[plan.members][node]


def written(plan: Plan, *, node: bool) -> str:
    """Give the expression that makes the body anew."""
    return _WRITTEN[plan.members][node]


def put(way: Sequence[str | int], value: str) -> str:
    """Give the call that puts a value at a place, in either language."""
    return f"put(members, {value}, {', '.join(map(json.dumps, way))})"


def in_python(taken: Taken, text: Callable[[Pieces], str]) -> str:
    """Give the expression of a part; `text` writes pieces."""
    part = taken.part
    if isinstance(part, p.Crc32):
        return "str(zlib.crc32(body))"
    if isinstance(part, p.QueryWithout):
        return f"without(query, {json.dumps(part.name)})"
    if isinstance(part, p.Field):
        value = f"text(at({_source(part)}, {_way(part)}))"
        return f'format(Decimal({value}), ".2f")' if part.format == "two-decimals" else value
    if isinstance(part, p.Serialized):
        return f"run_together(at(members, {', '.join(map(json.dumps, way_of(part.pointer)))}))"
    if isinstance(part, p.SortedJson):
        source = _source(part)
        every = f"{source}, sort_keys=True" if part.depth == "all" else f"dict(sorted({source}.items()))"
        made = f'json.dumps({every}, separators=(",", ":"), ensure_ascii={part.php})'
        return f'{made}.replace("/", "\\\\/")' if part.php else made
    if not isinstance(part, p.Parameters):
        raise TypeError(part)
    own = [f"{json.dumps(name)}: {text(value)}" for name, value in taken.headers]
    found = ", ".join([*(f"**{source}" for source in _sources(taken)), *own])
    listed = f"pairs({{{found}}}, {json.dumps(part.without)}, {part.skip_empty})"
    return f"{json.dumps(part.join)}.join({_pair(part)} for name, value in {listed})"


def in_node(taken: Taken, text: Callable[[Pieces], str]) -> str:
    """Give the expression of a part; `text` writes pieces."""
    part = taken.part
    if isinstance(part, p.Crc32):
        return "String(crc32(body))"
    if isinstance(part, p.QueryWithout):
        return f"without(query, {json.dumps(part.name)})"
    if isinstance(part, p.Field):
        value = f"text(at({_source(part)}, {_way(part)}))"
        return f"Number({value}).toFixed(2)" if part.format == "two-decimals" else value
    if isinstance(part, p.Serialized):
        return f"runTogether(at(members, {', '.join(map(json.dumps, way_of(part.pointer)))}))"
    if isinstance(part, p.SortedJson):
        source = _source(part)
        top = f"Object.fromEntries(Object.keys({source}).sort(byBytes).map((name) => [name, {source}[name]]))"
        made = f"JSON.stringify({f'sorted({source})' if part.depth == 'all' else top})"
        return f"phpEscapes({made})" if part.php else made
    if not isinstance(part, p.Parameters):
        raise TypeError(part)
    own = [f"{json.dumps(name)}: {text(value)}" for name, value in taken.headers]
    found = ", ".join([*(f"...{source}" for source in _sources(taken)), *own])
    listed = f"pairs({{ {found} }}, {json.dumps(part.without)}, {json.dumps(part.skip_empty)})"
    return f"{listed}.map(([name, value]) => {_pair(part)}).join({json.dumps(part.join)})"


def _pair(part: p.Parameters) -> str:
    if part.write == "values":
        return "value"
    name, value = ("encoded(name)", "encoded(value)") if part.encoded else ("name", "value")
    return f"{name} + {json.dumps(part.equals)} + {value}"


def _source(part: p.Field | p.SortedJson) -> str:
    return "parameters" if part.source == "query" else "members"


def _sources(taken: Taken) -> list[str]:
    """Give the variables whose members are taken together."""
    return [*(["parameters"] if taken.of_query else []), *(["members"] if taken.of_body else [])]


def _way(part: p.Field) -> str:
    way = way_of(part.name) if part.source == "json" else [part.name]
    return ", ".join(map(json.dumps, way))


def way_of(pointer: str) -> list[str | int]:
    """Give a pointer's steps; the first item of a list is a number."""
    return [0 if step == "0" else step for step in read_pointer(pointer)]
