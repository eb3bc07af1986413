"""A client as gRPC means one to be: round robin over the replicas, retries of
UNAVAILABLE. It calls until the file STOP is there, and says what it lost; a wrong verdict
is lost too. When it begins to call it makes the file STOP.ready.
Usage: rolling.py VERIFIERS ISSUERS STOP TRIES: lists with commas between, and how often a
call is tried; the access token, a good permanent token and a revoked one come on standard
input, a line each.
"""

import json
import os
import sys
import threading

import grpc

from reflection import Service


def options(tries):
    config = {"loadBalancingConfig": [{"round_robin": {}}]}
    if tries > 1:
        retry = {
            "maxAttempts": tries,
            "initialBackoff": "0.1s",
            "maxBackoff": "1s",
            "backoffMultiplier": 2,
            "retryableStatusCodes": ["UNAVAILABLE"],
        }
        config["methodConfig"] = [{"name": [{}], "waitForReady": False, "retryPolicy": retry}]
    return [
        ("grpc.service_config", json.dumps(config)),
        ("grpc.enable_retries", int(tries > 1)),
        # A list of addresses is no name that HTTP/2 could carry.
        ("grpc.default_authority", "tessera.test"),
        # A replica that comes back is found soon.
        ("grpc.min_reconnect_backoff_ms", 100),
        ("grpc.max_reconnect_backoff_ms", 500),
    ]


def keep_calling(call, stop, counts, lost):
    while not os.path.exists(stop):
        try:
            call()
            counts.append(1)
        except grpc.RpcError as error:
            lost.append(f"{error.code()}: {error.details()}")
        except AssertionError as error:
            lost.append(f"a wrong verdict: {error}")


def main(verifiers, issuers, stop, tries):
    access, good, ended = sys.stdin.read().split()
    verifier = Service(f"ipv4:{verifiers}", "tessera.v1.VerifierService", options(int(tries)))
    issuer = Service(f"ipv4:{issuers}", "tessera.v1.IssuerService", options(int(tries)))

    def verify(token, verdict, **fields):
        answer = verifier.Verify(token=token, **fields)
        assert answer.WhichOneof("verdict") == verdict, answer

    # What is learned by reflection is learned once, before anything restarts.
    open(stop + ".ready", "w").close()
    counts, lost = [], []
    calls = [
        lambda: verify(good, "principal"),
        lambda: verify(ended, "denial"),
        lambda: verify(access, "principal", max_staleness={"seconds": 0}),
        lambda: issuer.WhoAmI(f"Bearer {access}"),
        lambda: issuer.ExchangeToken(f"APIKey {good}"),
    ]
    threads = [
        threading.Thread(target=keep_calling, args=(call, stop, counts, lost)) for call in calls
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    print(f"{len(counts)} calls, {len(lost)} lost", *sorted(set(lost)), sep="\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
