import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path

import pytest

from gateway.core.chain import Claim, ClaimOnce
from gateway.core.message import Instant
from gateway.state import run_file
from gateway.state.nonces import SECRET_BYTES, Held, Nonces
from gateway.state.restart import Reach, Run
from gateway.state.run_file import NAME, DamagedError, read, write
from gateway.state.space import NEVER, RECORD_BYTES

NOW = 1_795_352_400.0
RUNNING = Run(True, NOW, Reach(60.0, 5.0), latest=NOW + 5, floor=NOW - 1, lost=NOW - 2)


def memory(claims: int = 100) -> Nonces:
    nonces = Nonces(10_000)
    for index in range(claims):
        dated = Instant(NOW + index / 10)
        nonces.claim(ClaimOnce(f"partner-{index % 3}", b"%d" % index, dated, Instant(dated + 60)), dated)
    return nonces


def stopped(nonces: Nonces) -> Run:
    return Run(False, NOW, Reach(), held=nonces.held)


@contextmanager
def locked(directory: Path) -> Iterator[None]:
    descriptor = run_file.lock(directory)
    try:
        yield
    finally:
        os.close(descriptor)


def test_no_file_is_no_run(tmp_path: Path) -> None:
    assert read(tmp_path) is None


@pytest.mark.parametrize("run", [RUNNING, Run(False, NOW, Reach()), Run(True, NOW, Reach(), NEVER, NEVER, NEVER)])
def test_what_is_written_is_read(tmp_path: Path, run: Run) -> None:
    write(tmp_path, run)
    assert read(tmp_path) == run


def read_held(directory: Path) -> Held:
    last = read(directory)
    assert last is not None
    assert last.held is not None
    return last.held


@pytest.mark.parametrize("claims", [0, 100, 5000])
def test_claims_are_held_after_reading_as_before_writing(tmp_path: Path, claims: int) -> None:
    before = memory(claims)
    before.claim(ClaimOnce("partner-0", b"later", Instant(NOW + 65), Instant(NOW + 125)), Instant(NOW + 65))
    before.widen(300.0)
    write(tmp_path, stopped(before))
    held = read_held(tmp_path)
    assert held.secret == before.held.secret
    for name, space in before.held.spaces.items():
        other = held.spaces[name]
        assert (other.buckets, other.forgotten, other.prolonged) == (space.buckets, space.forgotten, space.prolonged)
    after = Nonces(10_000)
    after.take_over(held, 0.0)
    assert len(after) == len(before)
    later = Instant(NOW + 70)
    for index in range(claims):
        dated = Instant(NOW + index / 10)
        ask = ClaimOnce(f"partner-{index % 3}", b"%d" % index, dated, Instant(dated + 60))
        assert after.claim(ask, later) is before.claim(ask, later) is not Claim.NEW


def test_claims_that_were_read_are_swept(tmp_path: Path) -> None:
    write(tmp_path, stopped(memory()))
    after = Nonces(1000)
    after.take_over(read_held(tmp_path), 0.0)
    answer = after.claim(ClaimOnce("partner-0", b"new", Instant(NOW + 999), Instant(NOW + 1000)), Instant(NOW + 999))
    assert answer is Claim.NEW
    assert after.held.spaces["partner-0"].forgotten > NOW + 60


def test_what_is_written_replaces_what_was(tmp_path: Path) -> None:
    write(tmp_path, stopped(memory()))
    write(tmp_path, RUNNING)
    assert read(tmp_path) == RUNNING
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


def test_only_the_owner_may_read_it(tmp_path: Path) -> None:
    old = os.umask(0)
    try:
        write(tmp_path, RUNNING)
    finally:
        os.umask(old)
    assert (tmp_path / NAME).stat().st_mode & 0o777 == 0o600


def test_what_a_crash_left_half_written_is_in_nobodys_way(tmp_path: Path) -> None:
    (tmp_path / f".{NAME}.new").write_bytes(b"half")
    write(tmp_path, RUNNING)
    assert read(tmp_path) == RUNNING


def test_a_failure_to_write_leaves_what_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(tmp_path, RUNNING)

    def full(_descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        write(tmp_path, stopped(memory()))
    assert read(tmp_path) == RUNNING
    assert [path.name for path in tmp_path.iterdir()] == [NAME]


@pytest.mark.parametrize("size", [0, 1, 31, 32, 100, -33, -1])
def test_a_file_that_was_cut_off_is_damaged(tmp_path: Path, size: int) -> None:
    write(tmp_path, stopped(memory()))
    path = tmp_path / NAME
    path.write_bytes(path.read_bytes()[:size])
    with pytest.raises(DamagedError, match="cut off or damaged"):
        read(tmp_path)


@pytest.mark.parametrize("place", [0, 20, 600, -40, -1])
def test_a_file_with_a_changed_byte_is_damaged(tmp_path: Path, place: int) -> None:
    write(tmp_path, stopped(memory()))
    path = tmp_path / NAME
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)
    with pytest.raises(DamagedError, match="cut off or damaged"):
        read(tmp_path)


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"not json\n",
        b"[]\n",
        b'{"format": 1}\n',
        b'{"format": 1, "running": false, "at": 1, "max_age": 1, "max_ahead": 1, "spaces": []}\n',
        b'{"format": [2, "middle"]}\n',
    ],
)
def test_a_whole_file_of_another_version_is_damaged(tmp_path: Path, body: bytes) -> None:
    (tmp_path / NAME).write_bytes(body + sha256(body).digest())
    with pytest.raises(DamagedError, match="another version"):
        read(tmp_path)


SECRET = "00" * SECRET_BYTES


def space(*buckets: int) -> dict[str, object]:
    return {"name": "acme", "forgotten": None, "prolonged": 0, "buckets": buckets}


@pytest.mark.parametrize(
    ("held", "records"),
    [
        (None, 1),
        ({"secret": SECRET, "spaces": [space(1, 1)]}, 1),
        ({"secret": SECRET, "spaces": [space(1)]}, 2),
        ({"secret": SECRET, "spaces": []}, 1),
        ({"secret": SECRET, "spaces": [space()]}, 0),
        ({"secret": SECRET[2:], "spaces": [space(1)]}, 1),
        ({"secret": "x" * len(SECRET), "spaces": [space(1)]}, 1),
    ],
)
def test_a_file_with_other_claims_than_it_announces_is_damaged(
    tmp_path: Path, held: dict[str, object] | None, records: int
) -> None:
    write(tmp_path, RUNNING)
    head = {**json.loads((tmp_path / NAME).read_bytes()[:-32]), "held": held}
    body = json.dumps(head).encode() + b"\n" + b"r" * RECORD_BYTES * records
    (tmp_path / NAME).write_bytes(body + sha256(body).digest())
    with pytest.raises(DamagedError, match="another version"):
        read(tmp_path)


def test_a_link_in_the_files_place_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").write_bytes(b"")
    (tmp_path / NAME).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(OSError, match="symbolic links"):
        read(tmp_path)


# One process at a time


def test_the_directory_is_made_for_the_owner_alone(tmp_path: Path) -> None:
    with locked(tmp_path / "var" / "state"):
        assert (tmp_path / "var" / "state").stat().st_mode & 0o077 == 0


def test_a_directory_serves_one_at_a_time(tmp_path: Path) -> None:
    with locked(tmp_path), pytest.raises(OSError, match="another gate keeps its nonces here"), locked(tmp_path):
        pass
    with locked(tmp_path):
        assert read(tmp_path) is None
