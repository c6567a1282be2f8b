"""Certificates: none, foreign, expired, for another purpose, and the index-0 trap."""

import contextlib
import ssl
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from gateway.controls.mutual_tls import MutualTls
from gateway.core.reasons import Reason
from gateway.engine.tls import ServerContext
from gateway.pki.authority import Authority, Credential, Names, Purpose
from gateway.pki.inspect import certificate_facts
from tests import world
from tests.engine import pki
from tests.engine.harness import Running, balance, get, read_to_end, running
from tests.engine.http2 import Http2Client, get_fields
from tests.mint import private_key


@pytest.mark.parametrize(
    ("certificate", "reason"),
    [
        (None, Reason.TLS_NO_CERTIFICATE),
        ("foreign", Reason.TLS_CERTIFICATE_UNTRUSTED),
        ("expired", Reason.TLS_CERTIFICATE_EXPIRED),
        ("server", Reason.TLS_CERTIFICATE_PURPOSE),
    ],
)
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
async def test_a_certificate_that_does_not_verify(
    up: Running, certificate: str | None, reason: Reason, version: ssl.TLSVersion
) -> None:
    context = pki.client_context(up.directory, certificate)
    context.maximum_version = version
    received = b""
    try:
        reader, writer = await up.connect(tls=context)
        writer.write(get())
        received = await read_to_end(reader)
    except (ssl.SSLError, ConnectionError):
        pass  # TLS 1.2 fails within the handshake, 1.3 after it

    await up.until_refused()
    assert received == b""
    assert up.refused == [reason]
    assert not up.decided
    assert up.upstream.untouched


@pytest.mark.parametrize(
    ("certificate", "reason"),
    [
        ("nobody", Reason.PARTNER_UNKNOWN),
        ("other", Reason.PARTNER_NOT_ALLOWED),
        ("both", Reason.CERTIFICATE_AMBIGUOUS),
    ],
)
async def test_a_certificate_that_verifies_and_opens_nothing(up: Running, certificate: str, reason: Reason) -> None:
    response = await up.send(get(), certificate=certificate)

    assert (response.status, response.code) == (403, reason.code)
    assert up.decided == [reason]
    assert up.upstream.untouched


async def test_a_certificate_of_an_issuing_ca_counts(up: Running) -> None:
    assert (await up.send(get(), certificate="intermediate")).status == 200


async def test_a_chain_without_its_issuing_ca_does_not(up: Running) -> None:
    leaf, _, _ = (up.directory / "intermediate.pem").read_bytes().partition(b"-----END CERTIFICATE-----\n")
    key = pki.pki().clients["intermediate"].key_pem()
    (up.directory / "alone.pem").write_bytes(leaf + b"-----END CERTIFICATE-----\n" + key)
    reader, writer = await up.connect("alone")
    writer.write(get())

    assert await read_to_end(reader) == b""
    await up.until_refused()
    assert up.refused == [Reason.TLS_CERTIFICATE_UNTRUSTED]


def chain_of(up: Running, leaf: str, *others: str) -> ssl.SSLContext:
    """Give a client that holds the key of `leaf` and sends the certificates of `others` along."""
    clients = pki.pki().clients
    certificates = b"".join(clients[name].certificate_pem() for name in (leaf, *others))
    (up.directory / "chain.pem").write_bytes(certificates + clients[leaf].key_pem())
    return pki.client_context(up.directory, "chain")


@pytest.mark.parametrize("protocol", ["1.1", "2"])
async def test_a_certificate_that_is_merely_sent_along_is_nobodys(up: Running, protocol: str) -> None:
    context = chain_of(up, "nobody", "partner")
    if protocol == "1.1":
        response = await up.send(get(), tls=context)
    else:
        context.set_alpn_protocols(["h2"])
        async with Http2Client(up, tls=context) as client:
            response = await client.answer(client.begin(get_fields()))

    assert response.code == "partner.unknown"
    assert up.upstream.untouched


async def test_a_partners_own_certificate_counts_whatever_is_sent_along(up: Running) -> None:
    assert (await up.send(get(), tls=chain_of(up, "partner", "other", "foreign"))).status == 200

    assert dict(up.upstream.fields())["x-gateway-partner"] == world.PARTNER


async def test_a_foreign_certificate_with_a_good_one_sent_along(up: Running) -> None:
    reader, writer = await up.connect(tls=chain_of(up, "foreign", "partner"))
    writer.write(get())

    assert await read_to_end(reader) == b""
    await up.until_refused()
    assert up.refused == [Reason.TLS_CERTIFICATE_UNTRUSTED]
    assert up.upstream.untouched


