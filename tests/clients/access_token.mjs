// Verifies an access token with jose, from the issuer's JWKS.
// Arguments: ISSUER AUDIENCE ALGORITHM TOKEN

import assert from "node:assert/strict";
import { webcrypto } from "node:crypto";

// Before version 20 Node has it, and not under the name that jose looks for.
globalThis.crypto ??= webcrypto;
const { createRemoteJWKSet, jwtVerify } = await import("jose");

const [issuer, audience, algorithm, token] = process.argv.slice(1);
const keys = createRemoteJWKSet(new URL(`${issuer}/.well-known/jwks.json`));
const options = { issuer, audience, algorithms: [algorithm], typ: "at+jwt" };

const { payload, protectedHeader } = await jwtVerify(token, keys, options);
assert.equal(protectedHeader.alg, algorithm);
assert.equal(payload.role, "Administrators");
assert.ok(payload.scope.split(" ").includes("tessera:admin"));

await assert.rejects(jwtVerify(token, keys, { ...options, audience: "another-service" }), {
  code: "ERR_JWT_CLAIM_VALIDATION_FAILED",
});
const at = token.lastIndexOf(".") + 21;
const forged = token.slice(0, at) + (token[at] === "A" ? "B" : "A") + token.slice(at + 1);
await assert.rejects(jwtVerify(forged, keys, options), {
  code: "ERR_JWS_SIGNATURE_VERIFICATION_FAILED",
});
console.log("ok");
