"""The emulated Azure OpenAI of one resource: deployments and `/openai/v1`, behind an API key or a token of Entra."""

from __future__ import annotations

import re
import secrets
import uuid
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

from llmauth.demo import sse, words
from llmauth.demo.emulator import JSON, Answer, Call, Refusal, Setting, json_object, refuse_gateway_keys
from llmauth.demo.http1 import Field
from llmauth.demo.openai import OpenAI

_SERVICES = ("openai", "services.ai", "cognitiveservices")
# What the operator deployed in each resource, and the model behind each name.
DEPLOYMENTS = {
    "chat-4o": "gpt-4o",
    "gpt-4o-mini": "gpt-4o-mini",
    "thinker": "o3-mini",
    "embed": "text-embedding-3-small",
}
# Operations whose path names the deployment; those with an equivalent at OpenAI are emulated.
_SCOPED = re.compile(
    r"/openai/deployments/([^/]+)/"
    r"(chat/completions|completions|embeddings|images/generations|images/edits"
    r"|audio/transcriptions|audio/translations|audio/speech)"
)
_VERSIONS = frozenset({"2024-06-01", "2024-10-21", "2024-12-01-preview", "2025-03-01-preview", "2025-04-01-preview"})
_V1_VERSIONS = frozenset({None, "v1", "preview", "latest"})
_HERE = frozenset(
    {"/v1/realtime", "/v1/models", "/v1/files", "/v1/responses", "/v1/chat/completions", "/v1/embeddings"}
)

# (code, sentence) of the front door, which writes no `type`.
_FRONT = {
    401: ("401", "Access denied due to invalid subscription key or wrong API endpoint."),
    403: ("403", "The identity does not have permission for this operation."),
    404: ("404", "Resource not found"),
    429: ("429", "The rate limit of this deployment is reached; try again in 1 second."),
    500: ("InternalServerError", "The server had an error while it processed the request."),
    503: ("ServiceUnavailable", "The service is not available for the moment."),
}
_SAFE = {name: {"filtered": False, "severity": "safe"} for name in ("hate", "self_harm", "sexual", "violence")}
_PROMPT = {"prompt_filter_results": [{"prompt_index": 0, "content_filter_results": _SAFE}]}
_FILTERED = "content_filter"


