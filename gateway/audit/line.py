"""A record as bytes: serialised when it is made, numbered when it is written."""

from typing import NamedTuple

import orjson

MAX_LINE = 65_535
"""Bytes of a line without its end: the longest entry a C2SP tlog-tiles bundle takes. The limits of the fields keep
every record below it."""

type Json = dict[str, object]


class Record(NamedTuple):
    """A record without its place in the log: a line but for the end of `metadata`."""

    start: bytes
    """Up to the last member of `metadata` that is not the sequence."""
    rest: bytes
    """From the end of `metadata`."""


def seal(made: Json) -> Record:
    """Serialise a record: `time` and `metadata` first, then the others."""
    (_, time), (_, metadata), *others = made.items()
    return Record(
        b'{"time":%b,"metadata":%b' % (orjson.dumps(time), orjson.dumps(metadata)[:-1]),
        b"},%b}" % members(dict(others)),
    )


def fragment(value: object) -> orjson.Fragment:
    """Give a value as JSON that is copied as it is into what it becomes a part of."""
    return orjson.Fragment(orjson.dumps(value))


def members(fields: Json) -> bytes:
    """Give the members of an object as JSON, without its braces."""
    return orjson.dumps(fields)[1:-1]


def line(record: Record, sequence: int, origin: str) -> bytes:
    """Give a record as its line in the log, with its place in it. `origin` names the log's writer.

    Raises ValueError where the line would be longer than MAX_LINE.
    """
    start, rest = record
    made = b'%b,"sequence":%d,"uid":"%b:%d"%b\n' % (start, sequence, origin.encode(), sequence, rest)
    if len(made) > MAX_LINE + 1:
        raise ValueError(f"a record of {len(made)} bytes")
    return made
