"""What a scheme of RFC 9421 says of the gate's own signatures: `responses`."""

from collections.abc import Mapping

from gateway.policy.components import component, signature_label, signature_tag
from gateway.policy.nodes import Node
from gateway.policy.reader import Reader
from gateway.policy.values import whole_seconds
from gateway.signing.httpsig.answers import ALWAYS, IF_PRESENT, LABEL, AnswerRules
from gateway.signing.httpsig.fields import Kind
from gateway.signing.httpsig.profiles import Profile


def read_answer_rules(
    reader: Reader, node: Node | None, profile: Profile | None, kinds: Mapping[str, Kind]
) -> AnswerRules | None:
    """Read what signatures of responses cover and state; the default where nothing is said."""
    tag = None if profile is None else profile.answers_tag
    usual = IF_PRESENT if profile is None else profile.answers_if_present
    if node is None:
        return AnswerRules(covered_if_present=usual, tag=tag, kinds=kinds)
    own = () if tag is not None else ("tag",)
    fields = reader.fields(node, optional=("covered", "covered_if_present", "label", *own, "expires_after"))
    if fields is None:
        return None
    errors = reader.errors
    covered = reader.values(fields.get("covered"), component, "covered components")
    if_present = reader.values(fields.get("covered_if_present"), component, "covered components")
    label = reader.value_or(fields.get("label"), signature_label, LABEL)
    tag = tag or reader.value(fields.get("tag"), signature_tag)
    expires = reader.value(fields.get("expires_after"), whole_seconds)
    if reader.errors > errors:
        return None
    try:
        return AnswerRules(
            covered=ALWAYS if covered is None else tuple(covered),
            covered_if_present=usual if if_present is None else tuple(if_present),
            label=label,
            tag=tag,
            expires_after=expires,
            kinds=kinds,
        )
    except ValueError as error:
        reader.error(fields.get("covered", node), str(error))
        return None
