"""Revokes tokens with Authlib, which finds the endpoint by the issuer's metadata."""

import json
import sys
import urllib.request

from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata

issuer, caller, *tokens = sys.argv[1:]
found = urllib.request.urlopen(issuer + "/.well-known/oauth-authorization-server", timeout=60)
metadata = AuthorizationServerMetadata(json.load(found))
metadata.validate_revocation_endpoint_auth_methods_supported()
assert metadata.revocation_endpoint_auth_methods_supported == ["client_secret_basic"]
client = OAuth2Session("anything", caller, revocation_endpoint_auth_method="client_secret_basic")
for hint, token in zip(["access_token", "refresh_token", "unheard-of"], tokens):
    answer = client.revoke_token(metadata["revocation_endpoint"], token, token_type_hint=hint)
    assert (answer.status_code, answer.content) == (200, b""), answer.text
wrong = OAuth2Session("anything", "wrong", revocation_endpoint_auth_method="client_secret_basic")
answer = wrong.revoke_token(metadata["revocation_endpoint"], tokens[0])
assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client"), answer.text
assert "Basic" in answer.headers["www-authenticate"]
print("ok")
