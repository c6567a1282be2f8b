// Has packages from npm sign and verify: a list of jobs comes on standard input, the list of their results goes out.
//
// A job's `by` names the package and what it does; what else a job holds, the function of that name says. Keys come on
// standard input too, so that they stand on no command line.

import { constants, createHash, createPrivateKey, createSign, webcrypto } from "node:crypto";
import { readFileSync } from "node:fs";
import { request } from "node:https";
import { text } from "node:stream/consumers";

import aws4 from "aws4";
import { component, createSignature, webcrypto as sigKeys } from "http-message-sig";
import { createSigner, createVerifier, httpbis } from "http-message-signatures";
import { FlattenedSign, flattenedVerify, importPKCS8, importSPKI } from "jose";
import { Webhook } from "standardwebhooks";
import Stripe from "stripe";
import truelayer from "truelayer-signing";

const stripe = new Stripe("sk_test_none");

function withDigest({ body, headers }) {
  if (!body) return headers;
  return { ...headers, "content-digest": `sha-256=:${createHash("sha256").update(body).digest("base64")}:` };
}

async function cryptoKey(algorithm, pem) {
  const der = createPrivateKey(pem).export({ format: "der", type: "pkcs8" });
  const kind = algorithm === "ed25519" ? { name: "Ed25519" } : { name: "RSA-PSS", hash: "SHA-512" };
  return webcrypto.subtle.importKey("pkcs8", der, kind, false, ["sign"]);
}

// Signs as docs/policy.md says one must by rsa-pss-sha512 with http-message-signatures.
function saltedSigner({ key, keyId, saltLength }) {
  const padding = constants.RSA_PKCS1_PSS_PADDING;
  const sign = async (data) => createSign("sha512").update(data).sign({ key, padding, saltLength });
  return { id: keyId, alg: "rsa-pss-sha512", sign };
}

const does = {
  async "http-message-signatures"(job) {
    const message = { method: job.method, url: job.url, headers: withDigest(job) };
    const { created, expires, nonce, tag } = job;
    const signed = await httpbis.signMessage(
      {
        key: job.saltLength ? saltedSigner(job) : createSigner(job.key, job.algorithm, job.keyId),
        fields: job.covered,
        params: ["created", "expires", "nonce", "keyid", "alg", "tag"],
        paramValues: { created: new Date(created * 1000), expires: new Date(expires * 1000), nonce, tag },
      },
      message,
    );
    return signed.headers;
  },

  async "http-message-signatures verifies"(job) {
    const keyLookup = async () => ({ algs: [job.algorithm], verify: createVerifier(job.key, job.algorithm) });
    return httpbis.verifyMessage({ keyLookup }, { method: job.method, url: job.url, headers: job.headers });
  },

  async "http-message-sig"(job) {
    const headers = withDigest(job);
    const fields = Object.entries(headers).map(([name, value]) => ({ name, value }));
    const { created, expires, nonce, tag } = job;
    const made = await createSignature(
      { kind: "request", method: job.method, targetUri: job.url, fields },
      {
        label: "sig",
        components: job.covered.map((name) => component(name)),
        parameters: { created, expires, nonce, keyid: job.keyId, alg: job.algorithm, tag },
        signer: sigKeys.signer(await cryptoKey(job.algorithm, job.key)),
      },
    );
    return { ...headers, "signature-input": made.signatureInput, signature: made.signature };
  },

  // Signs by `job.signer`, and only then takes `changed` instead of what was signed; gives the answer.
  async send(job) {
    const fields = await does[job.signer](job);
    const { method, url, headers, body } = { method: job.method, url: job.url, body: job.body, headers: {}, ...job.changed };
    const { hostname, port, pathname, search } = new URL(url);
    const cert = readFileSync(job.certificate);
    const ca = readFileSync(job.ca);
    return new Promise((resolve, reject) => {
      const given = { ...fields, ...headers, ...(body ? { "content-length": Buffer.byteLength(body) } : {}) };
      const options = { method, hostname, port, path: pathname + search, headers: given, cert, key: cert, ca };
      const sent = request({ ...options, agent: false }, async (answer) =>
        resolve({ status: answer.statusCode, body: await text(answer) }),
      );
      sent.on("error", reject);
      sent.end(body);
    });
  },

  stripe: ({ body, key, time }) =>
    stripe.webhooks.generateTestHeaderString({ payload: body, secret: key, timestamp: time }),

  "stripe verifies": ({ body, key, signature }) => stripe.webhooks.constructEvent(body, signature, key, 300).id,

  standardwebhooks: ({ body, key, id, time }) => new Webhook(key).sign(id, new Date(time * 1000), body),

  "standardwebhooks verifies": ({ body, key, headers }) => new Webhook(key).verify(body, headers),

  "truelayer-signing": ({ keyId, method, path, headers, body, key }) =>
    truelayer.sign({ kid: keyId, method, path, headers, body, privateKeyPem: key }),

  "truelayer-signing verifies": ({ signature, method, path, headers, body, key, requiredHeaders }) =>
    truelayer.verify({ signature, method, path, headers, body, publicKeyPem: key, requiredHeaders }) ?? true,

  async jose({ header, body, key }) {
    const understood = Object.fromEntries(header.crit.filter((name) => name !== "b64").map((name) => [name, true]));
    const made = await new FlattenedSign(Buffer.from(body))
      .setProtectedHeader(header)
      .sign(await importPKCS8(key, header.alg), { crit: understood });
    return `${made.protected}..${made.signature}`;
  },

  async "jose verifies"({ signature, body, key, understood, algorithm }) {
    const [header, , value] = signature.split(".");
    const { b64 } = JSON.parse(Buffer.from(header, "base64url"));
    const payload = b64 === false ? body : Buffer.from(body).toString("base64url");
    const crit = Object.fromEntries(understood.map((name) => [name, true]));
    const made = { protected: header, payload, signature: value };
    await flattenedVerify(made, await importSPKI(key, algorithm), { crit });
    return true;
  },

  aws4: ({ method, host, target, headers, body, region, service, keyId, key }) =>
    aws4.sign(
      { method, host, path: target, headers, body, region, service },
      { accessKeyId: keyId, secretAccessKey: key },
    ).headers,
};

const results = [];
for (const job of JSON.parse(await text(process.stdin))) {
  try {
    results.push({ result: await does[job.by](job) });
  } catch (error) {
    results.push({ error: `${job.by}: ${error.stack}` });
  }
}
process.stdout.write(JSON.stringify(results));
