"""Introspects tokens with Authlib, which finds the endpoint by the metadata, if URL is theirs.

    introspect.py URL CALLER TOKEN      prints the members of the answer
"""

import json
import sys
import urllib.request

from authlib.integrations.requests_client import OAuth2Session
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata

url, caller, token = sys.argv[1:]
if "/.well-known/" in url:
    metadata = AuthorizationServerMetadata(json.load(urllib.request.urlopen(url, timeout=60)))
    metadata.validate_response_types_supported()
    metadata.validate_introspection_endpoint_auth_methods_supported()
    assert "client_secret_basic" in metadata.introspection_endpoint_auth_methods_supported
    url = metadata["introspection_endpoint"]
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
