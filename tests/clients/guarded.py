"""Calls a guarded gRPC service: guarded.py ADDRESS METHOD [TOKEN].

Prints the status, and the reason that came with it: `UNAUTHENTICATED CREDENTIALS_MISSING`.
"""

import re
import sys

import grpc

address, method, *token = sys.argv[1:]
metadata = [("authorization", f"Bearer {token[0]}")] if token else []
with grpc.insecure_channel(address) as channel:
    call = channel.unary_unary(method)
    try:
        call(b"", metadata=metadata, timeout=60)
        print("OK")
    except grpc.RpcError as error:
        trailers = dict(error.trailing_metadata() or ())
        details = trailers.get("grpc-status-details-bin", b"")
        reason = re.search(rb"[A-Z]+_[A-Z_]+", details)
        print(error.code().name, reason.group().decode() if reason else "-")
