from itertools import count

import pytest

from gateway.audit.verify.notes import InvalidNoteError, Key, WitnessKey, notes_of, read_checkpoint
from tests.unit.audit import spec
from tests.unit.audit.published import ORIGIN, signer, stranger
from tests.unit.audit.witness import TIME, Witness

ROOT = "CsUYapGGPo4dkMgIAUqom/Xajj7h2fB2MPA3j2jxq2I="
TEXT = f"{ORIGIN}\n20852163\n{ROOT}\n"
KEY = Key.parse(signer().public)


def refused(note: str) -> str:
    with pytest.raises(InvalidNoteError) as raised:
        read_checkpoint(note, [KEY])
    return str(raised.value)


def test_a_checkpoint() -> None:
    read = read_checkpoint(signer().sign(TEXT), [Key.parse(stranger().public), KEY])
    assert (read.origin, read.size, read.root, read.key) == (ORIGIN, 20_852_163, spec.base64.b64decode(ROOT), KEY)
    assert str(read) == "the checkpoint of 20852163 entries"


def test_the_published_note_is_signed_and_no_checkpoint() -> None:
    with pytest.raises(InvalidNoteError, match="signed, but no checkpoint"):
        read_checkpoint(spec.NOTE, [Key.parse(spec.VKEY)])


def test_signatures_of_others_are_passed_over() -> None:
    line = stranger().sign(TEXT).rpartition("\n\n")[2]
    assert read_checkpoint(signer().sign(TEXT) + line, [KEY]).size == 20_852_163


@pytest.mark.parametrize(
    ("note", "told"),
    [
        ("", "no signed note"),
        (TEXT, "no signed note"),
        (signer().sign(TEXT)[:-1], "no signed note"),
        (signer().sign(TEXT) + "x" * 65_536 + "\n", "no signed note"),
        (signer().sign(TEXT).replace(ORIGIN, f"{ORIGIN}\t", 1), "control characters"),
        (stranger().sign(TEXT), f"signed by {stranger().name}+{stranger().key_id.hex()}, and by no key that was given"),
        (signer().sign(TEXT).replace("20852163", "20852164"), "is not over this text"),
        (f"{TEXT}\nno signature\n", "cannot be read"),
        (f"{TEXT}\n— {ORIGIN} AAA\n", "not base64"),
        (signer().sign(f"{ORIGIN}\n01\n{ROOT}\n"), "no checkpoint"),
        (signer().sign(f"{ORIGIN}\n1\nAAAA\n"), "no checkpoint"),
        (signer().sign(f"{ORIGIN}\n1\n{ROOT}\n\nmore\n"), "no checkpoint"),
    ],
    ids=map(str, count()),
)
def test_what_is_refused(note: str, told: str) -> None:
    assert told in refused(note)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", "form name"),
        (spec.SKEY, "form name"),
        (spec.VKEY.replace("c74f20a3", "c74f20a4"), "id is not that"),
        (spec.VKEY[:-4], "form name"),
        ("a+c74f20a3+AAA", "form name"),
    ],
)
def test_what_is_no_key(text: str, told: str) -> None:
    with pytest.raises(InvalidNoteError, match=told):
        Key.parse(text)


def test_a_key_under_a_workers_name() -> None:
    assert KEY.named(f"{ORIGIN}/worker-2") == Key.parse(signer().named(f"{ORIGIN}/worker-2").public)


def test_a_point_that_is_no_key_verifies_nothing() -> None:
    assert not Key("a", b"", b"\xff" * 31).verifies("text", b"signature")


def test_a_witness_that_has_signed() -> None:
    witness = Witness("")
    key, note = WitnessKey.parse(witness.public), signer().sign(TEXT)
    cosigned = note + witness.cosignature(note)
    assert key.signed(cosigned) == TIME
    assert key.signed(note) is None
    assert key.signed(cosigned.replace("20852163", "20852164")) is None
    assert WitnessKey.parse(Witness("").public).signed(cosigned) is None
    assert read_checkpoint(cosigned, [KEY]).size == 20_852_163
    for text in ("", signer().public, witness.public.replace("witness", "wirness"), witness.public[:-3]):
        with pytest.raises(InvalidNoteError):
            WitnessKey.parse(text)


def test_notes_in_one_file() -> None:
    one, two = signer().sign(TEXT), signer().sign(TEXT) + stranger().sign(TEXT).rpartition("\n\n")[2]
    assert list(notes_of(one + two + one)) == [one, two, one]
    assert list(notes_of(f"\n{one}\n\n{two}\n")) == [one, two]
    assert list(notes_of("")) == []
    assert list(notes_of("torn")) == ["torn"]
