"""What a scheme leaves unprotected, as warnings of the policy."""

from typing import Any

from gateway.policy.document import Definition
from gateway.policy.reader import Reader
from gateway.signing.scheme import Scheme


def warn_of(reader: Reader, definition: Definition, scheme: Scheme[Any]) -> None:
    """Warn of each weakness, with the way to mend it; of a vendor's preset at once, as the vendor has to mend it."""
    found = scheme.weaknesses()
    if definition.preset and found:
        said = "; ".join(sentence.partition(",")[0] for sentence in found)
        hint = f"the vendor's to mend; docs/presets.md#{definition.preset} and docs/signatures.md say what helps"
        reader.warning(definition.key, said, hint)
        return
    for sentence in found:
        message, _, hint = sentence.partition(": ")
        reader.warning(definition.key, message, hint)