class Azure(OpenAI):
    """One resource under its three names. Takes its key as `api-key` or a token as bearer, never both.

    The real server takes both and lets one of them win, so that a leftover in one spoils the other.
    """

    may_carry = frozenset({b"api-key"})

    def __init__(self, setting: Setting, resource: str) -> None:
        super().__init__(setting)
        self.hosts = frozenset(f"{resource}.{service}.azure.com" for service in _SERVICES)

    def authenticate(self, call: Call) -> None:
        refuse_gateway_keys(call, self)
        key, bearer = call.header(b"api-key"), call.header(b"authorization")
        if key is not None and bearer is not None:
            raise self.refused_leftover("a client's leftover reached the provider: both api-key and Authorization")
        good = self.setting.credentials
        if key == good.azure_key:
            return
        scheme, _, token = (bearer or "").partition(" ")
        # A plain OpenAI client sends the key as a bearer, which the v1 surface takes.
        taken = {good.azure_token, good.azure_key} if call.path.startswith("/openai/v1/") else {good.azure_token}
        if scheme.lower() == "bearer" and token in taken:
            return
        refusal = self._front(401)
        if bearer is not None:
            refusal.fields.append((b"www-authenticate", b'Bearer error="invalid_token"'))
        raise refusal

    def _front(self, status: int) -> Refusal:
        code, sentence = _FRONT.get(status, (str(status), "The request failed."))
        return Refusal(status, "", sentence, code)

    def failure(self, status: int, error: str | None) -> Refusal:
        if error == _FILTERED:
            sentence = "The response was filtered due to the prompt triggering the content management policy."
            return Refusal(400, "invalid_request_error", sentence, _FILTERED, "prompt")
        refusal = self._front(status)
        refusal.code = error or refusal.code
        if status == 429:
            refusal.fields += [(b"retry-after", b"1"), (b"retry-after-ms", b"1000")]
        return refusal

    def render(self, refusal: Refusal) -> Answer:
        error: dict[str, Any] = {"code": refusal.code, "message": refusal.message}
        if refusal.kind:
            error |= {"type": refusal.kind, "param": refusal.param}
        if refusal.code == _FILTERED:
            result = {**_SAFE, "hate": {"filtered": True, "severity": "high"}}
            error |= {
                "status": 400,
                "innererror": {"code": "ResponsibleAIPolicyViolation", "content_filter_result": result},
            }
        return Answer(refusal.status, [JSON, *_ids(), *refusal.fields], words.dumps({"error": error}))

    def fields(self, call: Call) -> list[Field]:
        return [
            *_ids(),
            (b"x-ms-region", b"East US"),
            (b"x-ratelimit-limit-requests", b"600"),
            (b"x-ratelimit-limit-tokens", b"100000"),
            (b"x-ratelimit-remaining-requests", b"599"),
            (b"x-ratelimit-remaining-tokens", b"99900"),
        ]

    def route(self, call: Call) -> Answer:
        path = call.path
        if path.startswith(("/openai/v1/echo/", "/openai/echo/")):
            return self.echo(call)
        if path.startswith("/openai/v1/"):
            if _version(call) not in _V1_VERSIONS:
                raise Refusal(400, "", "API version not supported", "BadRequest")
            return self._at(call, path.removeprefix("/openai"))
        if not path.startswith("/openai/") or _version(call) not in _VERSIONS:
            raise self._front(404)
        scoped = _SCOPED.fullmatch(path)
        if scoped is None:
            return self._at(call, f"/v1{path.removeprefix('/openai')}")
        self._model_of(unquote(scoped[1]))
        if scoped[2] not in ("chat/completions", "embeddings"):
            raise self._unfit(scoped[2])
        return self.serve(call, f"/v1/{scoped[2]}")

    def _at(self, call: Call, path: str) -> Answer:
        if path not in _HERE and not path.startswith("/v1/models/"):
            raise self._front(404)
        # Without a deployment in its path, the older surface has no chat.
        if path in ("/v1/chat/completions", "/v1/embeddings") and not call.path.startswith("/openai/v1/"):
            raise self._front(404)
        return self.serve(call, path)

    def body(self, call: Call) -> dict[str, Any]:
        """The deployment stands in the path, where what the body says of a model is not looked at, or in the body."""
        body = json_object(call)
        scoped = _SCOPED.fullmatch(call.path)
        named = unquote(scoped[1]) if scoped is not None else body.get("model")
        return {**body, "model": self._model_of(named)} if isinstance(named, str) else body

    def _model_of(self, deployment: str) -> str:
        if deployment not in DEPLOYMENTS:
            raise self.unknown_model(deployment)
        return DEPLOYMENTS[deployment]

    def require_model(self, name: str, known: re.Pattern[str]) -> None:
        if not known.fullmatch(name):
            raise self._unfit("operation")

    def _unfit(self, operation: str) -> Refusal:
        message = f"The {operation} does not work with the model of this deployment."
        return Refusal(400, "", message, "OperationNotSupported")

    def unknown_model(self, name: str) -> Refusal:
        return Refusal(404, "", "The API deployment for this resource does not exist.", "DeploymentNotFound")

    def completed(self, completion: dict[str, Any]) -> dict[str, Any]:
        choices = [{**choice, "content_filter_results": _SAFE} for choice in completion["choices"]]
        return {**completion, **_PROMPT, "choices": choices}

    def streamed(self, chunks: Iterator[bytes]) -> Iterator[bytes]:
        """The first chunk has no choice, but tells that the prompt may pass."""
        yield sse.data(words.dumps({"choices": [], "created": 0, "id": "", "model": "", "object": "", **_PROMPT}))
        yield from chunks


def _version(call: Call) -> str | None:
    """The api-version; two of them are none that is known."""
    given = [pair.partition("=")[2] for pair in call.query.split("&") if pair.partition("=")[0] == "api-version"]
    return ",".join(given) if given else None


def _ids() -> list[Field]:
    return [
        (b"apim-request-id", str(uuid.uuid4()).encode()),
        (b"x-request-id", b"req_" + secrets.token_hex(16).encode()),
    ]
