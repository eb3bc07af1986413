"""Reads access tokens from standard input, line by line, and says of each whether
PyJWT takes it. One client for all of them, as a service has it: it reads the JWKS
when it meets an unknown key.
Usage: reader.py ISSUER AUDIENCE
"""

import sys

import jwt


def main(issuer, audience):
    keys = jwt.PyJWKClient(f"{issuer}/.well-known/jwks.json")
    for token in map(str.strip, sys.stdin):
        try:
            key = keys.get_signing_key_from_jwt(token)
            algorithms = ["ES256", "EdDSA", "RS256"]
            jwt.decode(token, key, algorithms=algorithms, issuer=issuer, audience=audience)
            print("good", flush=True)
        except jwt.PyJWTError as error:
            print(f"refused: {error!r}", flush=True)


if __name__ == "__main__":
    main(*sys.argv[1:])
