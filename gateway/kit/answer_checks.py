"""What the samples do with a signed answer: nothing is believed of it before the gate's signature is right."""

import json
from collections.abc import Sequence
from typing import NamedTuple

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from gateway.core.policy import Route
from gateway.core.secret import Secret
from gateway.signing.httpsig.scheme import HttpMessageScheme
from gateway.signing.outward import SignedAnswers

KEY_FILE = "gateway-key.pem"

_PYTHON_CHECKS = {
    "ed25519": "key.verify(signature, base)",
    "ecdsa-p256-sha256": "key.verify(der(signature), base, ec.ECDSA(hashes.SHA256()))",
    "ecdsa-p384-sha384": "key.verify(der(signature), base, ec.ECDSA(hashes.SHA384()))",
    "rsa-pss-sha512": "key.verify(signature, base, padding.PSS(padding.MGF1(hashes.SHA512()), 64), hashes.SHA512())",
    "rsa-v1_5-sha256": "key.verify(signature, base, padding.PKCS1v15(), hashes.SHA256())",
}
_NODE_CHECKS = {
    "ed25519": "verify(null, base, key, signature)",
    "ecdsa-p256-sha256": 'verify("sha256", base, { key, dsaEncoding: "ieee-p1363" }, signature)',
    "ecdsa-p384-sha384": 'verify("sha384", base, { key, dsaEncoding: "ieee-p1363" }, signature)',
    "rsa-pss-sha512": (
        'verify("sha512", base, { key, padding: constants.RSA_PKCS1_PSS_PADDING, saltLength: 64 }, signature)'
    ),
    "rsa-v1_5-sha256": 'verify("sha256", base, key, signature)',
}


class AnswerKey(NamedTuple):
    """How the answers of a route are signed, for whoever checks them."""

    label: str
    required: Sequence[str]
    """Identifiers of components that must be covered."""
    algorithm: str
    public_key: str
    """PEM."""


def public_key(route: Route) -> str | None:
    """Give the key by which a route's answers are checked, in PEM; None where the gate has no private key for them."""
    signer = route.answers
    if not isinstance(signer, SignedAnswers) or signer.key is None or isinstance(signer.key.material, Secret):
        return None
    public = signer.key.private.key.public_key()
    return public.public_bytes(Encoding.PEM, PublicFormat.SubjectPublicKeyInfo).decode()


def answer_key(route: Route) -> AnswerKey | None:
    """Give how a route's answers are signed; None where not by RFC 9421 with a private key of the gate's."""
    signer, pem = route.answers, public_key(route)
    if not isinstance(signer, SignedAnswers) or signer.key is None or pem is None:
        return None
    if not isinstance(signer.scheme, HttpMessageScheme):
        return None
    rules = signer.scheme.answers
    return AnswerKey(rules.label, [each.identifier for each in rules.covered], signer.key.algorithm, pem)


_PYTHON = '''\
def check_answer(status, fields, content):
    """Raise an error unless the gate signed this answer to this request (RFC 9421); needs `cryptography`."""
    import re
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec, padding
    from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
    from cryptography.hazmat.primitives.serialization import load_pem_public_key

    def der(raw):
        half = len(raw) // 2
        return encode_dss_signature(int.from_bytes(raw[:half], "big"), int.from_bytes(raw[half:], "big"))

    announced = fields.get("signature-input", "")
    found = re.match(r'@LABEL@=(\\(((?:"[^"]*"(?:;[a-z]+)* ?)*)\\)(?:;[a-z]+=(?:"[^"]*"|[0-9]+))*)', announced)
    if found is None:
        raise ValueError("the answer is not signed")
    parameters, inner = found.groups()
    covered = re.findall(r'"[^"]+"(?:;[a-z]+)*', inner)
    missing = set(@REQUIRED@) - set(covered)
    if missing:
        raise ValueError(f"the answer's signature does not cover {missing}")
    if abs(int(re.search(r";created=([0-9]+)", parameters).group(1)) - now) > 60:
        raise ValueError("the answer was signed at another time")
    if fields["content-digest"] != "sha-256=:" + base64.b64encode(hashlib.sha256(content).digest()).decode() + ":":
        raise ValueError("the answer's body is not the one that was signed")
    sent = {**headers, "host": authority}
    known = {
        '"@status"': str(status), '"@method";req': method, '"@target-uri";req': url, '"@authority";req': authority,
        '"@path";req': path, **{f'"{name}";req': value for name, value in sent.items()},
    }
    lines = [f"{each}: {known[each] if each in known else fields[each.strip(chr(34))]}" for each in covered]
    base = "\\n".join([*lines, f'"@signature-params": {parameters}']).encode()
    signature = base64.b64decode(re.match(r"@LABEL@=:([A-Za-z0-9+/=]+):", fields["signature"]).group(1))
    key = load_pem_public_key(read(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "@KEY_FILE@")))
    @CHECK@


'''

_NODE = """\
// Throws unless the gate signed this answer to this request (RFC 9421).
function checkAnswer(status, fields, content, headers) {
  const found = /^@LABEL@=(\\(((?:"[^"]*"(?:;[a-z]+)* ?)*)\\)(?:;[a-z]+=(?:"[^"]*"|[0-9]+))*)/
    .exec(fields["signature-input"] ?? "");
  if (!found) throw new Error("the answer is not signed");
  const [, parameters, inner] = found;
  const covered = inner.match(/"[^"]+"(?:;[a-z]+)*/g) ?? [];
  const missing = @REQUIRED@.filter((each) => !covered.includes(each));
  if (missing.length) throw new Error(`the answer's signature does not cover ${missing}`);
  if (Math.abs(Number(/;created=([0-9]+)/.exec(parameters)[1]) - now) > 60) {
    throw new Error("the answer was signed at another time");
  }
  const digest = createHash("sha256").update(content).digest("base64");
  if (fields["content-digest"] !== `sha-256=:${digest}:`) {
    throw new Error("the answer's body is not the one that was signed");
  }
  const known = {
    '"@status"': String(status), '"@method";req': method, '"@target-uri";req': url, '"@authority";req': authority,
    '"@path";req': path, '"host";req': authority,
  };
  for (const [name, value] of Object.entries(headers)) known[`"${name}";req`] = value;
  const lines = covered.map((each) => `${each}: ${known[each] ?? fields[each.replaceAll('"', "")]}`);
  const base = Buffer.from([...lines, `"@signature-params": ${parameters}`].join("\\n"));
  const signature = Buffer.from(/^@LABEL@=:([A-Za-z0-9+/=]+):/.exec(fields.signature)[1], "base64");
  const key = readFileSync(new URL("../@KEY_FILE@", import.meta.url));
  if (!@CHECK@) throw new Error("the answer's signature is not the gate's");
}

"""


def in_python(key: AnswerKey) -> str:
    """Give the function `check_answer`."""
    return _filled(_PYTHON, key, _PYTHON_CHECKS[key.algorithm], repr(list(key.required)))


def in_node(key: AnswerKey) -> str:
    """Give the function `checkAnswer`."""
    return _filled(_NODE, key, _NODE_CHECKS[key.algorithm], json.dumps(list(key.required)))


def _filled(template: str, key: AnswerKey, check: str, required: str) -> str:
    label = key.label.replace(".", "\\.").replace("*", "\\*")
    for name, value in (("LABEL", label), ("REQUIRED", required), ("CHECK", check), ("KEY_FILE", KEY_FILE)):
        template = template.replace(f"@{name}@", value)
    return template
