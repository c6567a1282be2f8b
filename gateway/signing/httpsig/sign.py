"""Signs messages (RFC 9421 section 3.1): what a client does, and what the gate does to its own."""

from base64 import b64encode
from typing import NamedTuple

from http_sf.types import ParamsType

from gateway.core.message import Instant
from gateway.signing.algorithms import Signer
from gateway.signing.httpsig.base import Covered
from gateway.signing.httpsig.fields import Item, write_parameters
from gateway.signing.httpsig.inputs import read_parameters
from gateway.signing.httpsig.message import Message


class Terms(NamedTuple):
    """The parameters of a signature to make, in the order of RFC 9421's examples; what is None is left out."""

    created: Instant | None
    key_id: str | None
    alg: str | None = None
    expires: Instant | None = None
    nonce: str | None = None
    tag: str | None = None

    def write(self) -> str:
        """Give their text. Raises ValueError for values that the gate would refuse."""
        given: dict[str, str | int | None] = {
            "created": None if self.created is None else int(self.created),
            "keyid": self.key_id,
            "alg": self.alg,
            "expires": None if self.expires is None else int(self.expires),
            "nonce": self.nonce,
            "tag": self.tag,
        }
        parameters: ParamsType = {name: value for name, value in given.items() if value is not None}
        no_items: list[Item] = []
        read_parameters((no_items, parameters))
        return write_parameters(parameters)


def sign(message: Message, covered: Covered, terms: Terms, label: str, signer: Signer) -> list[tuple[str, str]]:
    """Give the fields Signature-Input and Signature.

    Raises AbsentError for a covered component that the message does not have, ValueError for what cannot be signed.
    """
    parameters = terms.write()
    signature = signer.sign(covered.base(message, parameters))
    return [
        ("signature-input", f"{label}={covered.text}{parameters}"),
        ("signature", f"{label}=:{b64encode(signature).decode('ascii')}:"),
    ]
