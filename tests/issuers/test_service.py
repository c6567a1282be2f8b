"""The whole service with an issuer that is asked over the network, through reloads."""

from pathlib import Path

from tests import world
from tests.engine.harness import get, until
from tests.engine.services import served
from tests.issuers.identity import providing

FILE = 'keys: "file:operator-jwks.json"'


async def test_keys_by_url_come_into_force_with_a_reload_and_stay_through_another(tmp_path: Path) -> None:
    async with providing(tmp_path) as provider, served(tmp_path) as up:
        fetched = f'keys: {{from: "{provider.url}/jwks", ca: operator-ca.pem, refresh: 30s}}'
        token = provider.token(iss=world.ISSUER)
        assert (await up.send(get(authorization=f"Bearer {token}"))).code == "token.key_unknown"

        up.folder.put_policy(**{FILE: fetched})
        assert await up.service.reload("signal")
        await until(lambda: provider.asked == ["/jwks"])  # before anybody needs them
        assert (await up.send(get(authorization=f"Bearer {token}"))).status == 200

        up.folder.put_policy(**{FILE: fetched}, balance="/v1/money")
        assert await up.service.reload("signal")
        assert (await up.send(get("/v1/money", authorization=f"Bearer {token}"))).status == 200
        assert provider.asked == ["/jwks"]
        assert not up.folder.records("control.failed")


async def test_a_gate_starts_while_its_issuer_is_down(tmp_path: Path) -> None:
    async with providing(tmp_path) as provider, served(tmp_path) as up:
        await provider.stop()
        up.folder.put_policy(**{FILE: f'keys: {{from: "{provider.url}/jwks", ca: operator-ca.pem}}'})
        assert await up.service.reload("signal")
        response = await up.send(get(authorization=f"Bearer {provider.token(iss=world.ISSUER)}"))
        assert (response.status, response.code) == (503, "token.keys_unavailable")
        failed = {record["unmapped"]["control"] for record in up.folder.records("control.failed")}
        assert failed == {"token.fetch:operator", "token.keys:operator"}