async def test_where_certificates_are_optional_a_bad_one_is_still_refused(tmp_path: Path) -> None:
    tls = replace(pki.write(tmp_path), client_certificate_required=False)
    async with running(tmp_path, listener={"tls": tls}) as up:
        reader, writer = await up.connect("foreign")
        writer.write(get())

        assert await read_to_end(reader) == b""
        await up.until_refused()
        assert up.refused == [Reason.TLS_CERTIFICATE_UNTRUSTED]


async def test_where_certificates_are_optional_a_route_that_demands_one_denies(tmp_path: Path) -> None:
    tls = replace(pki.write(tmp_path), client_certificate_required=False)
    async with running(tmp_path, listener={"tls": tls}) as up:
        response = await up.send(get(), certificate=None)

        assert (response.status, response.code) == (403, "certificate.missing")
        assert up.upstream.untouched


async def test_a_route_without_certificates_serves_who_has_none(tmp_path: Path) -> None:
    tls = replace(pki.write(tmp_path), client_certificate_required=False)
    async with running(tmp_path, listener={"tls": tls}) as up:
        compiled = up.gate.in_force.policy
        chain = world.chain(mutual_tls=None, ip_allowlist=None, rate_limit=None, signature=None, replay=None)
        open_route = balance(compiled.upstreams["psp"], chain=chain)
        up.gate.in_force = replace(up.gate.in_force, policy=replace(compiled, routes=(open_route,)))

        assert (await up.send(get(), certificate=None)).status == 200
        assert dict(up.upstream.fields())["x-gateway-partner"] == world.PARTNER  # by the token


def offering(up: Running, credential: Credential, key: Any = None) -> ssl.SSLContext:
    """Give a client that shows a certificate made for the test."""
    written = (
        credential.key_pem() if key is None else key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    (up.directory / "made.pem").write_bytes(credential.certificate_pem() + written)
    context = ssl.create_default_context(cafile=str(up.directory / "operator-ca.pem"))
    context.set_ciphers("DEFAULT@SECLEVEL=0")
    context.load_cert_chain(up.directory / "made.pem")
    return context


async def test_a_certificate_that_another_leaf_issued(up: Running) -> None:
    leaf = pki.pki().clients["partner"]
    made = Authority(replace(leaf, intermediates=(leaf.certificate,)), is_root=False)
    names = Names("casino", uris=(pki.PARTNER_URI,))
    reader, writer = await up.connect(tls=offering(up, made.issue(names, Purpose.CLIENT, pki.VALID)))
    writer.write(get())

    assert await read_to_end(reader) == b""
    await up.until_refused()
    assert up.refused == [Reason.TLS_CERTIFICATE_CHAIN]
    assert up.upstream.untouched


@pytest.mark.parametrize("kind", ["RSA-1024", "P-224"])
async def test_a_key_that_can_be_found(up: Running, kind: str) -> None:
    key: Any = ec.generate_private_key(ec.SECP224R1()) if kind == "P-224" else private_key(kind, "weak")
    partners = pki.pki().partners
    builder = partners._builder_below(Names("casino").subject(), key.public_key(), pki.VALID)
    made = builder.sign(partners.credential.key, hashes.SHA256())
    context = offering(up, Credential(made, partners.credential.key), key)
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    with contextlib.suppress(ssl.SSLError, ConnectionError):
        reader, writer = await up.connect(tls=context)
        writer.write(get())
        assert await read_to_end(reader) == b""

    await up.until_refused()
    assert up.refused == [Reason.TLS_CERTIFICATE_WEAK]
    assert up.upstream.untouched


async def test_another_trusted_ca_cannot_issue_in_a_partners_name(tmp_path: Path) -> None:
    tls = pki.write(tmp_path)
    bundle = pki.pki().partners.certificate_pem() + pki.pki().foreign.certificate_pem()
    (tmp_path / "partners-ca.pem").write_bytes(bundle)
    own = certificate_facts(ssl.PEM_cert_to_DER_cert(pki.pki().partners.certificate_pem().decode()))
    match = replace(world.partner().certificates[0], authorities=frozenset({own.public_key_fingerprint}))
    partners = {world.PARTNER: replace(world.partner(), certificates=(match,))}
    async with running(tmp_path, listener={"tls": tls}, partners=partners) as up:
        (up.directory / "partners-ca.pem").write_bytes(bundle)
        up.master.listeners["public"].context = ServerContext(tls)

        assert (await up.send(get(), certificate="foreign")).code == "partner.unknown"

        assert up.upstream.untouched


async def test_a_route_takes_certificates_of_its_cas_only(tmp_path: Path) -> None:
    chain = world.chain(mutual_tls=MutualTls(frozenset({"0c" * 32})), signature=None, replay=None, rate_limit=None)
    async with running(tmp_path, route={"chain": chain}) as up:
        response = await up.send(get())

        assert (response.status, response.code) == (403, "certificate.issuer")
        assert up.upstream.untouched
