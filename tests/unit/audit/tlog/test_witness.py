import socket
import ssl
from collections.abc import Iterator
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


def test_a_witness_over_tls(witness: Witness, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its certificate is verified by the system's authorities."""
    authority = trustme.CA()
    asked: list[ssl.SSLContext] = []

    def connection(host: str, port: int, *, timeout: float, context: ssl.SSLContext) -> object:
        asked.append(context)
        return module.http.client.HTTPConnection(host, port, timeout=timeout)

    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "ca.pem"))
    monkeypatch.setattr(module.http.client, "HTTPSConnection", connection)
    witness.url = witness.url.replace("http:", "https:")
    assert cosign(witness).startswith("— witness.example/w1 ")
    (context,) = asked
    assert context.verify_mode is ssl.CERT_REQUIRED
    assert context.check_hostname
    assert len(context.get_ca_certs()) == 1


@pytest.mark.parametrize(
    "key",
    ["", "a", signer().public, stranger().public[:-4], "a+00000000+BAAA"],
    ids=["empty", "name", "another type", "cut", "another id"],
)
def test_a_key_that_is_no_witness(key: str) -> None:
    with pytest.raises(WitnessError, match="not one of a witness"):
        WitnessClient("https://witness.example", key)
