"""What the sample for a shell takes out of queries, JSON and forms: commands, most of them of jq.

`$parameters` and `$members` hold the query's parameters and the body's members as JSON.
"""

import json
import shlex
from collections.abc import Callable, Iterator, Sequence
from urllib.parse import parse_qsl

from gateway.kit.plan import Pieces, Plan, Sample, Taken
from gateway.kit.taken import way_of
from gateway.signing import parts as p

type Joined = Callable[[Pieces], str]
"""Writes pieces as one word of the shell."""

_DEFINITIONS = {
    "run_together": (
        'def run_together: if type == "object" then to_entries | sort_by(.key) | map(.key + (.value | run_together))'
        ' | join("") elif type == "array" then map(run_together) | join("") else text end;'
    ),
    "encoded": (
        'def encoded: @uri | gsub("%20"; "+") | gsub("~"; "%7E") | gsub("!"; "%21") | gsub("[*]"; "%2A")'
        ' | gsub("\\u0027"; "%27") | gsub("[(]"; "%28") | gsub("[)]"; "%29");'
    ),
    "text": 'def text: if . == null then "" elif type == "string" then . else tojson end;',
}
"""Functions of jq, each before those that it uses."""

_FORM = 'to_entries | map(.key + "=" + (.value | @uri | gsub("%3A"; ":"))) | join("&")'


def needs_jq(plan: Plan) -> bool:
    """Whether the sample takes JSON apart, or what it reads as such."""
    return bool(plan.members) or plan.takes_query


def begun(plan: Plan, sample: Sample) -> Iterator[str]:
    """Give the lines that say what is in query and body."""
    if plan.takes_query:
        yield f"parameters={shlex.quote(_json(sample.query))}"
    if plan.members:
        yield f"members={shlex.quote(_json(sample.body) if plan.members == 'form' else sample.body)}"


def _json(text: str) -> str:
    return json.dumps(dict(parse_qsl(text, keep_blank_values=True)), separators=(",", ":"))


def query(plan: Plan) -> Iterator[str]:
    """Give the lines that put into the query what goes there before signing."""
    for name, variable in plan.query_carried:
        yield from parameter(plan, name, variable)


def parameter(plan: Plan, name: str, variable: str) -> Iterator[str]:
    """Give the lines that put one parameter behind the query."""
    if plan.takes_query:
        yield _put("parameters", [name], variable, number=False)
    yield f'query=${{query:+$query&}}{name}=$(encoded "${variable}" -._~:)'


def body(plan: Plan) -> Iterator[str]:
    """Give the lines that put into the body what goes there before signing."""
    for way, variable, number in plan.carried:
        yield _put("members", way, variable, number=number)
    if plan.carried:
        yield written(plan)


def signature(plan: Plan) -> Iterator[str]:
    """Give the lines that put the signature into the body."""
    if plan.signature_at:
        yield _put("members", plan.signature_at, "signature", number=False)
        yield written(plan)


def written(plan: Plan) -> str:
    """Give the line that writes the body anew."""
    program = _FORM if plan.members == "form" else "."
    option = "-rj" if plan.members == "form" else "-cj"
    return f'jq {option} \'{program}\' <<< "$members" > "$work/body"'


def _put(into: str, way: Sequence[str | int], variable: str, *, number: bool) -> str:
    option = "--argjson" if number else "--arg"
    program = shlex.quote(f"setpath({json.dumps(list(way))}; $value)")
    return f'{into}=$(jq -c {option} value "${variable}" {program} <<< "${into}")'


def in_shell(taken: Taken, joined: Joined) -> str:
    """Give the line that makes the variable of a part."""
    return f"{taken.name}=$({_command(taken, joined)})"


def _command(taken: Taken, joined: Joined) -> str:
    part = taken.part
    if isinstance(part, p.Crc32):
        return "gzip -c \"$work/body\" | tail -c 8 | od -An -v -tu4 -N4 | tr -d ' '"
    if isinstance(part, p.QueryWithout):
        return (
            f"printf '%s' \"$query\" | tr '&' '\\n' | awk -v name={shlex.quote(part.name)} -F= '$1 != name'"
            " | tr '\\n' '&' | sed 's/&$//'"
        )
    if isinstance(part, p.Field):
        way = way_of(part.name) if part.source == "json" else [part.name]
        value = _jq(f"try getpath({json.dumps(way)}) catch null | text", _source(part))
        return f"LC_ALL=C printf '%.2f' \"$({value})\"" if part.format == "two-decimals" else value
    if isinstance(part, p.Serialized):
        return _jq(f"getpath({json.dumps(way_of(part.pointer))}) | run_together", "members")
    if isinstance(part, p.SortedJson):
        options = ("S" if part.depth == "all" else "") + ("a" if part.php else "")
        program = "." if part.depth == "all" else "to_entries | sort_by(.key) | from_entries"
        made = f"jq -cj{options} '{program}' <<< \"${_source(part)}\""
        return f"{made} | sed 's,/,\\\\/,g'" if part.php else made
    if not isinstance(part, p.Parameters):
        raise TypeError(part)
    return _parameters(taken, part, joined)


def _parameters(taken: Taken, part: p.Parameters, joined: Joined) -> str:
    found = [*(["$parameters"] if taken.of_query else []), *(["$members"] if taken.of_body else [])]
    given = "".join(f' --argjson {source[1:]} "{source}"' for source in found)
    for number, (name, pieces) in enumerate(taken.headers):
        given += f" --arg field{number} {joined(pieces)}"
        found.append(f"{{{json.dumps(name)}: $field{number}}}")
    steps = [" + ".join(found), "to_entries", "sort_by(.key)"]
    if part.without:
        steps.append(f"map(select(.key as $key | {json.dumps(list(part.without))} | index($key) | not))")
    steps.append("map({key, value: (.value | text)})")
    if part.skip_empty:
        steps.append('map(select(.value != ""))')
    key, value = ("(.key | encoded)", "(.value | encoded)") if part.encoded else (".key", ".value")
    pair = ".value" if part.write == "values" else f"{key} + {json.dumps(part.equals)} + {value}"
    steps += [f"map({pair})", f"join({json.dumps(part.join)})"]
    return f"jq -nrj{given} {shlex.quote(_with_definitions(' | '.join(steps)))}"


def _jq(program: str, source: str) -> str:
    return f'jq -rj {shlex.quote(_with_definitions(program))} <<< "${source}"'


def _with_definitions(program: str) -> str:
    found = program
    for name, definition in _DEFINITIONS.items():
        if name in found:
            found = f"{definition} {found}"
    return found


def _source(part: p.Field | p.SortedJson) -> str:
    return "parameters" if part.source == "query" else "members"
