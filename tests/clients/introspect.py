"""Introspects tokens with Authlib.

    introspect.py VERIFIER CALLER TOKEN TOLD      prints the members of the answer

TOLD is where the metadata say that it is done.
"""

import json
import sys
import urllib.request

from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata

verifier, caller, token, told = sys.argv[1:]
page = urllib.request.urlopen(verifier + "/.well-known/oauth-authorization-server", timeout=60)
metadata = AuthorizationServerMetadata(json.load(page))
metadata.validate_response_types_supported()
metadata.validate_introspection_endpoint_auth_methods_supported()
assert "client_secret_basic" in metadata.introspection_endpoint_auth_methods_supported
assert metadata["introspection_endpoint"] == told, metadata
url = verifier + "/introspect"
client = OAuth2Session("anything", caller, token_endpoint_auth_method="client_secret_basic")
answer = client.introspect_token(url, token, token_type_hint="access_token")
assert answer.status_code == 200, answer.text
wrong = OAuth2Session("anything", "wrong", token_endpoint_auth_method="client_secret_basic")
refused = wrong.introspect_token(url, token)
assert (refused.status_code, refused.json()["error"]) == (401, "invalid_client"), refused.text
assert "Basic" in refused.headers["www-authenticate"]
# As a caller that knows RFC 6750 alone.
headers = {"Authorization": f"Bearer {caller}"}
form = urllib.parse.urlencode({"token": token}).encode()
request = urllib.request.Request(url, form, headers)
assert json.load(urllib.request.urlopen(request, timeout=60)) == answer.json()
print(answer.text)
