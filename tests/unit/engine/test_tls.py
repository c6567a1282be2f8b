import ssl
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from gateway.core.message import Instant, Tls
from gateway.core.policy import ListenerTls
from gateway.core.reasons import Denied, Reason
from gateway.engine import tls
from gateway.engine.tls import ServerContext, handshake_failure
from gateway.pki.authority import Names, Purpose, Validity
from tests.engine import pki


class Client:
    """A client that makes handshakes in memory."""

    def __init__(self, directory: Path, certificate: str | None = "partner", *, alpn: str = "http/1.1") -> None:
        self.context = pki.client_context(directory, certificate, alpn=alpn)
        self.session: ssl.SSLSession | None = None
        self._open: list[ssl.SSLObject] = []
        """OpenSSL forgets the session of a connection that is let go of without being closed."""

    def connect(self, server: ServerContext, name: str = "localhost") -> ssl.SSLObject:
        """Shake hands; gives the server's side. Raises what the server's OpenSSL does."""
        to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
        mine = self.context.wrap_bio(to_client, to_server, server_hostname=name, session=self.session)
        theirs = server.context.wrap_bio(to_server, to_client, server_side=True)
        for _ in range(4):
            for side in (mine, theirs):
                try:
                    side.do_handshake()
                except ssl.SSLWantReadError:
                    continue
        self.session = mine.session
        self._open += (mine, theirs)
        return theirs


@pytest.fixture
def settings(tmp_path: Path) -> ListenerTls:
    return pki.write(tmp_path)


@pytest.fixture
def server(settings: ListenerTls) -> ServerContext:
    return ServerContext(settings)


def facts_of(server: ServerContext, connection: ssl.SSLObject) -> Tls:
    return server.facts(connection, server.chain(connection))


def leaf_end(name: str = "partner") -> Instant:
    return Instant(pki.pki().clients[name].certificate.not_valid_after_utc.timestamp())


# Facts of a handshake


def test_the_facts_are_those_of_the_handshake(server: ServerContext, tmp_path: Path) -> None:
    facts = facts_of(server, Client(tmp_path, alpn="h2").connect(server))
    assert isinstance(facts, Tls)
    assert (facts.version, facts.server_name, facts.alpn) == ("TLSv1.3", "localhost", "h2")
    assert facts.cipher.startswith("TLS_")
    assert facts.certificate is not None
    assert facts.certificate.san_uri == (pki.PARTNER_URI,)
    assert facts.certificate.not_after == leaf_end()


def test_a_client_may_come_without_a_certificate_where_the_listener_lets_it(
    settings: ListenerTls, tmp_path: Path
) -> None:
    server = ServerContext(replace(settings, client_certificate_required=False))
    assert facts_of(server, Client(tmp_path, None).connect(server)).certificate is None


def test_an_issuer_that_ends_before_the_certificate_counts(settings: ListenerTls, tmp_path: Path) -> None:
    sooner = Validity(pki.VALID.not_before, Instant(int(pki.VALID.not_after) - 3600.0))
    issuing = pki.pki().partners.subordinate("Issuing CA", sooner)
    client = issuing.issue(Names("casino", uris=(pki.PARTNER_URI,)), Purpose.CLIENT, pki.VALID)
    (tmp_path / "below.pem").write_bytes(client.certificate_pem() + client.key_pem())

    server = ServerContext(settings)
    certificate = facts_of(server, Client(tmp_path, "below").connect(server)).certificate

    assert certificate is not None
    assert certificate.not_after == sooner.not_after


