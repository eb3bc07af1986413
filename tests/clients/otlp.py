"""A collector made of OpenTelemetry's own Python packages: prints each span that it takes."""

import json
import sys
from concurrent.futures import ThreadPoolExecutor

import grpc
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as messages
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2_grpc as service
from opentelemetry.proto.trace.v1.trace_pb2 import Span, Status


def value(attribute):
    return getattr(attribute.value, attribute.value.WhichOneof("value"))


def attributes(owner):
    return {one.key: value(one) for one in owner.attributes}


class Collector(service.TraceServiceServicer):
    def Export(self, request, context):
        for told in request.resource_spans:
            for scope in told.scope_spans:
                for span in scope.spans:
                    print(json.dumps({
                        "resource": attributes(told.resource),
                        "scope": scope.scope.name,
                        "schema": scope.schema_url,
                        "name": span.name,
                        "kind": Span.SpanKind.Name(span.kind),
                        "status": Status.StatusCode.Name(span.status.code),
                        "trace": span.trace_id.hex(),
                        "parent": span.parent_span_id.hex(),
                        "state": span.trace_state,
                        "nanos": span.end_time_unix_nano - span.start_time_unix_nano,
                        "attributes": attributes(span),
                    }), flush=True)
        return messages.ExportTraceServiceResponse()


server = grpc.server(ThreadPoolExecutor(2))
service.add_TraceServiceServicer_to_server(Collector(), server)
assert server.add_insecure_port(sys.argv[1])
server.start()
print("listening", flush=True)
server.wait_for_termination()
