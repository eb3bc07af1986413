// Reads access tokens from standard input, line by line, and says of each whether
// jose takes it. One JWKS for all of them, as a service has it: it is read again when
// an unknown key is met, though not within 30 s.
// Arguments: ISSUER AUDIENCE

import { webcrypto } from "node:crypto";
import { createInterface } from "node:readline";

// Before version 20 Node has it, and not under the name that jose looks for.
globalThis.crypto ??= webcrypto;
const { createRemoteJWKSet, jwtVerify } = await import("jose");

const [issuer, audience] = process.argv.slice(1);
const keys = createRemoteJWKSet(new URL(`${issuer}/.well-known/jwks.json`));
for await (const token of createInterface({ input: process.stdin })) {
  try {
    await jwtVerify(token.trim(), keys, { issuer, audience, typ: "at+jwt" });
    console.log("good");
  } catch (error) {
    console.log(`refused: ${error.code}`);
  }
}
