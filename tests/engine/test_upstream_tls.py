"""An upstream over https: its chain and its name are verified, by the CAs that the policy names."""

import os
import ssl
from pathlib import Path

import pytest

from gateway.core.policy import ClientCertificate
from gateway.core.reasons import Reason
from tests.engine import pki
from tests.engine.harness import Running, get, read_response, request, running, serving
from tests.engine.http2 import Http2Client, get_fields
from tests.engine.services import served


async def test_an_upstream_with_the_right_certificate(tmp_path: Path) -> None:
    async with running(tmp_path, upstream_tls=True) as up:
        assert (await up.send(request())).status == 200
        assert up.finished == [Reason.ALLOWED]


@pytest.mark.parametrize(
    ("to", "detail"),
    [
        ({"ca": "partners-ca.pem"}, "its certificate does not verify: unable to get local issuer certificate"),
        ({"ca": None}, "its certificate does not verify: unable to get local issuer certificate"),
        ({"host": "127.0.0.2"}, "its certificate does not verify: IP address mismatch"),
    ],
    ids=["another CA", "no CA of its own", "another name"],
)
async def test_an_upstream_that_cannot_be_trusted(tmp_path: Path, to: dict[str, str | None], detail: str) -> None:
    if to.get("ca"):
        to = {**to, "ca": str(tmp_path / str(to["ca"]))}
    async with running(tmp_path, upstream_tls=True, to=to) as up:
        await answers_on_all_of_loopback(up)

        response = await up.send(request())

        assert (response.status, response.code) == (502, "upstream.unreachable")
        assert not up.upstream.requests
        (outcome,) = up.outcomes()
        assert (outcome.reason, outcome.upstream_seconds) == (Reason.UPSTREAM_UNREACHABLE, None)
        assert outcome.detail.startswith(detail)


async def answers_on_all_of_loopback(up: Running) -> None:
    """Have the upstream listen under addresses that its certificate does not name, too."""
    await up.upstream.stop()
    await up.upstream.start(host="0.0.0.0", port=up.upstream.port)  # noqa: S104 - loopback's other addresses


async def test_an_upstream_that_speaks_no_tls(tmp_path: Path) -> None:
    async with running(tmp_path, to={"scheme": "https", "ca": tmp_path / "operator-ca.pem"}) as up:
        up.upstream.answer = b"HTTP/1.1 400 Bad Request\r\n\r\n"
        await up.upstream.stop()
        await up.upstream.start(port=up.upstream.port, greeting=b"HTTP/1.1 400 Bad Request\r\n\r\n")

        response = await up.send(get())

        assert (response.status, response.code) == (502, "upstream.unreachable")
        assert up.outcomes()[0].detail.startswith("TLS: ")


async def test_an_upstream_with_outdated_tls_only(tmp_path: Path) -> None:
    async with running(tmp_path, upstream_tls=True) as up:
        outdated = pki.upstream_context(tmp_path)
        outdated.maximum_version = ssl.TLSVersion.TLSv1_2
        outdated.set_ciphers("AES128-SHA:@SECLEVEL=0")
        await up.upstream.stop()
        await up.upstream.start(outdated, port=up.upstream.port)

        response = await up.send(get())

        assert (response.status, response.code) == (502, "upstream.unreachable")


# Another name than the endpoint's host


@pytest.mark.parametrize(
    ("name", "detail"),
    [("localhost", None), ("psp.example", "its certificate does not verify: Hostname mismatch")],
)
async def test_another_name_is_asked_for_and_verified(tmp_path: Path, name: str, detail: str | None) -> None:
    async with running(tmp_path, upstream_tls=True, to={"host": "127.0.0.2", "server_name": name}) as up:
        asked: list[str | None] = []
        context = pki.upstream_context(tmp_path)
        context.sni_callback = lambda _, given, __: asked.append(given)
        await up.upstream.stop()
        await up.upstream.start(context, host="0.0.0.0", port=up.upstream.port)  # noqa: S104 - as above

        response = await up.send(request())

        assert asked == [name]
        assert response.status == (200 if detail is None else 502)
        assert up.outcomes()[0].detail.startswith(detail or "")


# The gate's own certificate


def own(directory: Path, name: str = "partner") -> ClientCertificate:
    """Name a certificate of the partners' CA, which stands in one file with its key."""
    return ClientCertificate(directory / f"{name}.pem", directory / f"{name}.pem")


def asking(directory: Path, maximum: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> ssl.SSLContext:
    """Give the context of an upstream that wants a certificate of the partners' CA."""
    context = pki.upstream_context(directory)
    context.load_verify_locations(directory / "partners-ca.pem")
    context.verify_mode = ssl.CERT_REQUIRED
    context.maximum_version = maximum
    return context


async def asks(up: Running, maximum: ssl.TLSVersion = ssl.TLSVersion.TLSv1_3) -> None:
    """Have the upstream want a certificate."""
    await up.upstream.stop()
    await up.upstream.start(asking(up.directory, maximum), port=up.upstream.port)


def der(name: str) -> bytes:
    return ssl.PEM_cert_to_DER_cert(pki.pki().clients[name].certificate_pem().decode())


@pytest.mark.parametrize("maximum", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_the_gate_presents_its_own_certificate(tmp_path: Path, maximum: ssl.TLSVersion) -> None:
    async with running(tmp_path, upstream_tls=True, to={"client": own(tmp_path)}) as up:
        await asks(up, maximum)

        assert (await up.send(request())).status == 200
        async with Http2Client(up) as client:
            assert (await client.answer(client.begin(get_fields()))).status == 200

        assert set(up.upstream.certificates) == {der("partner")}


@pytest.mark.parametrize("client", [None, "foreign"])
async def test_an_upstream_that_does_not_take_the_gates_certificate(tmp_path: Path, client: str | None) -> None:
    async with running(tmp_path, upstream_tls=True, to={"client": client and own(tmp_path, client)}) as up:
        for version in (ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3):
            await asks(up, version)
            assert (await up.send(get())).status == 502

        assert not up.upstream.requests
        early, late = up.outcomes()
        assert early.reason is Reason.UPSTREAM_UNREACHABLE
        assert early.detail == "it closed the connection during the TLS handshake"
        assert late.reason is Reason.UPSTREAM_BROKEN  # in TLS 1.3 the gate learns of it only once it has sent


async def test_a_renewed_certificate_is_presented_after_a_reload(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.engine.service.TICK_SECONDS", 0.005)
    pki.write(tmp_path)
    async with serving(asking(tmp_path)) as secure, served(tmp_path) as up, Http2Client(up) as client:
        up.folder.put("own.pem", pem("partner"))
        os.utime(tmp_path / "own.pem", (1_000_000_000, 1_000_000_000))  # it settled long ago
        plain = f'url: "http://127.0.0.1:{up.upstream.port}"'
        settings = "ca: operator-ca.pem, client: {certificate: own.pem, key: own.pem}"
        up.folder.put_policy(**{plain: f'url: "https://127.0.0.1:{secure.port}", {settings}'})
        await up.until_recorded("policy.loaded")
        reader, writer = await up.connect()

        async def ask() -> None:
            writer.write(get())
            assert (await read_response(reader)).status == 200
            assert (await client.answer(client.begin(get_fields()))).status == 200

        await ask()
        up.folder.put("own.pem", pem("other"))
        await up.until_recorded("policy.loaded", 2)
        await ask()

        assert secure.certificates == [der("partner")] * 2 + [der("other")] * 2
        writer.close()


def pem(name: str) -> bytes:
    credential = pki.pki().clients[name]
    return credential.certificate_pem() + credential.key_pem()
