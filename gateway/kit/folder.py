"""The files of a kit, by name."""

import json
from collections.abc import Mapping
from typing import Any

from gateway.core.reasons import Denied
from gateway.kit import node, pages, python, recipes, shell
from gateway.kit.answer_checks import KEY_FILE, public_key
from gateway.kit.example import example_of
from gateway.kit.facts import Facts, Signing, needs_certificate
from gateway.kit.plan import Given
from gateway.policy.nodes import MappingNode, Node, SequenceNode
from gateway.signing.secret_algorithms import SECRET_ALGORITHMS


def files(facts: Facts, definitions: Mapping[str, Node]) -> dict[str, str]:
    """Give the text of each file; `definitions` are the schemes as the policy writes them.

    Raises ValueError where the scheme cannot sign the example.
    """
    made = {"README.md": pages.overview(facts)}
    if needs_certificate(facts):
        made["certificate-request.sh"] = recipes.certificate_request(facts.partner)
    signing = facts.signing
    if signing is None:
        return made
    if signing.algorithm not in SECRET_ALGORITHMS:
        made["signing-key.sh"] = recipes.signing_key(signing.algorithm)
    try:
        example = example_of(facts, signing)
    except Denied as denied:
        raise ValueError(f"scheme {signing.scheme.name} cannot sign the example: {denied.detail}") from None
    made["signing.md"] = pages.signing_page(signing, example)
    made["sample/string-to-sign.txt"] = example.string.decode("utf-8", "surrogateescape")
    made["sample/request.http"] = example.request
    if definitions:
        schemes = {"version": 1, "schemes": {name: _plain(node) for name, node in definitions.items()}}
        made["schemes.yaml"] = json.dumps(schemes, indent=2, ensure_ascii=False) + "\n"
    return made | _samples(facts, signing)


def _samples(facts: Facts, signing: Signing) -> dict[str, str]:
    plan, sample = signing.plan, signing.sample
    about = f"{sample.method} {sample.path}, signed by scheme {signing.scheme.name} ({plan.algorithm})."
    given = Given(plan, sample, about, facts.base_url, signing.key_id, facts.secret_encoding, facts.answers)
    pem = public_key(signing.route)
    return {
        **({} if pem is None else {KEY_FILE: pem}),
        "sample/sign.sh": shell.write(given),
        "sample/sign.py": python.write(given),
        "sample/sign.mjs": node.write(given),
    }


def _plain(node_: Node) -> Any:  # noqa: ANN401 - whatever the policy says
    """Give a node as plain values: what is written in quotes in JSON is text in the policy too."""
    if isinstance(node_, MappingNode):
        return {key: _plain(value) for key, value in node_.values.items()}
    return [_plain(item) for item in node_.items] if isinstance(node_, SequenceNode) else node_.text
