"""User addons and the service: started with it, named in its records, and never loaded anew."""

import hashlib
from pathlib import Path

import pytest

from gateway.core.reasons import Reason
from gateway.engine.service import run
from gateway.engine.start import EXIT_USAGE
from tests.engine.addons import script
from tests.engine.harness import get, request
from tests.engine.services import Folder, served

pytestmark = pytest.mark.layers


def broken(directory: Path, text: str) -> Folder:
    folder = Folder(directory / "gate", 1, 0)
    folder.path.mkdir()
    folder.write()
    script(directory, text)
    return folder


async def test_the_record_of_the_start_names_each_addon_with_its_digest(tmp_path: Path) -> None:
    paths = (script(tmp_path, "", "first.py"), script(tmp_path, "seen = 1", "second.py"))

    async with served(tmp_path, addons=paths) as up:
        (start,) = up.folder.records("start")

    digests = [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]
    told = start["unmapped"]["warnings"][:2]
    # A run of digits within a digest that could be a card number is masked there.
    assert [line.rpartition(":")[0] for line in told] == [f"addon {path} sha256" for path in paths]
    assert [line[-4:] for line in told] == [digest[-4:] for digest in digests]


async def test_an_addon_denies_and_annotates_in_a_whole_gate(tmp_path: Path) -> None:
    text = """
        def request(flow):
            if flow.request.method == "GET":
                flow.kill()
            flow.request.headers["x-risk"] = "low"
    """
    async with served(tmp_path, addons=(script(tmp_path, text),)) as up:
        assert (await up.send(get())).code == Reason.ADDON_DENIED.code
        assert (await up.send(request())).status == 200
        assert dict(up.upstream.fields())["x-risk"] == "low"
        await up.until_recorded("outcome")


async def test_the_addon_runs_before_the_gate_accepts_and_ends_with_it(tmp_path: Path) -> None:
    text = f"""
        from pathlib import Path
        from mitmproxy import ctx
        told = Path({str(tmp_path / "told")!r})
        async def running():
            told.write_text(f"running {{len(ctx.master.listeners)}}")
        def done():
            told.write_text(told.read_text() + ", done")
    """
    async with served(tmp_path, addons=(script(tmp_path, text),)) as up:
        await up.send(get())
        assert (tmp_path / "told").read_text() == "running 0"
        await up.until_recorded("outcome")
    assert (tmp_path / "told").read_text() == "running 0, done"


async def test_a_reload_leaves_addons_as_they_are(tmp_path: Path) -> None:
    path = script(tmp_path, 'def request(flow): flow.request.headers["x-version"] = "1"')
    async with served(tmp_path, addons=(path,)) as up:
        path.write_text('def request(flow): flow.request.headers["x-version"] = "2"')
        up.service.request_reload("signal")
        await up.until_recorded("policy.loaded")

        await up.send(get())

        assert dict(up.upstream.fields())["x-version"] == "1"
        await up.until_recorded("outcome")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("def request(flow):\nreturn", "addon.py:4: IndentationError: "),
        ("import nothing_7f3a", "addon.py:3: ModuleNotFoundError: No module named 'nothing_7f3a'"),
        ("def running():\n    1 / 0", "addon addon.py, running: ZeroDivisionError: division by zero"),
        ("def tls_clienthello(data): pass", "addon addon.py: the gate never calls the hook tls_clienthello"),
    ],
)
def test_an_addon_that_cannot_be_loaded_stops_the_start(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, words: str
) -> None:
    folder = broken(tmp_path, text)

    assert run(folder.settings(addons=(tmp_path / "addon.py",))) == EXIT_USAGE

    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("gateway: addon ")
    assert words in line
    assert folder.records() == []
