"""What OpenSSL can be told, and Python's `ssl` has no words for: by OpenSSL's own public functions.

They are those of the very library that `ssl` uses, found through its extension module. Where a context lies in memory
is learnt from OpenSSL too: it tells whoever asked for room in its contexts (CRYPTO_get_ex_new_index) of each one made.
Whatever of that does not work out raises ssl.SSLError, so a gate without these bounds does not start.

Certificates are looked at on their way in: OpenSSL shows each message of a handshake to a callback before it reads it.
What must not be read is overwritten there, and the handshake fails with the reason.
"""

import _ssl
import ctypes
import ssl
import threading
from functools import cache

from gateway.core.reasons import Denied, Reason
from gateway.pki.offered import MAX_BYTES, examine

_MAKING = ctypes.CFUNCTYPE(
    None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_int, ctypes.c_long, ctypes.c_void_p
)
_MESSAGE = ctypes.CFUNCTYPE(
    None, ctypes.c_int, ctypes.c_int, ctypes.c_int, ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p, ctypes.c_void_p
)

_EX_INDEX_SSL_CTX = 1
_SET_MAX_CERT_LIST = 51
_SET_GROUPS_LIST = 92
_NO_CERTIFICATE_COMPRESSION = 3 << 32
"""SSL_OP_NO_TX_CERTIFICATE_COMPRESSION and its kin for what is received: since OpenSSL 3.2, unknown before."""

_HANDSHAKE = 22
_CLIENT_HELLO, _CERTIFICATE, _FINISHED, _COMPRESSED_CERTIFICATE = 1, 11, 20, 25
_CERTIFICATES = frozenset({_CERTIFICATE, _COMPRESSED_CERTIFICATE})
_TLS13 = 0x0304
_RECORD_BYTES, _HEADER_BYTES = 5, 4
"""Of the headers of a record and of a handshake message."""


_FUNCTIONS = (
    (
        "CRYPTO_get_ex_new_index", ctypes.c_int, ctypes.c_int, ctypes.c_long, ctypes.c_void_p, _MAKING, ctypes.c_void_p,
        ctypes.c_void_p,
    ),
    ("SSL_CTX_set_options", ctypes.c_uint64, ctypes.c_void_p, ctypes.c_uint64),
    ("SSL_CTX_ctrl", ctypes.c_long, ctypes.c_void_p, ctypes.c_int, ctypes.c_long, ctypes.c_char_p),
    ("SSL_CTX_set_msg_callback", None, ctypes.c_void_p, _MESSAGE),
    ("SSL_set_msg_callback", None, ctypes.c_void_p, _MESSAGE),
    ("ERR_clear_error", None),
)  # fmt: skip
"""Name, result and arguments, as ssl.h, crypto.h and err.h have them."""


class OfferRefused(ssl.SSLError):
    """A client's certificates were not even read."""

    def __init__(self, denied: Denied) -> None:
        super().__init__(1, denied.detail)
        self.denied = denied


class _Here(threading.local):
    """What happens in this thread: OpenSSL calls back in the thread that called it."""

    def __init__(self) -> None:
        self.made: list[int] | None = None
        """Contexts; None: nobody asks."""
        self.alone = False
        """Whether the step under way has nothing to read but a ClientHello."""
        self.refused: Denied | None = None
        self.connection: int | None = None
        """Whose message was seen last, of the handshake under way."""


_here = _Here()


class GuardedConnection(ssl.SSLObject):
    """A connection whose handshake tells why certificates were not read.

    Being called back for each of the gate's own messages would cost a tenth of the handshake. So where the first thing
    to be read is a ClientHello, with nothing behind it, the callback rests until that was answered.
    """

    incoming: ssl.MemoryBIO | None = None
    """What the client sent; None once a step of the handshake has read any of it."""

    def do_handshake(self) -> None:
        """Go on with the handshake. Raises OfferRefused, and what `ssl` raises."""
        _here.refused, _here.alone = None, self._is_alone()
        try:
            super().do_handshake()
        except ssl.SSLError as error:
            if _here.refused is not None:
                raise OfferRefused(_here.refused) from error
            raise
        finally:
            if _here.alone and _here.connection is not None:
                _library().SSL_set_msg_callback(_here.connection, _ON_MESSAGE)
            _here.connection, _here.alone = None, False
        if _here.refused is not None:
            raise OfferRefused(_here.refused)

    def _is_alone(self) -> bool:
        """Whether the first bytes of the client are one record with one ClientHello, and nothing else has come."""
        incoming = self.incoming
        if incoming is None or not incoming.pending:
            return False
        self.incoming = None
        data = incoming.read()
        incoming.write(data)
        record, message = int.from_bytes(data[3:5]), int.from_bytes(data[6:9])
        whole = len(data) == _RECORD_BYTES + record and record == _HEADER_BYTES + message
        return whole and (data[0], data[5]) == (_HANDSHAKE, _CLIENT_HELLO)

    @property
    def context(self) -> ssl.SSLContext:
        """The context of the connection."""
        return super().context

    @context.setter
    def context(self, context: ssl.SSLContext) -> None:
        """Go on under another one. `ssl` takes the callback away with the old one: it is set again."""
        vars(ssl.SSLObject)["context"].__set__(self, context)
        if _here.connection is None:
            raise _failed("the context of a connection changes only while its handshake is under way")
        _library().SSL_set_msg_callback(_here.connection, _ON_MESSAGE)


