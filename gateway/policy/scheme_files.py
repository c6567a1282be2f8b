"""The section `schemes` of a policy by itself: what whoever signs needs, without the keys and files of the gate."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gateway.policy.document import assemble
from gateway.policy.folder import read_policy
from gateway.policy.problem import PolicyInvalid, Severity
from gateway.policy.reader import Reader
from gateway.policy.schemes import read_scheme
from gateway.signing.scheme import Scheme


def load_schemes(path: Path, environ: Mapping[str, str]) -> dict[str, Scheme[Any]]:
    """Read the schemes of the policy at `path`, by name, whatever else stands there or is missing.

    A partner can be given a file with `version: 1` and `schemes` alone. Raises PolicyInvalid with what is wrong with
    the schemes, or with the text of the files.
    """
    sources, found = read_policy(path)
    reader = Reader(environ, None)
    document = assemble(sources, Reader(environ, None)) if sources else None
    definitions = document.named["schemes"] if document is not None else {}
    read = {name: read_scheme(reader, name, definition) for name, definition in definitions.items()}
    errors = tuple(each for each in (*found, *reader.problems) if each.severity is Severity.ERROR)
    if errors:
        raise PolicyInvalid(errors, frozenset(source.file for source in sources))
    return {name: scheme for name, scheme in read.items() if scheme is not None}
