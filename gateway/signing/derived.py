"""The text of the parts for which query or body are taken apart."""

from collections.abc import Callable, Iterable, Iterator
from decimal import Decimal, InvalidOperation
from urllib.parse import quote_plus
from zlib import crc32

from gateway.signing import parts as p
from gateway.signing.content import Content, Json, find, read_pointer, scalar, write_json

type Derive = Callable[[Content], str]
"""Gives a part's text. Raises ValueError where the message does not have it, or it could be read in two ways."""

_CENT = Decimal("0.01")
_MAX_AMOUNT = 40
"""Characters of an amount: more digits than any currency needs."""


def derive(part: p.Part) -> Derive:
    """Compile a part. Raises ValueError for one that can never be found, KeyError for parts that are not derived."""
    return _COMPILERS[type(part)](part)


def field_finder(source: p.Source, name: str) -> Callable[[Content], Json]:
    """Give the function that finds one parameter. It raises KeyError where there is none, ValueError as `Derive`."""
    if source == "json":
        pointer = read_pointer(name)
        return lambda content: find(content.json, pointer)
    if source == "form":
        return lambda content: content.form[name]
    return lambda content: content.query[name]


def _field(part: p.Field) -> Derive:
    finder = field_finder(part.source, part.name)
    amount = part.format == "two-decimals"

    def text(content: Content) -> str:
        try:
            value = scalar(finder(content))
        except KeyError:
            if part.optional:
                return ""
            raise ValueError(f"no {p.label(part)}, which is signed") from None
        return _two_decimals(value, part) if amount else value

    return text


def _two_decimals(text: str, part: p.Field) -> str:
    try:
        number = Decimal(text) if len(text) <= _MAX_AMOUNT else Decimal("NaN")
        written = number.quantize(_CENT)
    except InvalidOperation:
        raise ValueError(f"{p.label(part)} is no amount") from None
    if not number.is_finite() or written != number:
        raise ValueError(f"{p.label(part)} is no amount with at most two decimals")
    return str(written)


def query_without(query: str | None, name: str) -> str:
    """Give a query without one parameter, the rest as received."""
    pairs = (query or "").split("&")
    return "&".join(pair for pair in pairs if pair.partition("=")[0] != name)


def _parameters(part: p.Parameters) -> Derive:
    def text(content: Content) -> str:
        found: dict[str, str] = {}
        for name, value in _pairs(part, content):
            if name in found:
                raise ValueError("a parameter stands in two places, of which one would count")
            found[name] = value
        left = sorted((name.encode(), name) for name in found.keys() - set(part.without))
        pairs = [(name, found[name]) for _, name in left if found[name] or not part.skip_empty]
        if part.write == "values":
            return part.join.join(_unambiguous(part, (value for _, value in pairs)))
        if part.encoded:
            return part.join.join(f"{_encoded(name)}{part.equals}{_encoded(value)}" for name, value in pairs)
        if any(part.equals in name for name, _ in pairs):
            raise ValueError(f"a parameter's name holds {part.equals!r}, so the parameters could be read in two ways")
        return part.join.join(_unambiguous(part, (f"{name}{part.equals}{value}" for name, value in pairs)))

    return text


def _pairs(part: p.Parameters, content: Content) -> Iterator[tuple[str, str]]:
    for source in part.sources:
        if source == "json":
            yield from ((name, scalar(each)) for name, each in _members(content).items())
        else:
            yield from (content.query if source == "query" else content.form).items()
    for name in part.headers:
        header = content.head.headers.single(name.lower())
        if header is None:
            raise ValueError(f"no {name} field, which is signed")
        yield name, header


def _unambiguous(part: p.Parameters, texts: Iterable[str]) -> Iterator[str]:
    for text in texts:
        if part.join and part.join in text:
            raise ValueError(f"a parameter holds {part.join!r}, so the parameters could be read in two ways")
        yield text


def _encoded(text: str) -> str:
    """Encode as PHP's http_build_query does: letters, digits, `-`, `_` and `.` stand for themselves."""
    return quote_plus(text).replace("~", "%7E")


def _sorted_json(part: p.SortedJson) -> Derive:
    def text(content: Content) -> str:
        value = dict[str, Json](content.query) if part.source == "query" else _members(content)
        try:
            return write_json(_sorted(value) if part.depth == "all" else _by_name(value), php=part.php)
        except RecursionError:
            raise ValueError("the body is nested too deeply") from None

    return text


def _members(content: Content) -> dict[str, Json]:
    value = content.json
    if not isinstance(value, dict):
        raise ValueError("the body is no JSON object")  # noqa: TRY004 - a fault of the body
    return value


def _by_name(value: dict[str, Json]) -> dict[str, Json]:
    return dict(sorted(value.items(), key=lambda member: member[0].encode()))


def _sorted(value: Json) -> Json:
    if isinstance(value, dict):
        return {name: _sorted(each) for name, each in _by_name(value).items()}
    return [_sorted(each) for each in value] if isinstance(value, list) else value


def _serialized(part: p.Serialized) -> Derive:
    pointer = read_pointer(part.pointer)

    def text(content: Content) -> str:
        try:
            return "".join(_run_together(find(content.json, pointer)))
        except KeyError:
            raise ValueError(f"no {p.label(part)}, which is signed") from None
        except RecursionError:
            raise ValueError("the body is nested too deeply") from None

    return text


def _run_together(value: Json) -> Iterator[str]:
    if isinstance(value, dict):
        for name, each in _by_name(value).items():
            yield name
            yield from _run_together(each)
    elif isinstance(value, list):
        for each in value:
            yield from _run_together(each)
    else:
        yield scalar(value)


_COMPILERS: dict[type[p.Part], Callable[..., Derive]] = {
    p.Crc32: lambda _part: lambda content: str(crc32(content.body)),
    p.Field: _field,
    p.QueryWithout: lambda part: lambda content: query_without(content.head.query, part.name),
    p.Parameters: _parameters,
    p.SortedJson: _sorted_json,
    p.Serialized: _serialized,
}
