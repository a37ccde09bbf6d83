"""The providers that answer in protocol mode: instance, model and host of each, and what they count of tokens."""

from __future__ import annotations

import base64
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from llmauth.demo.emulators import Emulators
from tests.e2e.clients.test_oracle import COMPARTMENT, INFERENCE
from tests.e2e.clients.test_oracle import variables as oracle_variables
from tests.e2e.clients.test_watsonx import MODELS as WATSONX
from tests.e2e.clients.test_watsonx import PROJECT
from tests.fixtures.clouds import AZURE_US, VERTEX_US
from tests.fixtures.serving import provider_environment

CLAUDE_ON_BEDROCK = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"

INSTANCES: Mapping[str, Mapping[str, Any]] = {
    "openai": {"type": "openai"},
    "anthropic": {"type": "anthropic"},
    "bedrock_us1": {"type": "bedrock", "region": "us-east-1", "default": True},
    "bedrock_eu1": {"type": "bedrock", "region": "eu-west-1"},
    "azure_us": {
        "type": "azure",
        "base_url": f"https://{AZURE_US}",
        "api_version": "2024-10-21",
        "deployments": {"gpt-4o": "chat-4o"},
    },
    "vertex_us": {"type": "vertex", "project": "demo-project", "region": "us-central1"},
    "watsonx": {"type": "ibm", "project_id": PROJECT},
    "oracle": {"type": "oracle", "compartment": COMPARTMENT},
}
MODELS: Mapping[str, Mapping[str, Any]] = {
    "claude": {"instance": "bedrock_us1", "model": CLAUDE_ON_BEDROCK},
    "nova": {"instance": "bedrock_us1", "model": "amazon.nova-pro-v1:0"},
    "granite-*": {"instance": "watsonx", "model": "ibm/granite-4-h-small"},
    "command": {"instance": "oracle", "model": "cohere.command-a-03-2025"},
}


@dataclass(frozen=True, slots=True)
class Provider:
    """One that answers. `tool` tells that its emulator calls a tool when it is told to."""

    instance: str
    model: str
    host: str


PROVIDERS: Mapping[str, Provider] = {
    "openai": Provider("openai", "gpt-4o", "api.openai.com"),
    "anthropic": Provider("anthropic", "claude-sonnet-4-5", "api.anthropic.com"),
    "claude on bedrock": Provider("bedrock_us1", CLAUDE_ON_BEDROCK, "bedrock-runtime.us-east-1.amazonaws.com"),
    "nova on bedrock": Provider("bedrock_us1", "amazon.nova-pro-v1:0", "bedrock-runtime.us-east-1.amazonaws.com"),
    "azure": Provider("azure_us", "gpt-4o", AZURE_US),
    "gemini on vertex": Provider("vertex_us", "gemini-2.5-pro", VERTEX_US),
    "claude on vertex": Provider("vertex_us", "claude-sonnet-4-5@20250929", VERTEX_US),
    "watsonx": Provider("watsonx", "ibm/granite-4-h-small", WATSONX),
    "llama on oracle": Provider("oracle", "meta.llama-3.3-70b-instruct", INFERENCE),
    "command a on oracle": Provider("oracle", "cohere.command-a-03-2025", INFERENCE),
    "command r on oracle": Provider("oracle", "cohere.command-r-plus-08-2024", INFERENCE),
}


def variables(emulators: Emulators) -> dict[str, str]:
    """The variables that hold every emulated provider's credential."""
    credentials = emulators.credentials
    return {
        **provider_environment(emulators),
        **oracle_variables(credentials.oci),
        "AZURE_OPENAI_API_KEY": credentials.azure_key,
        "GOOGLE_OAUTH_ACCESS_TOKEN": credentials.google_token,
        "WATSONX_APIKEY": credentials.ibm_api_key,
    }


# What each provider calls the tokens that it generated, as its bytes have it; the last one told counts.
_OUTPUT = re.compile(
    rb'"(?:completion_tokens|output_tokens|outputTokens|candidatesTokenCount|completionTokens)"\s*:\s*(\d+)'
)


def counted_output(sent: bytes) -> int:
    """The tokens of output that a provider told in the bytes of its answer, also where its frames hold base64."""
    sent += b"".join(base64.b64decode(piece) for piece in re.findall(rb'"bytes":"([A-Za-z0-9+/=]+)"', sent))
    found = _OUTPUT.findall(sent)
    assert found, sent[-400:]
    return int(found[-1])
