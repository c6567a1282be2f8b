"""The plan of AWS Signature Version 4: a canonical request, its hash in the string to sign, and a derived key."""

from gateway.kit.plan import Made, Piece, Plan, Sample, digest_variable, field_variable, text
from gateway.signing.sigv4 import ALGORITHM, KEY_ALGORITHM, SigV4Scheme

QUERY = "sample=yes&b=1"
"""Of the sample request, out of order: the canonical one is sorted."""


def sigv4_plan(scheme: SigV4Scheme, sample: Sample) -> Plan:
    """Give the plan."""
    digest = digest_variable("sha256", "hex")
    signed = {"host": "authority", "x-amz-content-sha256": digest, "x-amz-date": "timestamp"}
    signed |= {name: field_variable(name) for name in sample.fields if name == "content-type" or _amazons(name)}
    names = ";".join(sorted(signed))
    fields = [piece for name in sorted(signed) for piece in text(f"{name}:", f"{{{signed[name]}}}", "\n")]
    again = Made("canonical_path", "path-again", text("{path}"))
    path = "path" if scheme.service == "s3" else again.name  # S3 takes the path as it is sent
    canonical = (
        *text("{method}", "\n", f"{{{path}}}", "\n", "{canonical_query}", "\n"),
        *fields,
        *text(f"\n{names}\n", f"{{{digest}}}"),
    )
    scope = text("{day}", f"/{scheme.region}/{scheme.service}/aws4_request")
    return Plan(
        string=(*text(f"{ALGORITHM}\n", "{timestamp}", "\n"), *scope, *text("\n", "{canonical_hash}")),
        algorithm=KEY_ALGORITHM,
        encoding="hex",
        headers=(
            ("x-amz-date", text("{timestamp}")),
            ("x-amz-content-sha256", text(f"{{{digest}}}")),
            (
                "authorization",
                (
                    *text(f"{ALGORITHM} Credential=", "{key_id}", "/"),
                    *scope,
                    *text(f", SignedHeaders={names}, Signature=", "{signature}"),
                ),
            ),
        ),
        timestamp_format="amz",
        made=(
            Made("day", "day", text("{timestamp}")),
            *([] if scheme.service == "s3" else [again]),
            Made("canonical_query", "sorted-query", text("{query}")),
            Made("canonical_hash", "sha256", canonical),
        ),
        key_steps=(
            Piece("AWS4"), Piece("day", variable=True), Piece(scheme.region), Piece(scheme.service),
            Piece("aws4_request"),
        ),
    )  # fmt: skip


def _amazons(name: str) -> bool:
    return name.startswith("x-amz-")
