"""Component values (RFC 9421 section 2): the text that stands for a component of a message in the signature base."""

from base64 import b64encode
from collections.abc import Callable, Mapping
from urllib.parse import quote, unquote_to_bytes

from http_sf.retrofit import retrofit

from gateway.core.message import Headers
from gateway.signing.httpsig.component import Component
from gateway.signing.httpsig.fields import KINDS, Kind, Member, read_dictionary, rewrite, write
from gateway.signing.httpsig.message import Message, Request, Response

MAX_QUERY_PARAMETERS = 256
"""Parameters of a query of which one is covered by name; the others are read too."""

_OWN: Mapping[str, Kind] = {
    "accept-signature": "dictionary",
    "client-cert": "item",
    "client-cert-chain": "list",
    "content-digest": "dictionary",
    "idempotency-key": "item",
    "repr-digest": "dictionary",
    "signature": "dictionary",
    "signature-input": "dictionary",
    "want-content-digest": "dictionary",
    "want-repr-digest": "dictionary",
}
FIELD_KINDS: Mapping[str, Kind] = {
    **{name: kind for name, written in retrofit.items() for kind in KINDS if kind == written},
    **_OWN,
}
"""Fields whose structure is known, which `sf` needs (RFC 9421 2.1.1)."""

_ALONE = frozenset({"set-cookie"})
"""Fields whose lines cannot be joined (RFC 9110 5.3): several are signed with `bs` only (RFC 9421 2.1)."""


class AbsentError(ValueError):
    """A covered component that the message does not have."""


class Reading:
    """A message whose values are read, so that no field and no query is taken apart twice."""

    __slots__ = ("_dictionaries", "_query", "message")

    def __init__(self, message: Message) -> None:
        self.message = message
        self._dictionaries: dict[str, dict[str, Member]] = {}
        self._query: dict[str, list[str]] | None = None

    @property
    def request(self) -> Request:
        """The request itself. Raises ValueError in a response, where only components with `req` are of one."""
        if isinstance(self.message, Response):
            raise ValueError("the component is of requests (RFC 9421 2.2)")  # noqa: TRY004 - a fault of the signer
        return self.message

    def of_request(self) -> "Reading":
        """Give the request that the response answers."""
        if isinstance(self.message, Request):
            raise ValueError("`req` in a request: there is no other one (RFC 9421 2.4)")  # noqa: TRY004 - as above
        if self.message.request is None:
            raise AbsentError("the request of the response is not known")
        return Reading(self.message.request)

    def lines(self, component: Component) -> tuple[str, ...]:
        """Give the values of a field's lines."""
        section: Headers | None = self.message.trailers if component.tr else self.message.headers
        if section is None:
            raise AbsentError(f"covers {component.identifier}, and the message has no trailers")
        found = section.all(component.name)
        if not found and component.name == "host" and isinstance(self.message, Request) and not component.tr:
            return (self.message.authority,)  # :authority in HTTP/2, which stands for Host (RFC 9113 8.3.1)
        if not found:
            raise AbsentError(f"covers {component.identifier}, which the message does not have")
        return found

    def dictionary(self, component: Component) -> dict[str, Member]:
        """Give a dictionary field."""
        place = f"{component.name};tr" if component.tr else component.name
        found = self._dictionaries.get(place)
        if found is None:
            found = self._dictionaries[place] = read_dictionary(", ".join(self.lines(component)))
        return found

    def parameters(self) -> dict[str, list[str]]:
        """Give the query's parameters, names and values encoded again (RFC 9421 2.2.8)."""
        if self._query is None:
            self._query = read_query(self.request.query or "")
        return self._query


type Value = Callable[[Reading], str]


def value_of(component: Component, kinds: Mapping[str, Kind]) -> Value:
    """Give the function that finds a component's value; `kinds` tells the structure of fields that are not known.

    The function raises AbsentError where the message lacks the component, and ValueError where it cannot be signed.
    Raises ValueError where the structure of a field is asked for and not known.
    """
    value = _DERIVED.get(component.name) or _field_value(component, kinds)
    if component.parameter is not None:
        value = _parameter_value(component)
    return (lambda reading: value(reading.of_request())) if component.req else value


