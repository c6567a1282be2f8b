import base64

import pytest

from gateway.audit.tlog.note import Checkpoint, NoteError, Signer
from tests.unit.audit import spec

ROOT = bytes(range(32))
CHECKPOINT = Checkpoint("PeterNeumann", 20_852_163, ROOT)


def test_the_published_example() -> None:
    signer = Signer.parse(f"{spec.SKEY}\n")
    assert signer.sign(spec.TEXT) == spec.NOTE
    assert signer.public == spec.VKEY
    assert signer.private() == spec.SKEY


def test_a_new_key_is_read_again() -> None:
    signer = Signer.generate("audit.example.com/psp")
    again = Signer.parse(signer.private())
    assert again.public == signer.public
    assert again.sign(CHECKPOINT.text) == signer.sign(CHECKPOINT.text)


def test_nothing_shows_the_key() -> None:
    signer = Signer.parse(spec.SKEY)
    assert spec.SKEY.split("+", 2)[2] not in repr(signer)
    assert repr(signer) == f"Signer({spec.VKEY})"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (spec.VKEY, "does not begin with"),
        (spec.SKEY.replace("Peter", "Paul"), "was the name changed"),
        (spec.SKEY[:-4], "no Ed25519 key"),
        (spec.SKEY[:-4] + "????", "no Ed25519 key"),
        (f"PRIVATE+KEY+a+c74f20a3+{base64.b64encode(bytes(33)).decode()}", "no Ed25519 key"),
        ("PRIVATE+KEY+", "no Ed25519 key"),
    ],
)
def test_what_is_no_key(text: str, told: str) -> None:
    with pytest.raises(NoteError, match=told) as raised:
        Signer.parse(text)
    assert "AYEKFALVFGyNhPJEMzD1QIDr" not in str(raised.value)


@pytest.mark.parametrize("name", ["", "a b", "a+b", "a\nb", "a\x1bb", "x" * 256])
def test_what_is_no_name(name: str) -> None:
    with pytest.raises(NoteError, match="name has no spaces"):
        Signer.generate(name)


def test_a_checkpoint_is_read_again() -> None:
    signer = Signer.parse(spec.SKEY)
    note = signer.sign(CHECKPOINT.text)
    assert note.startswith("PeterNeumann\n20852163\nAAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n\n— PeterNeumann ")
    assert signer.read(note) == CHECKPOINT
    assert spec.open_checkpoint(note, spec.VKEY) == ("PeterNeumann", 20_852_163, ROOT)


def test_a_checkpoint_with_other_signatures_is_read() -> None:
    signer = Signer.parse(spec.SKEY)
    witness = Signer.generate("witness.example").sign(CHECKPOINT.text).rpartition("\n\n")[2]
    assert signer.read(signer.sign(CHECKPOINT.text) + witness) == CHECKPOINT


@pytest.mark.parametrize(
    "note",
    [
        "",
        spec.TEXT,
        Signer.generate("PeterNeumann").sign(CHECKPOINT.text),
        Signer.generate("other").sign(CHECKPOINT.text),
        Signer.parse(spec.SKEY).sign(CHECKPOINT.text).replace("20852163", "20852164"),
        Signer.parse(spec.SKEY).sign(CHECKPOINT.text).replace("PeterNeumann x", "PeterNeumann ?"),
        f"{CHECKPOINT.text}\n— PeterNeumann ?\n",
        f"{CHECKPOINT.text}\n— PeterNeumann\n",
    ],
)
def test_a_note_that_is_not_ours(note: str) -> None:
    with pytest.raises(NoteError, match=r"not signed by this log's key, PeterNeumann\+c74f20a3"):
        Signer.parse(spec.SKEY).read(note)


@pytest.mark.parametrize("text", ["a\n", "a\nb\nc\n", "a\n01\nAAAA\n", "a\n1\n????\n", "\n1\nAAAA\n"])
def test_a_note_of_ours_that_is_no_checkpoint(text: str) -> None:
    signer = Signer.parse(spec.SKEY)
    with pytest.raises(NoteError, match="no checkpoint"):
        signer.read(signer.sign(text))


def test_the_same_key_under_another_name() -> None:
    signer = Signer.parse(spec.SKEY)
    worker = signer.named("PeterNeumann/worker-1")
    assert worker.public.split("+", 2)[2] == signer.public.split("+", 2)[2]
    assert worker.key_id != signer.key_id
