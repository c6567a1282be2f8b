import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.client import HTTPException
from pathlib import Path

import pytest
import trustme

from gateway.audit.tlog import witness as module
from gateway.audit.tlog.note import Checkpoint
from gateway.audit.tlog.witness import WitnessClient, WitnessError
from tests.unit.audit.examples import NOW
from tests.unit.audit.published import Published, events, signer, stranger
from tests.unit.audit.witness import Witness, serving


@pytest.fixture
def witness() -> Iterator[Witness]:
    with serving(Witness(signer().public)) as one:
        yield one


def grow(log: Published, client: WitnessClient, count: int) -> str:
    log.add(count)
    log.log.sync()
    note = log.publisher.publish(log.log.synced, NOW, client.cosign)
    assert note is not None
    return note


def test_every_checkpoint_is_signed(tmp_path: Path, witness: Witness) -> None:
    log = Published(tmp_path)
    client = WitnessClient(witness.url, witness.public)
    for count in (3, 1, 300, 256):
        note = grow(log, client, count)
        assert note.endswith(witness.cosignature(note))
        assert (log.tlog / "checkpoint").read_text() == note
    assert witness.size == 560
    assert set(witness.paths) == {"/w1/add-checkpoint"}
    log.close()


def test_a_gate_that_starts_asks_what_was_seen(tmp_path: Path, witness: Witness) -> None:
    log = Published(tmp_path)
    grow(log, WitnessClient(witness.url, witness.public), 300)
    grow(log, WitnessClient(witness.url, witness.public), 30)
    assert witness.size == 330
    assert len(witness.paths) == 3
    log.close()


def test_another_log_of_the_same_key_is_not_signed(tmp_path: Path, witness: Witness) -> None:
    first = Published(tmp_path / "1")
    grow(first, WitnessClient(witness.url, witness.public), 30)
    first.close()
    second = Published(tmp_path / "2")
    second.log.append_all(events(2, 7))
    with pytest.raises(WitnessError, match="it answered 422: the proof does not verify"):
        grow(second, WitnessClient(witness.url, witness.public), 40)
    assert not (second.tlog / "checkpoint").exists()
    second.close()


CHECKPOINT = Checkpoint(signer().name, 3, bytes(32))


def cosign(witness: Witness, checkpoint: Checkpoint = CHECKPOINT) -> str:
    client = WitnessClient(witness.url, witness.public)
    return client.cosign(checkpoint, signer().sign(checkpoint.text), lambda _: [])


@pytest.mark.parametrize(
    ("answer", "told"),
    [
        ((404, "no such log\n"), "it answered 404: no such log"),
        ((403, "\n"), "it answered 403: nothing"),
        ((403, "no\x1bt\n"), "it answered 403: no t"),
        ((409, "7\n"), "it answered 409: 7"),
        ((409, "seven\n"), "it answered 409: seven"),
        ((200, ""), "holds no signature of its key"),
        ((200, "— witness.example/w1 AAAA\n"), "holds no signature of its key"),
        ((200, "— witness.example/w1 A\n"), "holds no signature of its key"),
        ((200, "— other AAAA\nrubbish\n"), "holds no signature of its key"),
    ],
)
def test_what_is_no_signature(witness: Witness, answer: tuple[int, str], told: str) -> None:
    witness.answer = answer
    with pytest.raises(WitnessError, match=told):
        cosign(witness)


def test_a_signature_of_another_key(witness: Witness) -> None:
    other = Witness(signer().public)
    witness.answer = (200, other.cosignature(signer().sign(CHECKPOINT.text)))
    with pytest.raises(WitnessError, match="holds no signature"):
        cosign(witness)