class _ServerContext(ssl.SSLContext):
    """A context whose connections can see what they are about to read."""

    def wrap_bio(
        self, incoming: ssl.MemoryBIO, outgoing: ssl.MemoryBIO, server_side: bool = False,
        server_hostname: str | bytes | None = None, session: ssl.SSLSession | None = None,
    ) -> ssl.SSLObject:  # fmt: skip
        """Make a connection."""
        connection = super().wrap_bio(incoming, outgoing, server_side, server_hostname, session)
        if isinstance(connection, GuardedConnection):
            connection.incoming = incoming
        return connection


class Context:
    """A context of a server, and where OpenSSL has it."""

    def __init__(self) -> None:
        """Make one that reads only certificates that are cheap to read. Raises ssl.SSLError."""
        self._library = _library()
        made: list[int] = []
        _here.made = made
        try:
            self.context: ssl.SSLContext = _ServerContext(ssl.PROTOCOL_TLS_SERVER)
        finally:
            _here.made = None
        if len(set(made)) != 1:
            raise _failed("the OpenSSL that was found is not the one that Python's ssl uses")
        self._place, *_ = made
        library, place = self._library, self._place
        options = library.SSL_CTX_set_options(place, _NO_CERTIFICATE_COMPRESSION)
        if options & 0x7FFFFFFF != int(self.context.options) & 0x7FFFFFFF:
            raise _failed("OpenSSL's context is not the one that was made")
        library.SSL_CTX_ctrl(place, _SET_MAX_CERT_LIST, MAX_BYTES, None)
        library.SSL_CTX_set_msg_callback(place, _ON_MESSAGE)
        self.context.sslobject_class = GuardedConnection

    def set_groups(self, *lists: str) -> str:
        """Let key exchanges use these groups only: the first list that this OpenSSL knows. Raises ssl.SSLError."""
        for names in lists:
            if self._library.SSL_CTX_ctrl(self._place, _SET_GROUPS_LIST, 0, names.encode("ascii")) == 1:
                return names
            self._library.ERR_clear_error()
        raise _failed("OpenSSL knows none of the groups")


@cache
def _library() -> ctypes.CDLL:
    """Find the library that Python's ssl uses, and be told of contexts from now on. Raises ssl.SSLError."""
    try:
        library = ctypes.CDLL(getattr(_ssl, "__file__", None))
        for name, result, *arguments in _FUNCTIONS:
            function = getattr(library, name)
            function.restype, function.argtypes = result, arguments
    except (OSError, AttributeError) as error:
        raise _failed(f"the OpenSSL of this Python cannot be reached ({error}): use another build") from None
    if library.CRYPTO_get_ex_new_index(_EX_INDEX_SSL_CTX, 0, None, _ON_MAKING, None, None) < 0:
        raise _failed("OpenSSL does not tell of its contexts")
    return library


def _failed(message: str) -> ssl.SSLError:
    return ssl.SSLError(1, message)


def _made(parent: int, *_: object) -> None:
    if _here.made is not None:
        _here.made.append(parent)


def _arrived(written: int, version: int, kind: int, place: int, length: int, connection: int, _: int) -> None:
    """Look at a message that OpenSSL is about to read, and see no more of a connection once there is no need."""
    if written or kind != _HANDSHAKE or length < _HEADER_BYTES:
        return
    _here.connection = connection
    message = ctypes.string_at(place, 1)[0]
    if message == _CLIENT_HELLO and _here.alone:
        _library().SSL_set_msg_callback(connection, _NOTHING)  # until it is answered
    if message in _CERTIFICATES:
        refused = _refused(message, version, ctypes.string_at(place, length)[_HEADER_BYTES:])
        if refused is not None:
            _here.refused = refused
            ctypes.memset(place + _HEADER_BYTES, 0xFF, length - _HEADER_BYTES)
    if message in _CERTIFICATES or message == _FINISHED:
        _library().SSL_set_msg_callback(connection, _NOTHING)


def _refused(message: int, version: int, body: bytes) -> Denied | None:
    try:
        if message == _COMPRESSED_CERTIFICATE:
            return Denied(Reason.TLS_CERTIFICATE_COSTLY, "compressed, which was not offered")
        examine(body, with_context=version >= _TLS13)
    except Denied as denied:
        return denied
    except BaseException as error:  # noqa: BLE001 - nobody could catch it, and OpenSSL would read on
        return Denied(Reason.TLS_CERTIFICATE_INVALID, f"cannot be looked at: {type(error).__name__}")
    return None


_NOTHING = _MESSAGE()
_ON_MAKING = _MAKING(_made)
_ON_MESSAGE = _MESSAGE(_arrived)
"""Kept for as long as the process lives: OpenSSL knows them by where they are."""