def test_a_certificate_that_cannot_be_read_is_an_error(
    server: ServerContext, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def unreadable(*_: object) -> None:
        raise ValueError("certificate cannot be read")

    monkeypatch.setattr(tls.Chain, "read", unreadable)
    with pytest.raises(Denied, match="cannot be read") as caught:
        facts_of(server, Client(tmp_path).connect(server))
    assert caught.value.reason is Reason.TLS_CERTIFICATE_INVALID


# Resumption


@pytest.fixture
def returning(tmp_path: Path) -> Client:
    """A client whose sessions can be resumed: of TLS 1.2."""
    client = Client(tmp_path)
    client.context.maximum_version = ssl.TLSVersion.TLSv1_2
    return client


def test_a_resumed_session_has_the_end_of_the_chain_that_was_verified(server: ServerContext, returning: Client) -> None:
    first = facts_of(server, returning.connect(server))
    connection = returning.connect(server)
    assert connection.session_reused
    assert facts_of(server, connection) == first
    assert first.certificate is not None


def test_a_resumed_session_whose_chain_is_not_remembered_is_refused(
    server: ServerContext, returning: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls, "REMEMBERED_CHAINS", 1)
    facts_of(server, returning.connect(server))
    facts_of(server, Client(tmp_path, "other").connect(server))  # takes its place

    connection = returning.connect(server)

    assert connection.session_reused
    with pytest.raises(Denied) as caught:
        facts_of(server, connection)
    assert caught.value.reason is Reason.TLS_RESUMPTION


def test_a_chain_that_is_used_stays_remembered(
    server: ServerContext, returning: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tls, "REMEMBERED_CHAINS", 2)
    facts_of(server, returning.connect(server))
    for name in ("other", "partner", "nobody"):
        facts_of(server, Client(tmp_path, name).connect(server))

    connection = returning.connect(server)

    assert connection.session_reused
    assert facts_of(server, connection).certificate is not None
    assert len(server._chains) == 2


def test_a_session_of_another_context_is_not_resumed(settings: ListenerTls, returning: Client) -> None:
    returning.connect(ServerContext(settings))
    assert not returning.connect(ServerContext(settings)).session_reused


def test_sessions_of_tls_1_3_are_not_resumed(server: ServerContext, tmp_path: Path) -> None:
    client = Client(tmp_path)
    client.connect(server)
    assert not client.connect(server).session_reused


# The context


@pytest.mark.parametrize(
    ("certificate", "reason"),
    [
        (None, Reason.TLS_NO_CERTIFICATE),
        ("foreign", Reason.TLS_CERTIFICATE_UNTRUSTED),
        ("expired", Reason.TLS_CERTIFICATE_EXPIRED),
        ("server", Reason.TLS_CERTIFICATE_PURPOSE),
    ],
)
def test_openssl_refuses_what_it_is_told_to(
    server: ServerContext, tmp_path: Path, certificate: str | None, reason: Reason
) -> None:
    with pytest.raises(ssl.SSLError) as caught:
        Client(tmp_path, certificate).connect(server)
    assert handshake_failure(caught.value)[0] is reason


def test_a_listener_may_speak_tls_1_3_only(settings: ListenerTls, returning: Client) -> None:
    with pytest.raises(ssl.SSLError) as caught:
        returning.connect(ServerContext(replace(settings, minimum="1.3")))
    assert handshake_failure(caught.value)[0] is Reason.TLS_VERSION


def test_tls_1_2_has_forward_secrecy_and_authenticated_encryption_only(server: ServerContext) -> None:
    old = [cipher for cipher in server.context.get_ciphers() if cipher["protocol"] == "TLSv1.2"]
    assert old
    assert all(cipher["kea"] == "kx-ecdhe" and cipher["aead"] for cipher in old)
    assert server.context.minimum_version == ssl.TLSVersion.TLSv1_2


def test_certificates_are_checked_by_the_strict_rules_and_sessions_are_never_in_tickets(server: ServerContext) -> None:
    context = server.context
    assert context.verify_flags & ssl.VERIFY_X509_STRICT
    assert context.options & ssl.OP_NO_TICKET
    assert context.options & ssl.OP_NO_RENEGOTIATION
    assert context.options & ssl.OP_NO_COMPRESSION
    assert context.num_tickets == 0


@pytest.mark.parametrize("file", ["certificate", "key", "client_ca"])
def test_a_file_that_is_not_there_or_no_pem_is_an_error(settings: ListenerTls, tmp_path: Path, file: str) -> None:
    (tmp_path / "broken.pem").write_text("-----BEGIN")
    with pytest.raises(FileNotFoundError):
        ServerContext(replace(settings, **{file: tmp_path / "nowhere.pem"}))
    with pytest.raises(ssl.SSLError):
        ServerContext(replace(settings, **{file: tmp_path / "broken.pem"}))


def test_contexts_that_trust_other_authorities_are_told_apart(settings: ListenerTls, tmp_path: Path) -> None:
    trusted = ServerContext(settings).trusted
    assert len(trusted) == 1
    assert ServerContext(replace(settings, minimum="1.3")).trusted == trusted
    assert ServerContext(replace(settings, client_ca=tmp_path / "operator-ca.pem")).trusted != trusted


# Why a handshake failed


def verification(code: int) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code, error.verify_message = code, "in OpenSSL's words"
    return error


def failure(reason: str | None, words: str = "unknown error") -> ssl.SSLError:
    error = ssl.SSLError(1, words)
    error.reason = reason  # type: ignore[assignment]
    return error


def failures() -> Iterator[tuple[BaseException, Reason, str]]:
    for code, reason in {
        2: Reason.TLS_CERTIFICATE_UNTRUSTED, 9: Reason.TLS_CERTIFICATE_EXPIRED, 10: Reason.TLS_CERTIFICATE_EXPIRED,
        18: Reason.TLS_CERTIFICATE_UNTRUSTED, 19: Reason.TLS_CERTIFICATE_UNTRUSTED,
        20: Reason.TLS_CERTIFICATE_UNTRUSTED, 21: Reason.TLS_CERTIFICATE_UNTRUSTED,
        22: Reason.TLS_CERTIFICATE_CHAIN, 25: Reason.TLS_CERTIFICATE_CHAIN, 32: Reason.TLS_CERTIFICATE_CHAIN,
        47: Reason.TLS_CERTIFICATE_CHAIN, 48: Reason.TLS_CERTIFICATE_CHAIN, 79: Reason.TLS_CERTIFICATE_CHAIN,
        66: Reason.TLS_CERTIFICATE_WEAK, 67: Reason.TLS_CERTIFICATE_WEAK, 68: Reason.TLS_CERTIFICATE_WEAK,
        26: Reason.TLS_CERTIFICATE_PURPOSE, 34: Reason.TLS_CERTIFICATE_INVALID, 92: Reason.TLS_CERTIFICATE_INVALID,
    }.items():  # fmt: skip
        yield verification(code), reason, f"in OpenSSL's words (OpenSSL {code})"
    for word, reason in {
        "HTTP_REQUEST": Reason.TLS_PLAINTEXT, "HTTPS_PROXY_REQUEST": Reason.TLS_PLAINTEXT,
        "WRONG_VERSION_NUMBER": Reason.TLS_PLAINTEXT, "PACKET_LENGTH_TOO_LONG": Reason.TLS_PLAINTEXT,
        "PEER_DID_NOT_RETURN_A_CERTIFICATE": Reason.TLS_NO_CERTIFICATE, "UNSUPPORTED_PROTOCOL": Reason.TLS_VERSION,
        "TLSV1_ALERT_UNKNOWN_CA": Reason.TLS_HANDSHAKE, "NO_SHARED_CIPHER": Reason.TLS_HANDSHAKE,
    }.items():  # fmt: skip
        yield failure(word), reason, word.lower().replace("_", " ")
    yield failure(None, "VERSION_TOO_LOW"), Reason.TLS_VERSION, "version too low"
    yield failure(None), Reason.TLS_HANDSHAKE, "unknown error"
    yield TimeoutError(), Reason.TLS_TIMEOUT, "the handshake was not finished in time"
    words = "SSL handshake is taking longer than 10 seconds: aborting the connection"
    yield ConnectionAbortedError(words), Reason.TLS_TIMEOUT, "the handshake was not finished in time"
    gone = "the peer closed the connection during the handshake"
    for error in (ConnectionAbortedError(), ConnectionResetError("handshake"), BrokenPipeError(), OSError("broken")):
        yield error, Reason.TLS_HANDSHAKE, gone


@pytest.mark.parametrize(("error", "reason", "words"), failures(), ids=lambda value: str(value)[:40])
def test_a_failed_handshake_has_its_reason(error: BaseException, reason: Reason, words: str) -> None:
    assert handshake_failure(error) == (reason, words)