def test_a_witness_that_does_not_answer(witness: Witness, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        witness.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        monkeypatch.setattr(module, "TIMEOUT", 0.01)
        with pytest.raises(TimeoutError):
            cosign(witness)
    with pytest.raises(ConnectionRefusedError):
        cosign(witness)


def test_an_answer_that_is_not_http(witness: Witness, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise HTTPException

    monkeypatch.setattr(module.http.client.HTTPConnection, "getresponse", broken)
    with pytest.raises(WitnessError, match="its answer cannot be read: HTTPException"):
        cosign(witness)


class Tls:
    """A witness' certificate, and the authorities of this system."""

    def __init__(self, directory: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
        self.authority = trustme.CA()
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.authority.issue_cert(name).configure_cert(self.context)
        self.file = directory / "ca.pem"
        self.authority.cert_pem.write_to_path(self.file)
        monkeypatch.setenv("SSL_CERT_FILE", str(self.file))
        monkeypatch.setenv("SSL_CERT_DIR", str(directory / "none"))


def test_a_witness_over_tls(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tls = Tls(tmp_path, "127.0.0.1", monkeypatch)
    with serving(Witness(signer().public), tls.context) as witness:
        assert witness.url.startswith("https:")
        log = Published(tmp_path / "log")
        client = WitnessClient(witness.url, witness.public)
        for count in (3, 300, 1):
            note = grow(log, client, count)
            assert note.endswith(witness.cosignature(note))
        log.close()
    assert witness.size == 304


def test_a_witness_whose_certificate_nobody_knows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tls = Tls(tmp_path, "127.0.0.1", monkeypatch)
    trustme.CA().cert_pem.write_to_path(tls.file)
    with serving(Witness(signer().public), tls.context) as witness:
        with pytest.raises(WitnessError, match="its certificate: unable to get local issuer certificate"):
            cosign(witness)
        assert witness.paths == []


def test_a_witness_under_anothers_certificate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tls = Tls(tmp_path, "witness.example", monkeypatch)
    with serving(Witness(signer().public), tls.context) as witness:
        with pytest.raises(WitnessError, match=r"its certificate: .*not valid for '127\.0\.0\.1'"):
            cosign(witness)
        assert witness.paths == []


def test_a_witness_that_speaks_no_tls(witness: Witness) -> None:
    witness.url = witness.url.replace("http:", "https:")
    with pytest.raises(ssl.SSLError):
        cosign(witness)


def test_a_witness_that_was_away_signs_what_it_missed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tls = Tls(tmp_path, "127.0.0.1", monkeypatch)
    one = Witness(signer().public)
    log = Published(tmp_path / "log")
    with serving(one, tls.context):
        client = WitnessClient(one.url, one.public)
        grow(log, client, 300)
        port = int(one.url.rpartition(":")[2].partition("/")[0])
    log.add(300)
    log.log.sync()
    with pytest.raises(ConnectionRefusedError):
        log.publisher.publish(log.log.synced, NOW, client.cosign)
    log.publish()  # as the publisher does: without its signature
    with serving(one, tls.context, port):
        note = grow(log, client, 1)
    assert note.endswith(one.cosignature(note))
    assert one.size == 601
    log.close()


@pytest.mark.parametrize("head", [b"HTTP/1.1 2", b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n"])
def test_a_witness_that_never_comes_to_an_end(witness: Witness, monkeypatch: pytest.MonkeyPatch, head: bytes) -> None:
    monkeypatch.setattr(module, "DEADLINE", 0.05)
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def drip() -> None:
            client, _ = listening.accept()
            with client, suppress(OSError):
                client.sendall(head)
                while client.recv(65_536):
                    client.sendall(b"0")

        thread = threading.Thread(target=drip)
        thread.start()
        witness.url = f"http://127.0.0.1:{listening.getsockname()[1]}"
        with pytest.raises(WitnessError, match="it has not answered as a whole within"):
            cosign(witness)
        thread.join()


@pytest.mark.parametrize(
    "key",
    ["", "a", signer().public, stranger().public[:-4], "a+00000000+BAAA"],
    ids=["empty", "name", "another type", "cut", "another id"],
)
def test_a_key_that_is_no_witness(key: str) -> None:
    with pytest.raises(WitnessError, match="not one of a witness"):
        WitnessClient("https://witness.example", key)
