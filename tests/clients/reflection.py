"""A client with no generated code: all that it knows of Tessera it learns by
server reflection. Usage: reflection.py ISSUER VERIFIER USERNAME PASSWORD
"""

import sys

import grpc
from google.protobuf import descriptor_pool, message_factory
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import (
    ProtoReflectionDescriptorDatabase,
)

TIMEOUT_SECONDS = 30


class Service:
    """A service as its server describes it; each method is a method here."""

    def __init__(self, address, name, options=None):
        self._channel = grpc.insecure_channel(address, options)
        database = ProtoReflectionDescriptorDatabase(self._channel)
        assert name in database.get_services(), f"{name} is not listed"
        pool = descriptor_pool.DescriptorPool(database)
        self._service = pool.FindServiceByName(name)

    def __getattr__(self, name):
        method = self._service.methods_by_name[name]
        request_class = message_factory.GetMessageClass(method.input_type)
        response_class = message_factory.GetMessageClass(method.output_type)
        call = self._channel.unary_unary(
            f"/{self._service.full_name}/{method.name}",
            request_serializer=request_class.SerializeToString,
            response_deserializer=response_class.FromString,
        )

        def invoke(credentials=None, **fields):
            metadata = [("authorization", credentials)] if credentials else []
            request = request_class(**fields)
            return call(request, metadata=metadata, timeout=TIMEOUT_SECONDS)

        return invoke


def refusal(call, **arguments):
    """The code of a refused call and the bytes of its details."""
    try:
        call(**arguments)
    except grpc.RpcError as error:
        details = dict(error.trailing_metadata()).get("grpc-status-details-bin", b"")
        return error.code(), details
    raise AssertionError("not refused")


def main(issuer_address, verifier_address, username, password):
    issuer = Service(issuer_address, "tessera.v1.IssuerService")
    verifier = Service(verifier_address, "tessera.v1.VerifierService")

    session = issuer.Login(username=username, password=password)
    bearer = f"Bearer {session.access_token}"
    assert issuer.WhoAmI(bearer).principal.name == username

    made = issuer.CreatePermanentToken(bearer, name="from Python", audiences=["cdn"])
    assert made.token.startswith(f"tessera_{made.permanent_token.id}_")
    answer = verifier.Verify(token=made.token, audience="cdn")
    assert answer.WhichOneof("verdict") == "principal", answer
    assert answer.principal.token_id == made.permanent_token.id
    assert answer.as_of.seconds > 0

    issuer.RevokePermanentToken(bearer, id=made.permanent_token.id)
    fresh = {"max_staleness": {"seconds": 0}}
    answer = verifier.Verify(token=made.token, **fresh)
    assert answer.WhichOneof("verdict") == "denial", answer
    reasons = answer.denial.DESCRIPTOR.fields_by_name["reason"].enum_type.values_by_number
    assert reasons[answer.denial.reason].name == "DENIAL_REASON_REVOKED"

    code, details = refusal(issuer.Login, username=username, password="wrong")
    assert code == grpc.StatusCode.UNAUTHENTICATED, code
    assert b"google.rpc.ErrorInfo" in details and b"LOGIN_FAILED" in details, details
    code, details = refusal(issuer.CreatePermanentToken, credentials=bearer)
    assert code == grpc.StatusCode.INVALID_ARGUMENT, code
    assert b"google.rpc.BadRequest" in details and b"name" in details, details
    print("ok")


if __name__ == "__main__":
    main(*sys.argv[1:])