def _path_and_query(request: Request) -> str:
    return request.path if request.query is None else f"{request.path}?{request.query}"


def _query(reading: Reading) -> str:
    query = reading.request.query
    if query == "":
        raise ValueError("the target ends with an empty query, which signs like none (RFC 9421 2.2.7): leave `?` out")
    return f"?{query or ''}"


def _status(reading: Reading) -> str:
    if isinstance(reading.message, Request):
        raise ValueError("@status in a request: it has none (RFC 9421 2.2.9)")  # noqa: TRY004 - a fault of the signer
    return str(reading.message.status)


def _target_uri(reading: Reading) -> str:
    request = reading.request
    return f"{request.scheme}://{request.authority}{_path_and_query(request)}"


_DERIVED: Mapping[str, Value] = {
    "@method": lambda reading: reading.request.method,
    "@target-uri": _target_uri,
    "@authority": lambda reading: reading.request.normal_authority,
    "@scheme": lambda reading: reading.request.scheme,
    "@request-target": lambda reading: reading.request.target,
    "@path": lambda reading: reading.request.path or "/",
    "@query": _query,
    "@status": _status,
}


def _field_value(component: Component, kinds: Mapping[str, Kind]) -> Value:
    if component.bs:
        return lambda reading: ", ".join(
            f":{b64encode(line.encode('latin-1')).decode()}:" for line in reading.lines(component)
        )
    if component.key is not None:
        return _member_value(component, component.key)
    if component.sf:
        kind = kinds.get(component.name) or FIELD_KINDS.get(component.name)
        if kind is None:
            raise ValueError(f"the structure of {component.identifier} is not known (RFC 9421 2.1.1)")
        return lambda reading: rewrite(", ".join(reading.lines(component)), kind)
    return lambda reading: _joined(reading.lines(component), component)


def _joined(lines: tuple[str, ...], component: Component) -> str:
    if len(lines) > 1 and component.name in _ALONE:
        raise ValueError(f"several {component.name} lines cannot be joined: they are signed with `bs` (RFC 9421 2.1)")
    return lines[0] if len(lines) == 1 else ", ".join(lines)


def _member_value(component: Component, key: str) -> Value:
    def value(reading: Reading) -> str:
        member = reading.dictionary(component).get(key)
        if member is None:
            raise AbsentError(f"covers {component.identifier}, which the message does not have")
        return write(member)

    return value


def _parameter_value(component: Component) -> Value:
    wanted = component.parameter or ""

    def value(reading: Reading) -> str:
        values = reading.parameters().get(wanted)
        if values is None:
            raise AbsentError(f"covers {component.identifier}, which the message does not have")
        if len(values) > 1:
            raise ValueError(f"{component.identifier} stands {len(values)} times in the query (RFC 9421 2.2.8)")
        return values[0]

    return value


def read_query(query: str) -> dict[str, list[str]]:
    """Read a query's parameters as forms are, and encode names and values again (RFC 9421 2.2.8).

    Raises ValueError for octets that are no UTF-8, which would all be read as the same replacement character, and for
    more than MAX_QUERY_PARAMETERS.
    """
    pairs = [pair for pair in query.split("&") if pair]
    if len(pairs) > MAX_QUERY_PARAMETERS:
        raise ValueError(f"{len(pairs)} query parameters; at most {MAX_QUERY_PARAMETERS} where one is signed by name")
    found: dict[str, list[str]] = {}
    for pair in pairs:
        name, _, value = pair.partition("=")
        found.setdefault(_encoded_again(name), []).append(_encoded_again(value))
    return found


def _encoded_again(text: str) -> str:
    octets = unquote_to_bytes(text.replace("+", " "))
    try:
        octets.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError("a query parameter is not UTF-8 (RFC 9421 2.2.8)") from None
    # Python leaves `~` as it is, which the URL standard's set for forms encodes.
    return quote(octets, safe="*-._").replace("~", "%7E")
