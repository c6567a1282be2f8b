import base64
from pathlib import Path

import pytest

from gateway.audit.verify.notes import Key
from gateway.audit.verify.proof import ProofError, check_proof, prove
from tests.unit.audit import spec
from tests.unit.audit.published import Published, many, published, signer, stranger

KEYS = [Key.parse(signer().public)]


@pytest.mark.parametrize("count", [1, 2, 255, 256, 257, 300, 700])
def test_the_proof_is_the_path_of_the_rfc(tmp_path: Path, count: int) -> None:
    log = published(tmp_path, count)
    lines = log.lines()
    for sequence in sorted({1, 2, count // 2, 256, 257, 258, 513, count} & set(range(1, count + 1))):
        path = "".join(f"{base64.b64encode(digest).decode()}\n" for digest in spec.path(sequence - 1, lines))
        extra = base64.b64encode(lines[sequence - 1]).decode()
        proof = prove(tmp_path, sequence, KEYS)
        assert proof == f"c2sp.org/tlog-proof@v1\nextra {extra}\nindex {sequence - 1}\n{path}\n{log.note}"
        shown = check_proof(proof, KEYS)
        assert (shown.sequence, shown.record, shown.checkpoint.size) == (sequence, lines[sequence - 1], count)


def test_a_tree_of_three_levels(tmp_path: Path) -> None:
    many(tmp_path, 66_000)
    for sequence in (1, 65_536, 65_537, 65_900, 66_000):
        assert check_proof(prove(tmp_path, sequence, KEYS), KEYS).sequence == sequence


def test_a_record_that_is_in_no_checkpoint(tmp_path: Path) -> None:
    log = Published(tmp_path)
    with pytest.raises(ProofError, match="no checkpoint yet"):
        prove(tmp_path, 1, KEYS)
    log.grow(3)
    log.add(1)
    log.close()
    for sequence in (0, 4):
        with pytest.raises(ProofError, match=f"no record {sequence} in the checkpoint of 3 entries"):
            prove(tmp_path, sequence, KEYS)


def test_a_log_that_was_changed_proves_nothing(tmp_path: Path) -> None:
    log = published(tmp_path, 300)
    with pytest.raises(ProofError, match="by no key that was given"):
        prove(tmp_path, 1, [Key.parse(stranger().public)])
    bundle = log.tlog / "tile/entries/000"
    data = bundle.read_bytes()
    bundle.write_bytes(data.replace(b"r-3", b"r-4"))
    with pytest.raises(ProofError, match="record 5 is not in the tree that was signed"):
        prove(tmp_path, 5, KEYS)
    bundle.unlink()
    with pytest.raises(ProofError, match="the bundle with record 5 is not there"):
        prove(tmp_path, 5, KEYS)
    bundle.write_bytes(data)
    (log.tlog / "tile/0/001.p/44").unlink()
    with pytest.raises(ProofError, match="tile 1 of level 0 is not there"):
        prove(tmp_path, 5, KEYS)


def test_a_proof_without_the_record(tmp_path: Path) -> None:
    log = published(tmp_path, 9)
    whole = prove(tmp_path, 4, KEYS)
    bare = "".join(line for line in whole.splitlines(keepends=True) if not line.startswith("extra"))
    with pytest.raises(ProofError, match="does not bring the record"):
        check_proof(bare, KEYS)
    assert check_proof(bare, KEYS, log.lines()[3]).sequence == 4
    for proof in (bare, whole):
        with pytest.raises(ProofError, match="do not come to the root"):
            check_proof(proof, KEYS, log.lines()[4])


def test_a_proof_that_proves_nothing(tmp_path: Path) -> None:
    published(tmp_path, 9)
    proof = prove(tmp_path, 4, KEYS)
    hashes = proof.split("\n")[3:7]
    for forged, told in {
        "": "does not begin with",
        "x" + proof: "does not begin with",
        proof + "x" * 300_000: "does not begin with",
        proof.replace("\n\n", "\n"): "does not begin with",
        proof.replace("index 3", "index 03"): "index or hashes cannot be read",
        proof.replace("index 3\n", ""): "index or hashes cannot be read",
        proof.replace(hashes[0], "A" * 12): "index or hashes cannot be read",
        proof.replace("extra ", "extra A"): "base64",
        proof.replace("index 3", "index 4"): "do not come to the root",
        proof.replace("index 3", "index 9"): "do not come to the root",
        proof.replace(hashes[0], "A" * 43 + "="): "do not come to the root",
        proof.replace(f"{hashes[0]}\n", ""): "do not come to the root",
        proof.replace("\n9\n", "\n8\n"): "its checkpoint: the signature",
    }.items():
        with pytest.raises(ProofError, match=told):
            check_proof(forged, KEYS)
    with pytest.raises(ProofError, match="by no key that was given"):
        check_proof(proof, [Key.parse(stranger().public)])
