"""An upstream over https: its chain and its name are verified, by the CAs that the policy names."""

import ssl
from pathlib import Path

import pytest

from gateway.core.reasons import Reason
from tests.engine import pki
from tests.engine.harness import Running, get, request, running


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
