"""The models that the emulated Bedrock serves, and which of them an endpoint's region may be asked for."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

_VENDORS = frozenset(
    {
        *("ai21", "amazon", "anthropic", "cohere", "deepseek", "google", "luma", "meta", "minimax", "mistral"),
        *("moonshotai", "nvidia", "openai", "qwen", "stability", "twelvelabs", "writer", "zai"),
    }
)
# Geography prefix of an inference profile to the regions whose endpoints take it.
_GEOGRAPHIES = {
    "us": re.compile(r"us-(east|west)-\d"),
    "eu": re.compile(r"eu-.*"),
    "apac": re.compile(r"ap-.*"),
    "jp": re.compile(r"ap-northeast-[13]"),
    "au": re.compile(r"ap-southeast-[24]"),
    "in": re.compile(r"ap-south-[12]"),
    "us-gov": re.compile(r"us-gov-.*"),
    "global": re.compile(r".*"),
}
_ID = re.compile(r"(?:(?P<geography>[a-z]+(?:-gov)?)\.)?(?P<vendor>[a-z0-9]+)\.(?P<name>[a-z0-9][a-z0-9.:-]*)")
_ARN = re.compile(
    r"arn:aws(?:-[a-z-]+)?:bedrock:(?P<region>[a-z0-9-]+):(?P<account>\d{12})?:(?P<kind>[a-z-]+)/(?P<id>[^/]+)"
)
_NAMED_KINDS = ("foundation-model", "inference-profile")
_OPAQUE_KINDS = (
    "application-inference-profile",
    "provisioned-model",
    "custom-model",
    "custom-model-deployment",
    "imported-model",
    "prompt",
    "prompt-router",
    "default-prompt-router",
)


@dataclass(frozen=True, slots=True)
class Model:
    """A model that was asked for: whose it is, and the vendor's own name of it."""

    vendor: str
    name: str


class Invalid(Exception):
    """A model id that this endpoint does not serve; the sentence says why."""


def resolve(segment: str, region: str) -> Model:
    """The model that a path segment names, as it stands on the wire; raises Invalid."""
    decoded = unquote(segment)
    if decoded.startswith("arn:"):
        return _by_arn(decoded, region)
    match = _ID.fullmatch(decoded)
    if match is None or match["vendor"] not in _VENDORS:
        raise Invalid("The provided model identifier is invalid.")
    geography = match["geography"]
    if geography is not None:
        served = _GEOGRAPHIES.get(geography)
        if served is None or not served.fullmatch(region):
            raise Invalid(f"The inference profile {decoded} is not served from {region}.")
    return Model(match["vendor"], match["name"])


def _by_arn(arn: str, region: str) -> Model:
    match = _ARN.fullmatch(arn)
    if match is None or match["kind"] not in _NAMED_KINDS + _OPAQUE_KINDS:
        raise Invalid("The provided model identifier is invalid.")
    if match["region"] != region:
        raise Invalid(f"The ARN is of region {match['region']}, and this endpoint serves {region}.")
    if (match["account"] is None) != (match["kind"] == "foundation-model"):
        raise Invalid("The ARN has an account where none belongs, or none where one does.")
    if match["kind"] in _NAMED_KINDS:
        return resolve(match["id"], region)
    return Model("anthropic", match["id"])


def _summary(model: str, name: str, provider: str, outputs: list[str], types: list[str]) -> dict[str, Any]:
    return {
        "modelId": model,
        "modelName": name,
        "providerName": provider,
        "inputModalities": ["TEXT"],
        "outputModalities": outputs,
        "responseStreamingSupported": outputs == ["TEXT"],
        "customizationsSupported": [],
        "inferenceTypesSupported": types,
        "modelLifecycle": {"status": "ACTIVE"},
    }


_ON_DEMAND, _PROFILE = ["ON_DEMAND"], ["INFERENCE_PROFILE"]
_LISTED = (
    _summary("anthropic.claude-3-sonnet-20240229-v1:0", "Claude 3 Sonnet", "Anthropic", ["TEXT"], _ON_DEMAND),
    _summary("anthropic.claude-sonnet-4-5-20250929-v1:0", "Claude Sonnet 4.5", "Anthropic", ["TEXT"], _PROFILE),
    _summary("anthropic.claude-opus-4-8", "Claude Opus 4.8", "Anthropic", ["TEXT"], _PROFILE),
    _summary("amazon.nova-pro-v1:0", "Nova Pro", "Amazon", ["TEXT"], _ON_DEMAND),
    _summary("amazon.titan-text-express-v1", "Titan Text Express", "Amazon", ["TEXT"], _ON_DEMAND),
    _summary("amazon.titan-embed-text-v2:0", "Titan Text Embeddings V2", "Amazon", ["EMBEDDING"], _ON_DEMAND),
)


def listed(region: str) -> list[dict[str, Any]]:
    """The catalogue, in the shape of ListFoundationModels."""
    return [
        {"modelArn": f"arn:aws:bedrock:{region}::foundation-model/{model['modelId']}", **model} for model in _LISTED
    ]


def profiles(region: str) -> list[dict[str, Any]]:
    """The system-defined inference profiles of a region, in the shape of ListInferenceProfiles."""
    prefix = next(name for name, regions in _GEOGRAPHIES.items() if regions.fullmatch(region))
    found = []
    for model in _LISTED:
        if "INFERENCE_PROFILE" in model["inferenceTypesSupported"]:
            profile = f"{prefix}.{model['modelId']}"
            found.append(
                {
                    "inferenceProfileName": f"{prefix.upper()} {model['modelName']}",
                    "inferenceProfileId": profile,
                    "inferenceProfileArn": f"arn:aws:bedrock:{region}:123456789012:inference-profile/{profile}",
                    "models": [{"modelArn": f"arn:aws:bedrock:{region}::foundation-model/{model['modelId']}"}],
                    "status": "ACTIVE",
                    "type": "SYSTEM_DEFINED",
                }
            )
    return found
