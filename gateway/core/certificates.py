"""By what a client certificate is recognised as a partner's."""

from dataclasses import dataclass

from gateway.core.message import Certificate


@dataclass(frozen=True, slots=True)
class CertificateMatch:
    """What a certificate must carry to stand for a partner: every value that is given."""

    san_uri: str | None = None
    san_dns: str | None = None
    """Lower case."""
    san_email: str | None = None
    """Its domain in lower case."""
    subject: str | None = None
    """RFC 4514 form."""
    fingerprint: str | None = None
    public_key: str | None = None
    authorities: frozenset[str] | None = None
    """Public keys of CAs, by their SHA-256: the chain must hold one of them above the certificate."""

    def fits(self, certificate: Certificate) -> bool:
        """Whether the certificate carries all of it. One without any value fits nothing."""
        return bool(index_keys(self)) and (
            (self.san_uri is None or self.san_uri in certificate.san_uri)
            and (self.san_dns is None or self.san_dns in certificate.san_dns)
            and (self.san_email is None or self.san_email in certificate.san_email)
            and (self.subject is None or self.subject == certificate.subject)
            and (self.fingerprint is None or self.fingerprint == certificate.fingerprint)
            and (self.public_key is None or self.public_key == certificate.public_key_fingerprint)
            and (self.authorities is None or not self.authorities.isdisjoint(certificate.authorities))
        )


def index_keys(match: CertificateMatch) -> list[tuple[str, str]]:
    """Give one of the match's values, under which it is looked up: any will do, all are checked.

    Where there is nothing but authorities, each of them will do. A match without any value has none.
    """
    for kind in ("fingerprint", "public_key", "san_uri", "san_dns", "san_email", "subject"):
        value: str | None = getattr(match, kind)
        if value is not None:
            return [(kind, value)]
    return [("authority", value) for value in match.authorities or ()]
