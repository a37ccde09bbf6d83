"""Whether a provider accepts the credential of an instance, asked by a call that costs nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

from llmauth.errors import GatewayError
from llmauth.http import Door, Headers, Request
from llmauth.outbound import Outbound
from llmauth.providers.azure import AzureOptions
from llmauth.providers.base import ProviderHandler, Verdict
from llmauth.secrets import Credential

TIME_LIMIT = 6.0
_MOST = 2 * 1024 * 1024  # of a list of models

Outcome = Literal["accepted", "refused", "forbidden", "untold", "unreached", "untried"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """What a provider answered: `call` is what was asked, without a host; `reason` is for what went wrong."""

    outcome: Outcome
    call: str = ""
    status: int | None = None
    reason: str = ""


def accepted(handler: ProviderHandler, credential: Credential, outbound: Outbound) -> Accepted:
    """Ask for the list of models, as the instance would; blocks. No body of an answer is kept or shown."""
    path = free_path(handler)
    if path is None:
        return Accepted(outcome="untried", reason="its provider has no call that is free; the credential was given out")
    call = f"GET {path.partition('?')[0]}"
    headers = Headers([(b"accept", b"application/json"), *_FIELDS.get(handler.provider, ())])
    request = Request(method="GET", url=handler.forward(path, "GET"), headers=headers, door=Door.GATEWAY)
    try:
        answer = outbound.post(handler.authorize(request, credential), time_limit=TIME_LIMIT, most=_MOST)
    except GatewayError as error:
        return Accepted(outcome="unreached", call=call, reason=error.detail or error.message)
    verdict = handler.verdict(answer.status, answer.headers)
    if verdict is Verdict.UNTOLD:
        verdict = handler.verdict_of_body(answer.status, answer.headers, answer.body)
    return Accepted(outcome=_outcome(answer.status, verdict), call=call, status=answer.status)


def free_path(handler: ProviderHandler) -> str | None:
    """Where the list of models is, `None` where a provider has none that a key of its users may ask for."""
    made = _PATHS.get(handler.provider)
    return None if made is None else made(handler)


def _outcome(status: int, verdict: Verdict) -> Outcome:
    if verdict in (Verdict.REJECTED, Verdict.EXPIRED):
        return "refused"
    if status // 100 == 2:
        return "accepted"
    # Known, and not allowed to ask for this: keys of some accounts are for some calls only.
    return "forbidden" if status in (403, 404) else "untold"


def _of_azure(handler: ProviderHandler) -> str:
    options = handler.options
    version = options.api_version if isinstance(options, AzureOptions) else None
    dated = version is not None and version[0].isdigit()
    return f"/openai/models?api-version={version}" if dated else "/openai/v1/models"


def _of_bedrock(handler: ProviderHandler) -> str | None:
    # A configured endpoint is the runtime's, as PrivateLink has one for each plane; the list is the other plane's.
    return None if handler.options.base_url else "/foundation-models"


_PATHS: Mapping[str, Callable[[ProviderHandler], str | None]] = {
    "openai": lambda _: "/v1/models",
    "openai_compatible": lambda _: "/v1/models",
    "anthropic": lambda _: "/v1/models?limit=1",
    "azure": _of_azure,
    "bedrock": _of_bedrock,
}
_FIELDS: Mapping[str, tuple[tuple[bytes, bytes], ...]] = {"anthropic": ((b"anthropic-version", b"2023-06-01"),)}
