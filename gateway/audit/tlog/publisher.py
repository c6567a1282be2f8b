"""Publishes the log as a transparency log: from its files to tiles, bundles and a signed checkpoint.

1. `resume`: the checkpoint is read; the right edge of its tree is read from the tiles, and must have its root. Where
   tiles are missing, they are made anew from the log's files, which must come to the same root.
2. `publish`: what was added to the log's files since, and is on the disk, becomes entries; then tiles and bundles are
   brought to the disk; then the checkpoint is signed and takes the place of the one before.

After a failure all is read anew, as at a start. A tree that does not fit the last checkpoint is never signed.
"""

from collections.abc import Callable
from functools import partial
from itertools import chain
from pathlib import Path

from gateway.audit.files import date_of, log_files
from gateway.audit.tlog.consistency import consistency_proof
from gateway.audit.tlog.lines import LOST, Lines, RecordsLostError
from gateway.audit.tlog.note import Checkpoint, NoteError, Signer
from gateway.audit.tlog.tiles import CHECKPOINT, HISTORY, Tiles
from gateway.audit.tlog.tree import WIDTH, Edge, Tile, entries_of
from gateway.audit.tlog.witness import Prove
from gateway.core.message import Instant

FOLDER = "tlog"
"""Folder of the transparency log, in that of the log."""

type Cosign = Callable[[Checkpoint, str, Prove], str]
"""Gives lines of signatures for a checkpoint and its note; proofs are made of the tiles."""


class TlogError(Exception):
    """The transparency log does not fit the log, or its own checkpoint: nothing is signed until somebody looks."""


def checkpoint_of(directory: Path, signer: Signer) -> Checkpoint | None:
    """Read the last checkpoint of the log in a folder; None where none was published yet.

    Raises TlogError where it is not the signer's, or was removed, and OSError.
    """
    tiles = Tiles(directory / FOLDER)
    note = tiles.checkpoint()
    if note is None:
        if tiles.has_history():
            raise TlogError(f"{FOLDER}/{CHECKPOINT} was removed: put back the last one of {FOLDER}/{HISTORY}")
        return None
    try:
        checkpoint = signer.read(note)
    except NoteError as error:
        raise TlogError(f"{FOLDER}/{CHECKPOINT}: {error}: give the log its own key, or begin a new log") from None
    if checkpoint.origin != signer.name:
        raise TlogError(f"{FOLDER}/{CHECKPOINT} is of {checkpoint.origin}, not of {signer.name}")
    return checkpoint


class Publisher:
    """Publishes the log in a folder; one for each log, called from one thread at a time."""

    def __init__(self, directory: Path, signer: Signer, *, progress: Callable[[int], None] = lambda _: None) -> None:
        """`progress` is told how far it is, after every few hundred entries."""
        self.signer = signer
        self.checkpoint: Checkpoint | None = None
        """The last one that was published."""
        self._directory = directory
        self._progress = progress
        self._tiles = Tiles(directory / FOLDER)
        self._edge: Edge | None = None
        self._lines = Lines(directory, 1)

    def publish(self, last: int, now: Instant, cosign: Cosign | None = None) -> str | None:
        """Publish the records up to sequence `last`; gives the new checkpoint as a note, None where nothing is new.

        `cosign` is asked for signatures of others before it is published.

        Raises TlogError, RecordsLostError, OSError; the next call begins anew.
        """
        edge = self._edge or self.resume()
        if last <= edge.size:
            return None
        self._edge = None  # until all of it is done
        filled = self._add(edge, last)
        for tile in edge.partial():
            self._tiles.write(tile)
        checkpoint = Checkpoint(self.signer.name, edge.size, edge.root())
        note = self.signer.sign(checkpoint.text)
        if cosign is not None:
            note += cosign(checkpoint, note, partial(consistency_proof, self._tiles, new=checkpoint.size))
        self._tiles.introduce(self.signer.public)
        self._tiles.publish(note, date_of(now))
        self._tiles.drop_partial(filled)
        self._edge, self.checkpoint = edge, checkpoint
        return note

    def _add(self, edge: Edge, last: int) -> list[Tile]:
        """Add the lines up to `last`, and write the tiles that they fill; gives these."""
        filled: list[Tile] = []
        for lines in self._lines.up_to(last):
            for tile in edge.extend(lines):
                self._tiles.write(tile)
                filled.append(Tile(tile.level, tile.index, tile.width, b""))
            self._progress(edge.size)
        return filled

    def resume(self) -> Edge:
        """Take up the tree where the last checkpoint left it. Raises as `publish` does."""
        checkpoint = self.checkpoint = checkpoint_of(self._directory, self.signer)
        size = 0 if checkpoint is None else checkpoint.size
        self._lines = Lines(self._directory, size - size % WIDTH + 1)
        if checkpoint is None:
            self._edge = Edge()
            return self._edge
        try:
            edge = self._tiles.edge(size)
            files = log_files(self._directory)
            kept = (files[0].first - 1) // WIDTH if files else 0  # what was deleted is not missing
            whole = edge.root() == checkpoint.root and self._tiles.missing(size, kept) is None
        except (FileNotFoundError, ValueError):
            whole = False
        if not whole:
            self._edge = self._rebuild(checkpoint)
            return self._edge
        self._compare(size)
        self._edge = edge
        return edge

    def _rebuild(self, checkpoint: Checkpoint) -> Edge:
        """Make the tiles anew from the log's files: only once it is known that they come to what was signed."""
        trial = Edge()
        for lines in Lines(self._directory, 1).up_to(checkpoint.size):
            trial.extend(lines)
            self._progress(trial.size)
        if trial.root() != checkpoint.root:
            raise TlogError(
                f"tiles are missing, and the log's files do not give the tree of {FOLDER}/{CHECKPOINT}"
                f" ({checkpoint.size} entries): run `gateway audit verify`"
            )
        edge = Edge()
        self._lines = Lines(self._directory, 1)
        self._add(edge, checkpoint.size)
        for tile in edge.partial():
            self._tiles.write(tile)
        return edge

    def _compare(self, size: int) -> None:
        """See that the last entries, those of the bundle that is not full, are still what the log's files hold."""
        first = size - size % WIDTH + 1
        published = entries_of(self._tiles.bundle(size // WIDTH, size % WIDTH))
        there = chain.from_iterable(self._lines.up_to(size))
        try:
            for sequence, (entry, leaf) in enumerate(zip(published, there, strict=True), first):
                if leaf != LOST and leaf[1:] != entry:
                    raise TlogError(f"record {sequence} is not the one that was published: run `gateway audit verify`")
        except RecordsLostError:  # the log told so when it was opened, and goes on behind them
            self._lines = Lines(self._directory, size + 1)
