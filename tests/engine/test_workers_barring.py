"""Workers with a store of their own: they lock out, revoke and lift as one."""

import signal
from pathlib import Path

import pytest
from click.testing import CliRunner

from gateway.cli.lockout import lockout
from gateway.cli.revoke import revoke
from gateway.state.revocations import read_all
from tests import world
from tests.engine.harness import get, read_response
from tests.engine.services import EMBEDDED
from tests.engine.test_run import connect, current
from tests.engine.test_workers import Supervised, supervised

pytestmark = pytest.mark.layers  # once: the processes decide for themselves


async def look(up: Supervised, raw: bytes = b"") -> int:
    """Send a request on a connection of its own, a look at the balance where none is given; gives the status."""
    reader, writer = await connect(up.folder)
    writer.write(raw or current()[1])
    response = await read_response(reader)
    writer.close()
    return response.status


async def test_workers_lock_out_and_revoke_as_one(tmp_path: Path) -> None:
    strict = {"issuers:\n": "lockout: {after: 5}\n" + EMBEDDED["issuers:\n"]}
    forged = get(authorization=f"Bearer {world.token(key=world.private_key('P-256', 'attacker'))}")
    async with supervised(tmp_path, EMBEDDED | strict) as up:
        await up.until_said("2 workers accept")

        statuses = [await look(up, forged)]
        while statuses[-6:] != [403] * 6:  # whichever worker they come to
            statuses.append(await look(up, forged))
        assert statuses[:5] == [401] * 5
        assert statuses.count(401) < 2 * 5  # what each would have taken for itself

        state = up.folder.path / "state"
        lifted = CliRunner().invoke(lockout, ["lift", "1", "--because", "mended", "--state", str(state)])
        assert lifted.exit_code == 0, lifted.output
        while [await look(up) for _ in range(6)] != [200] * 6:
            pass
        for arguments, status in (
            (("partner", world.PARTNER), 403),
            (("key", world.KEY_ID, "--issuer", "operator"), 401),
        ):
            done = CliRunner().invoke(revoke, [*arguments, "--for", "1h", "--because", "INC-1", "--state", str(state)])
            assert done.exit_code == 0, done.output
            while [await look(up) for _ in range(6)] != [status] * 6:  # in every worker, without a reload
                pass
            number = read_all(state)[-1].number
            CliRunner().invoke(revoke, ["lift", str(number), "--because", "found", "--state", str(state)])
            while [await look(up) for _ in range(6)] != [200] * 6:
                pass
        up.process.send_signal(signal.SIGTERM)
        await up.until_nobody_is_left()
        kinds = up.kinds(1) + up.kinds(2)
        assert [kinds.count(f"lockout.{kind}") for kind in ("began", "lifted")] == [1, 1]
        assert [kinds.count(f"revocation.{kind}") for kind in ("added", "lifted")] == [2, 2]
        assert "policy.loaded" not in kinds
