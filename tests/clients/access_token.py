"""Verifies an access token with PyJWT, from the issuer's JWKS.
Usage: access_token.py ISSUER AUDIENCE ALGORITHM TOKEN
"""

import sys

import jwt

# RFC 9068, section 2.2, and the key that a reader of the JWKS looks for.
REQUIRED = ["iss", "sub", "aud", "exp", "iat", "jti", "client_id", "sid"]


def refused(reason, decode, *arguments, **options):
    try:
        decode(*arguments, **options)
    except reason:
        return
    raise AssertionError(f"not refused with {reason}")


def main(issuer, audience, algorithm, token):
    header = jwt.get_unverified_header(token)
    assert (header["typ"], header["alg"]) == ("at+jwt", algorithm), header
    keys = jwt.PyJWKClient(f"{issuer}/.well-known/jwks.json")
    key = keys.get_signing_key_from_jwt(token)
    options = {
        "algorithms": [algorithm],
        "issuer": issuer,
        "audience": audience,
        "options": {"require": REQUIRED},
    }
    claims = jwt.decode(token, key, **options)
    assert claims["role"] == "Administrators", claims
    assert "tessera:admin" in claims["scope"].split(), claims
    assert claims["exp"] - claims["iat"] == 3600, claims

    other = {**options, "audience": "another-service"}
    refused(jwt.InvalidAudienceError, jwt.decode, token, key, **other)
    signed, signature = token.rsplit(".", 1)
    changed = "B" if signature[20] == "A" else "A"
    forged = f"{signed}.{signature[:20]}{changed}{signature[21:]}"
    refused(jwt.InvalidSignatureError, jwt.decode, forged, key, **options)
    print("ok")


if __name__ == "__main__":
    main(*sys.argv[1:])
