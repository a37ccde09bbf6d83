"""The providers: one file each, one line each in the table below."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from llmauth.clock import Clock
from llmauth.context import ProviderType
from llmauth.providers.anthropic import AnthropicHandler
from llmauth.providers.azure import SERVICES as AZURE_SERVICES
from llmauth.providers.azure import AzureHandler
from llmauth.providers.base import BoundHandler, ProviderHandler, ProviderOptions
from llmauth.providers.bedrock import BedrockHandler
from llmauth.providers.openai import OpenAIHandler
from llmauth.providers.openai_compatible import CompatibleHandler
from llmauth.providers.oracle import REALMS as ORACLE_REALMS
from llmauth.providers.oracle import OracleHandler
from llmauth.providers.vertex import VertexHandler
from llmauth.providers.watsonx import WatsonxHandler

HANDLERS: Mapping[ProviderType, type[BoundHandler[Any]]] = {
    "openai": OpenAIHandler,
    "anthropic": AnthropicHandler,
    "bedrock": BedrockHandler,
    "azure": AzureHandler,
    "vertex": VertexHandler,
    "ibm": WatsonxHandler,
    "oracle": OracleHandler,
    "openai_compatible": CompatibleHandler,
}

TYPES: tuple[ProviderType, ...] = tuple(HANDLERS)

# Other names under which people look for a type.
ALIASES: Mapping[str, ProviderType] = {
    "bedrock-runtime": "bedrock",
    "azure-openai": "azure",
    "vertex-ai": "vertex",
    "watson": "ibm",
    "watsonx": "ibm",
    "oci": "oracle",
}

# The DNS subtrees that a provider's hosts, and the hosts that its SDK asks for tokens, lie in. Our CA may speak for
# these and no others, whatever is configured today, so that a further instance needs no new CA.
DOMAINS: Mapping[ProviderType, tuple[str, ...]] = {
    "openai": ("api.openai.com",),
    "anthropic": ("api.anthropic.com",),
    "bedrock": (
        "amazonaws.com",
        "api.aws",
        "amazonaws.com.cn",
        "api.amazonwebservices.com.cn",
        "amazonaws.eu",
        "api.amazonwebservices.eu",
    ),
    "azure": (
        *(f"{service}.azure.{cloud}" for cloud in ("com", "us", "cn") for service in AZURE_SERVICES),
        "login.microsoftonline.com",
        "login.microsoftonline.us",
        "login.partner.microsoftonline.cn",
    ),
    "vertex": ("googleapis.com",),
    "ibm": ("cloud.ibm.com",),
    "oracle": ORACLE_REALMS,
}

_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")


def check_name(name: str, type_: str) -> None:
    """ValueError, saying why, for an instance name that could not be told from something else in a path."""
    if not _NAME.fullmatch(name):
        raise ValueError(
            "an instance name holds lower-case letters, digits, '_' and '-', and begins with none of the two"
        )
    if name == "v1" or (name in TYPES and name != type_):
        raise ValueError(f"'{name}' means something else in a path; give the instance another name")


def options_model(type_: str) -> type[ProviderOptions]:
    """The options of a provider type; ValueError for one that is unknown."""
    return _handler(type_).options_model


def build(name: str, options: ProviderOptions, clock: Clock | None = None) -> ProviderHandler:
    """The handler of one configured instance; ValueError for a bad name."""
    handler = _handler(options.type)
    check_name(name, options.type)
    return handler(name, options, clock)


def _handler(type_: str) -> type[BoundHandler[Any]]:
    for served, handler in HANDLERS.items():
        if served == type_:
            return handler
    raise ValueError(f"type '{type_}' is unknown; it is one of {', '.join(TYPES)}")
