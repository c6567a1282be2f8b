"""The console's HTTP server: reads, and nothing else. One page at a time asks the log, in a thread of its own."""

import asyncio
import logging
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from tornado.httpserver import HTTPServer
from tornado.web import Application, RequestHandler

from gateway.audit.query.database import QuestionError
from gateway.audit.query.index import IndexUnusableError
from gateway.console import views
from gateway.console.archive import Archive
from gateway.console.door import Door, Verdict
from gateway.console.pages import HERE, page
from gateway.console.views import NotFoundError, Shown
from gateway.core.message import Instant

logger = logging.getLogger("gateway.console")

HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self';"
    " base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""No script at all, from nowhere."""

_LINK = "Open the link that `gateway console` printed. It works once; start the console again for a new one."

_REFUSALS = {
    Verdict.STRANGER: ("The link is needed", _LINK),
    Verdict.ELSEWHERE: ("Refused", "Another site's page asked for this. Type the address yourself."),
    Verdict.NOT_OURS: ("Refused", "This console answers under 127.0.0.1 and localhost only."),
}

_STATIC = {"console.css": "text/css; charset=utf-8", "icon.svg": "image/svg+xml"}

MAX_HEADER = 16_384
"""Bytes of a request's head."""


@dataclass(frozen=True, slots=True)
class Desk:
    """What every request needs."""

    archive: Archive
    door: Door
    threads: ThreadPoolExecutor
    now: Callable[[], Instant]


class _Page(RequestHandler):
    """One page. It never says more of an error than that there was one."""

    SUPPORTED_METHODS: ClassVar[tuple[str, ...]] = ("GET", "HEAD")  # type: ignore[misc] # tornado types them one by one

    def initialize(self, desk: Desk) -> None:
        self.desk = desk

    def set_default_headers(self) -> None:
        self.clear_header("Server")
        for name, value in HEADERS.items():
            self.set_header(name, value)

    def prepare(self) -> None:
        verdict = self.desk.door.verdict(
            self.request.headers, self.request.path, self.get_query_argument("token", None)
        )
        if verdict is Verdict.ENTERS:
            self.set_header("Set-Cookie", self.desk.door.cookie)
            self._message("Welcome", "The console opens.", onward="/")
        elif verdict is not Verdict.WELCOME:
            self.set_status(verdict.value)
            self._message(*_REFUSALS[verdict])

    async def get(self) -> None:
        if self.request.path == "/enter":
            self._message("Welcome", "The console opens.", onward="/")
            return
        shown = await asyncio.get_running_loop().run_in_executor(self.desk.threads, self._shown)
        await self.finish(page(shown.template, shown.values))

    async def head(self) -> None:
        await self.get()

    def _shown(self) -> Shown:
        asked = {name: self.get_query_argument(name, "") for name in self.request.query_arguments}
        return views.shown(self.desk.archive, self.request.path, asked, self.desk.now())

    def write_error(self, status_code: int, **details: object) -> None:
        caught = details.get("exc_info")
        error = caught[1] if isinstance(caught, tuple) else None
        title, text = "It did not work", "The console's standard error says why."
        if isinstance(error, NotFoundError):
            self.set_status(404)
            title, text = "Not there", str(error)
        elif isinstance(error, OSError | IndexUnusableError | QuestionError):
            title, text = "The log cannot be read", str(error)
        elif status_code == 405:
            title, text = "Refused", "The console only shows; nothing can be sent to it."
        self._message(title, text)

    def log_exception(self, *caught: object) -> None:
        error = caught[1]
        if not isinstance(error, NotFoundError):
            logger.error("%s: %s: %s", self.request.path, type(error).__name__, error)

    def _message(self, title: str, text: str, onward: str = "") -> None:
        self.finish(page("message.html", {**views.FRAME, "title": title, "text": text, "onward": onward}))


class _Static(_Page):
    """The style sheet and the icon; nothing else is served from the disk."""

    async def get(self, name: str) -> None:  # type: ignore[override] # the route has one group
        self.set_header("Content-Type", _STATIC[name])
        await self.finish((HERE / "static" / name).read_bytes())

    async def head(self, name: str) -> None:  # type: ignore[override]
        await self.get(name)


def application(desk: Desk) -> Application:
    """Give the application."""
    static = "|".join(name.replace(".", r"\.") for name in _STATIC)
    return Application(
        [(rf"/static/({static})", _Static, {"desk": desk}), (r"/.*", _Page, {"desk": desk})],
        log_function=_log,
    )


def _log(handler: RequestHandler) -> None:
    """Say who looked at what: access to a log is recorded too (PCI DSS 10.2.1.3). Never the link's token."""
    request = handler.request
    what = "/enter" if request.path == "/enter" else request.uri
    certificate = request.get_ssl_certificate() if request.protocol == "https" else None
    who = request.remote_ip
    if isinstance(certificate, Mapping):
        who = f"{who} ({', '.join(value for pairs in certificate['subject'] for _, value in pairs)})"
    logger.info("%s %s %r %d", who, request.method, what, handler.get_status())


def client_tls(certificate: Path, key: Path, client_ca: Path) -> ssl.SSLContext:
    """Give TLS that lets in only who has a certificate of `client_ca`. Raises OSError and ssl.SSLError."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(client_ca))
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.verify_mode = ssl.CERT_REQUIRED
    context.load_cert_chain(certificate, key)
    return context


async def serve(
    archive: Archive, port: int, tls: ssl.SSLContext | None, opened: Callable[[Door], None], until: asyncio.Event
) -> None:
    """Serve on the loopback until told to stop; `opened` gets the door. Raises OSError where the port is taken."""
    listening = socket.create_server(("127.0.0.1", port))
    listening.setblocking(False)
    door = Door(listening.getsockname()[1], certificates=tls is not None)
    with ThreadPoolExecutor(max_workers=1, thread_name_prefix="log") as threads:
        desk = Desk(archive, door, threads, lambda: Instant(time.time()))
        server = HTTPServer(application(desk), ssl_options=tls, max_header_size=MAX_HEADER, max_body_size=0)
        server.add_socket(listening)
        opened(door)
        try:
            await until.wait()
        finally:
            server.stop()
            await server.close_all_connections()
