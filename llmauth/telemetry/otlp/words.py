"""The words of OpenTelemetry's conventions for generative AI: providers, operations, and the bounds of histograms."""

from __future__ import annotations

import re
from collections.abc import Mapping

from llmauth.context import Operation, ProtocolRoute, Routed, TransparentRoute
from llmauth.telemetry.series import METHODS

OTHER = "_OTHER"
"""What the conventions write for a value that is in no list."""

_PROVIDERS: Mapping[str, str] = {
    "bedrock": "aws.bedrock",
    "openai": "openai",
    "anthropic": "anthropic",
    "azure": "azure.ai.openai",
    "vertex": "gcp.vertex_ai",
    "ibm": "ibm.watsonx.ai",
    # "If none of them apply, a custom value MAY be used": there is none for Oracle, and none for servers of one's own.
    "oracle": "oracle.oci",
}
_OPERATIONS: Mapping[Operation, str] = {
    "chat": "chat",
    "messages": "chat",
    "responses": "chat",
    "embeddings": "embeddings",
}
# How the path of a provider's own API ends, in lower case, and what is asked for there.
_PATHS = (
    (re.compile(r"/embeddings\Z|/actions/embedtext\Z|:(batch)?embedcontents?\Z"), "embeddings"),
    (re.compile(r":(stream)?generatecontent\Z"), "generate_content"),
    (re.compile(r"/chat/completions\Z|/messages\Z|/responses\Z|/converse(-stream)?\Z|/text/chat(_stream)?\Z"), "chat"),
    (re.compile(r"/actions/chat\Z"), "chat"),
    (re.compile(r"/completions\Z|/text/generation(_stream)?\Z|/invoke(-with-response-stream)?\Z"), "text_completion"),
)

TOKENS = (1, 4, 16, 64, 256, 1024, 4096, 16384, 65536, 262144, 1048576, 4194304, 16777216, 67108864)
SECONDS = (0.01, 0.02, 0.04, 0.08, 0.16, 0.32, 0.64, 1.28, 2.56, 5.12, 10.24, 20.48, 40.96, 81.92)
FIRST_TOKEN = (0.001, 0.005, 0.01, 0.02, 0.04, 0.06, 0.08, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""The bounds that the conventions advise, for `{token}`, for operations and for the first token."""


def provider(kind: str) -> str:
    """`gen_ai.provider.name` of an instance's type."""
    return _PROVIDERS.get(kind, kind)


def operation(context: Routed, method: str) -> str | None:
    """`gen_ai.operation.name`; None where no model is asked."""
    route = context.route
    if isinstance(route, ProtocolRoute):
        return _OPERATIONS.get(route.operation)
    if method != "POST":
        return None
    if not isinstance(route, TransparentRoute):
        return "text_completion"  # Bedrock's InvokeModel in an envelope
    path = route.path.partition("?")[0].lower()
    return next((name for ends, name in _PATHS if ends.search(path)), None)


def http_method(method: str) -> str:
    """`http.request.method`: one that is known, since a client may write anything."""
    return method if method in METHODS else OTHER
