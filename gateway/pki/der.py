"""The outermost of DER (X.690): where an element's contents begin and end, and wrapping contents anew."""

BOOLEAN, INTEGER, SEQUENCE = 0x01, 0x02, 0x30
UTC_TIME, GENERALIZED_TIME = 0x17, 0x18


def element(der: bytes, start: int) -> tuple[int, int]:
    """Give where the contents of the element at `start` begin, and where it ends; its tag is one octet.

    Raises ValueError where it ends beyond `der`.
    """
    if start + 2 > len(der):
        raise ValueError(f"no element at octet {start}")
    length = der[start + 1]
    contents = start + 2
    if length & 0x80:
        octets = length & 0x7F
        length = int.from_bytes(der[contents : contents + octets])
        contents += octets
    end = contents + length
    if end > len(der):
        raise ValueError(f"element at octet {start} ends beyond the whole")
    return contents, end


def wrapped(tag: int, contents: bytes) -> bytes:
    """Give an element with these contents."""
    length = len(contents)
    if length < 0x80:
        return bytes((tag, length)) + contents
    octets = length.to_bytes((length.bit_length() + 7) // 8)
    return bytes((tag, 0x80 | len(octets))) + octets + contents


def integer(number: int) -> bytes:
    """Give the contents of an INTEGER, as few octets as can be."""
    return number.to_bytes((number if number >= 0 else ~number).bit_length() // 8 + 1, signed=True)
