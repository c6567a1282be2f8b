"""Fetching what others publish or answer: bounded in time and size, over TLS that is verified, and never redirected."""

import asyncio
import logging
import ssl
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import PurePath
from typing import Protocol, Self

import httpx

from gateway.core.policy import ClientCertificate

MAX_BYTES = 262_144
"""Bytes of an answer. Key sets are bounded by the same."""

MAX_CONNECTIONS = 64
"""To one server: more would make an outage of its own."""

for _name in ("httpx", "httpcore"):  # they tell of each request, at the level of the gate's own lines
    logging.getLogger(_name).setLevel(logging.WARNING)


class FetchError(Exception):
    """It could not be fetched: why, without any secret."""


@dataclass(frozen=True, slots=True)
class Fetched:
    """A whole answer."""

    status: int
    fields: Mapping[str, str]
    """By lower-case name."""
    body: bytes = field(repr=False)


class Fetches(Protocol):
    """What fetches."""

    async def get(self, url: str, fields: Mapping[str, str] | None = None) -> Fetched:
        """Fetch a resource. Raises FetchError."""
        ...

    async def close(self) -> None:
        """Close the connections."""
        ...


class Fetcher:
    """A client of one server, whose connections are kept. Settings of the environment (proxies, CAs) do not count."""

    def __init__(
        self, ca: PurePath | None = None, client: ClientCertificate | None = None, *, timeout: float = 5.0,
        most: int = MAX_BYTES,
    ) -> None:  # fmt: skip
        """Read the files of CAs, certificate and key; no answer has more than `most` bytes.

        Raises OSError or ssl.SSLError.
        """
        self._most = most
        context = ssl.create_default_context(cafile=None if ca is None else str(ca))
        if client is not None:
            # An empty passphrase: OpenSSL would ask the terminal for one.
            context.load_cert_chain(client.certificate, client.key, password="")
        self._timeout = timeout
        self._client = httpx.AsyncClient(
            verify=context,
            trust_env=False,
            follow_redirects=False,
            timeout=timeout,
            limits=httpx.Limits(max_connections=MAX_CONNECTIONS, max_keepalive_connections=8, keepalive_expiry=30.0),
            headers={"accept-encoding": "identity", "user-agent": "gateway"},
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def get(self, url: str, fields: Mapping[str, str] | None = None) -> Fetched:
        """Fetch a resource. Raises FetchError."""
        return await self._fetch(self._client.build_request("GET", url, headers=fields))

    async def post(self, url: str, form: Mapping[str, str], fields: Mapping[str, str] | None = None) -> Fetched:
        """Send a form. Raises FetchError."""
        return await self._fetch(self._client.build_request("POST", url, data=dict(form), headers=fields))

    async def send(self, url: str, content: bytes, fields: Mapping[str, str]) -> Fetched:
        """Send bytes. Raises FetchError."""
        return await self._fetch(self._client.build_request("POST", url, content=content, headers=fields))

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def _fetch(self, request: httpx.Request) -> Fetched:
        try:
            async with asyncio.timeout(self._timeout):
                response = await self._client.send(request, stream=True)
                try:
                    body = await _body(response, self._most)
                finally:
                    await response.aclose()
        except TimeoutError:
            raise FetchError(f"no whole answer within {self._timeout:g} s") from None
        except httpx.TimeoutException:
            raise FetchError(f"no answer within {self._timeout:g} s") from None
        except (httpx.HTTPError, httpx.InvalidURL, httpx.StreamError, OSError, ssl.SSLError) as error:
            raise FetchError(_words(error)) from None
        fields = {name.lower(): value for name, value in response.headers.items()}
        return Fetched(response.status_code, fields, body)


async def _body(response: httpx.Response, most: int) -> bytes:
    if response.headers.get("content-encoding", "identity") != "identity":
        raise FetchError("the answer is compressed, which was not asked for")
    parts = bytearray()
    async for part in response.aiter_raw():
        parts += part
        if len(parts) > most:
            raise FetchError(f"the answer has more than {most} bytes")
    return bytes(parts)


def _words(error: BaseException) -> str:
    """Say what went wrong: the words of TLS, which name what did not fit, or else the kind of the error."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, ssl.SSLCertVerificationError):
            return f"TLS: {cause.verify_message}"
        if isinstance(cause, ssl.SSLError):
            return f"TLS: {cause.reason or type(cause).__name__}"
        cause = cause.__cause__ or cause.__context__
    return {"ConnectError": "no connection could be made", "RemoteProtocolError": "the answer is no HTTP"}.get(
        type(error).__name__, type(error).__name__
    )
