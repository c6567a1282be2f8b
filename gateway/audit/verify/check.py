"""Holds a log's files against each other and against what was signed.

1. every checkpoint is verified: the log's own, those it keeps of earlier times, and those that were given
2. the records are read in their order, and hashed
3. each is compared with its entry in the bundle, and with its hash in the tile
4. the tree above them is built anew, and compared with the tiles of hashes, and with the root of each checkpoint
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

from gateway.audit.verify.files import FOLDER, WIDTH, Segment, Tiles, segments
from gateway.audit.verify.findings import Findings, Progress
from gateway.audit.verify.handovers import known
from gateway.audit.verify.notes import Checkpoint, InvalidNoteError, Key, WitnessKey, notes_of, read_checkpoint
from gateway.audit.verify.records import Leaves, Records
from gateway.audit.verify.tree import Peaks, leaf, leaf_hashes, subtree

_BLOCK_HEIGHT = 8


def check(
    directory: Path, keys: Sequence[Key], given: Iterable[str] = (), progress: Progress | None = None,
    witnesses: Sequence[WitnessKey] = (),
) -> Findings:  # fmt: skip
    """Verify the log in a folder by the public keys; `given` are notes of checkpoints that were kept elsewhere.

    Each of the witnesses must have signed the log's checkpoint. Raises OSError where a file cannot be read.
    """
    return _Check(directory, keys, progress).run(given, witnesses)


class _Check:
    def __init__(self, directory: Path, keys: Sequence[Key], progress: Progress | None) -> None:
        self._directory = directory
        self._tiles = Tiles(directory / FOLDER)
        self._known = known(self._tiles.directory, keys)
        self._files: list[Segment] = []
        self._progress = progress
        self._found = Findings()
        self._peaks = Peaks()
        self._above: list[list[bytes]] = []
        """Hashes that belong into the tiles of level 1, 2 and so on, which are not full yet."""
        self._wanted: list[Checkpoint] = []
        """Checkpoints in the order of their sizes, those that were passed taken away."""
        self._first = 1
        """Sequence of the first record that is not deleted."""
        self._broken = False
        """Whether the tree is another than the one that was signed, so that its roots tell nothing more."""
        self._good = [0]
        """Sizes of the checkpoints that were found again, ascending."""

    def run(self, given: Iterable[str], witnesses: Sequence[WitnessKey]) -> Findings:
        # In this order, since the gate may be writing: what is read later is never older than what was read before.
        for problem in self._known.problems:
            self._found.problem(problem)
        for handover in sorted(self._known.handovers, key=lambda each: each.size):
            self._found.notice(f"at {handover.size} entries the key {handover.new} took over from {handover.old}")
        notes = [*self._history(), *((note, "a checkpoint given") for note in given)]
        own = self._own()
        earlier = [one for note, where in notes if (one := self._read(note, where)) is not None]
        earlier += [handover.checkpoint for handover in self._known.handovers]
        self._files = segments(self._directory)
        self._first = self._files[0].first if self._files else 1
        for witness in witnesses:
            if own is not None and witness.signed(own.text) is None:
                self._found.problem(f"{FOLDER}/checkpoint is not signed by the witness {witness.name}")
        largest = max(earlier, key=lambda one: one.size, default=None)
        if largest is not None and own is None:
            self._found.problem(f"{largest} is there, and {FOLDER}/checkpoint is not")
        elif largest is not None and own is not None and largest.size > own.size:
            self._found.problem(
                f"the log's checkpoint counts {own.size} entries, and an earlier one {largest.size}: the log, or its"
                " checkpoint, was put back to an older state",
                own.size + 1,
            )
        each = {(one.size, one.root): one for one in [*earlier, *([own] if own else [])]}
        self._wanted = [each[which] for which in sorted(each)]
        self._walk()
        return self._found

    # 1

    def _own(self) -> Checkpoint | None:
        note = self._tiles.text("checkpoint")
        if note is None:
            self._found.problem(f"{FOLDER}/checkpoint is not there")
            return None
        own = self._read(note, f"{FOLDER}/checkpoint")
        if own is not None:
            self._found.size, self._found.root, self._found.signer = own.size, own.root, own.origin
        return own

    def _history(self) -> Iterable[tuple[str, str]]:
        """Give the checkpoints that the log has kept, as notes, each with where it stands."""
        folder = self._tiles.directory / "checkpoints"
        for file in sorted(folder.glob("*.txt")):
            text = file.read_bytes().decode("utf-8", "replace")
            notes = list(notes_of(text))
            if notes and not (text.endswith("\n\n") and notes[-1].rstrip("\n").rpartition("\n")[2].startswith("— ")):
                notes.pop()  # just being written, or torn by a crash
            yield from ((note, f"{FOLDER}/checkpoints/{file.name}") for note in notes)

    def _read(self, note: str, where: str) -> Checkpoint | None:
        try:
            read = read_checkpoint(note, self._known.keys)
            if read.key not in (keys := self._known.of_size(read.size)):
                read = self._read_by(note, keys, read)
        except InvalidNoteError as error:
            self._found.problem(f"{where}: {error}")
            return None
        if read.origin != read.key.name:
            self._found.problem(f"{where} is of the log {read.origin}, not of {read.key.name}")
            return None
        return read

    def _read_by(self, note: str, keys: Sequence[Key], read: Checkpoint) -> Checkpoint:
        try:
            return read_checkpoint(note, keys)
        except InvalidNoteError:
            raise InvalidNoteError(
                f"it counts {read.size} entries, for which {read.key} is not the key any more, or not yet"
            ) from None

    # 2

    def _walk(self) -> None:
        start = (self._first - 1) // WIDTH * WIDTH
        self._begin_at(start)
        records = Records(self._files, self._first, self._found, self._progress)
        self._at_size(())
        held: Leaves = [None] * (self._first - 1 - start)
        for some in records:
            held += some
            while len(held) >= WIDTH:
                self._block(held[:WIDTH], records)
                del held[:WIDTH]
        if held:
            self._block(held, records)
        if 1 < self._first <= records.deleted + 1:
            self._found.notice(f"records 1 to {self._first - 1} were deleted, as the policy says and the log records")
        elif self._first > 1:
            first, last = records.deleted + 1, self._first - 1
            self._found.problem(f"it and those up to {last} are in no file, and the log does not say why", first)
        beyond = self._peaks.size - self._found.size
        if beyond < 0:
            self._found.problem(
                f"the checkpoint counts {self._found.size} entries, the log's files end before: its end was cut off",
                self._peaks.size + 1,
            )
        elif beyond:
            self._found.notice(f"{beyond} records at the end are in no checkpoint yet")

    def _begin_at(self, start: int) -> None:
        """Take the hashes of what was deleted from the tiles that hold its last ones."""
        size, level = start // WIDTH, 1
        while size:
            tile, count = divmod(size, WIDTH)
            there = min(WIDTH, (self._found.size >> _BLOCK_HEIGHT * level) - tile * WIDTH)
            hashes = self._tiles.hashes(level, tile, max(count, there)) if count else []
            if hashes is None:
                self._found.problem("hashes of the records before it are not there: the tree is not checked", start + 1)
                self._broken = True
            self._above.append((hashes or [])[:count])
            size //= WIDTH
            level += 1
        for height, hashes in reversed(list(enumerate(self._above, 1))):
            for digest in hashes:
                self._peaks.push(digest, _BLOCK_HEIGHT * height)
        self._peaks.size = start

    # 3

    def _block(self, lines: Leaves, records: Records) -> None:
        index = self._peaks.size // WIDTH
        hashes = leaf_hashes([b"\0" if line is None else line for line in lines])
        counted = min(len(lines), max(0, self._found.size - index * WIDTH))
        if counted and not self._tiles.holds(index, lines[:counted], hashes[:counted]):
            tile = self._tiles.hashes(0, index, counted)
            bundle = self._tiles.entries(index, counted)
            if tile is None:
                self._found.problem("its tile of hashes is not there, or too short", index * WIDTH + 1)
            if bundle is None:
                self._found.problem("its bundle of entries is not there, or too short", index * WIDTH + 1)
            self._differs(lines[:counted], hashes, tile, bundle, records)
            hashes[:counted] = _agreed(hashes[:counted], tile, bundle)
        self._at_size(hashes)
        if len(hashes) == WIDTH:
            root = subtree(hashes)
            self._peaks.push(root, _BLOCK_HEIGHT)
            self._level(1, root)
        else:
            for digest in hashes:
                self._peaks.push(digest)

    def _differs(
        self, lines: Leaves, hashes: list[bytes], tile: list[bytes] | None, bundle: list[bytes] | None,
        records: Records,
    ) -> None:  # fmt: skip
        """Name the records that are not what the tile and the bundle say."""
        for place, line in enumerate(lines):
            sequence = self._peaks.size + place + 1
            mine = None if line is None else hashes[place]
            hashed = None if tile is None else tile[place]
            bundled = None if bundle is None else leaf(bundle[place])
            if line is None:
                if bundle is not None and bundle[place] and sequence >= self._first:
                    self._found.problem("it was published, and is not in the log's files", sequence)
                continue
            if hashed is not None and mine == bundled != hashed:
                what = "its hash in the tile is another"
            elif hashed is not None and mine != hashed == bundled:
                what = f"it is not what was published (in {records.file_of(sequence)})"
            elif bundled is not None and bundled != mine:
                what = "the bundle of entries holds another one"
            elif hashed is not None and hashed != mine:
                what = "it is not what was hashed into the tile"
            else:
                continue
            self._found.problem(what, sequence)

    # 4

    def _level(self, level: int, digest: bytes) -> None:
        """Add a hash to the tile of a level, and compare that once it is full, or all that the checkpoint counts."""
        while len(self._above) < level:
            self._above.append([])
        hashes = self._above[level - 1]
        hashes.append(digest)
        number = self._peaks.size >> _BLOCK_HEIGHT * level
        last = number == self._found.size >> _BLOCK_HEIGHT * level
        if len(hashes) == WIDTH or last:
            index = (number - 1) // WIDTH
            if self._peaks.size <= self._found.size and self._tiles.hashes(level, index, len(hashes)) != hashes:
                self._found.problem(f"tile {index} of level {level} does not hold the hashes of those below it")
        if len(hashes) == WIDTH:
            self._above[level - 1] = []
            self._level(level + 1, subtree(hashes))

    def _at_size(self, hashes: Sequence[bytes]) -> None:
        """Compare the checkpoints whose trees end with one of the next leaves."""
        while self._wanted and self._wanted[0].size <= self._peaks.size + len(hashes):
            one = self._wanted.pop(0)
            if self._broken or one.size < self._peaks.size:
                continue
            if self._peaks.root_with(hashes[: one.size - self._peaks.size]) == one.root:
                self._good.append(one.size)
                self._found.signed += 1
                continue
            first = max(self._first, 1 + max(size for size in self._good if size < one.size))
            what = (
                "it is not what was signed" if first == one.size else f"one of it to {one.size} is not what was signed"
            )
            self._found.problem(f"{what}: {one} is of another tree", first)
            self._broken = True


def _agreed(hashes: list[bytes], tile: list[bytes] | None, bundle: list[bytes] | None) -> list[bytes]:
    """Give what most of file, tile and bundle say; where each says something else, the tile.

    The tree is built of that: so what was changed in one place alone is named where it stands, and not once more by
    the roots.
    """
    entries = None if bundle is None else [leaf(entry) for entry in bundle]
    if tile is None or entries is None:
        return tile or entries or hashes
    each = zip(hashes, tile, entries, strict=True)
    return [mine if mine in (hashed, bundled) else hashed for mine, hashed, bundled in each]
