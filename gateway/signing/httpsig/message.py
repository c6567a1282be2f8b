"""The messages that signatures are about, in the words of RFC 9110: a request, or a response with its request."""

from typing import NamedTuple

from gateway.core.message import Headers, RequestHead

_DEFAULT_PORTS = {"https": ":443", "http": ":80"}


class Request(NamedTuple):
    """What of a request can be signed."""

    method: str
    scheme: str
    """Lower case."""
    authority: str
    """Host and port as received."""
    target: str
    """The request target as received."""
    path: str
    query: str | None
    """Without the question mark; None where there is none."""
    headers: Headers
    trailers: Headers | None = None
    """None where there are none."""

    @classmethod
    def of(cls, head: RequestHead, scheme: str = "https") -> "Request":
        """Make one of a head that came over TLS, as every one does that the gate takes."""
        return cls(
            head.method, scheme, head.authority, head.target, head.path, head.query, head.headers, head.trailers
        )  # fmt: skip

    @property
    def normal_authority(self) -> str:
        """The authority in lower case, without the scheme's default port (RFC 9421 2.2.3, RFC 9110 4.2.3)."""
        return self.authority.lower().removesuffix(_DEFAULT_PORTS.get(self.scheme, ""))


class Response(NamedTuple):
    """What of a response can be signed."""

    status: int
    headers: Headers
    request: Request | None = None
    """The request it answers, for components with `req`."""
    trailers: Headers | None = None


type Message = Request | Response
