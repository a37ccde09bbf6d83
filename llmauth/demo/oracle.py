"""The emulated Generative AI service of one region of Oracle's: inference and management, behind its signature."""

from __future__ import annotations

import re
import secrets
import uuid
from collections.abc import Callable
from typing import Any
from urllib.parse import parse_qsl

from llmauth.demo import oci_signature, openai_chat, openai_shapes, oracle_chat, oracle_embeddings, words
from llmauth.demo.emulator import (
    JSON,
    Answer,
    Call,
    Emulator,
    Refusal,
    Setting,
    Unparsable,
    json_object,
    refuse_gateway_keys,
)
from llmauth.demo.http1 import Field
from llmauth.demo.openai_shapes import Unsupported
from llmauth.demo.oracle_shapes import apply_guardrails, chat, embed_text
from llmauth.demo.oracle_turns import check_turns
from llmauth.demo.shapes import Fault, Mismatch

_EVENT_STREAM: Field = (b"content-type", b"text/event-stream")
_VERSION = "/20231130"
_OPENAI = "/openai/v1/"
_COMPARTMENT = re.compile(r"ocid1\.(compartment|tenancy)\.[a-z0-9-]+\.[a-z0-9-]*\.[a-z0-9]+")

_CODES = {
    400: ("InvalidParameter", "The request was refused."),
    401: ("NotAuthenticated", "The required information to complete authentication was not provided or was incorrect."),
    404: ("NotAuthorizedOrNotFound", "Authorization failed or requested resource not found."),
    409: ("IncorrectState", "The resource is not in a state for this."),
    413: ("PayloadTooLarge", "The request is too large."),
    429: ("TooManyRequests", "Too many requests; try again shortly."),
    500: ("InternalServerError", "The server had an error."),
    503: ("ServiceUnavailable", "The service is overloaded."),
}
_MODELS = (
    ("meta.llama-3.3-70b-instruct", "meta", "CHAT"),
    ("xai.grok-4", "xai", "CHAT"),
    ("openai.gpt-oss-120b", "openai", "CHAT"),
    ("cohere.command-a-03-2025", "cohere", "CHAT"),
    ("cohere.command-r-plus-08-2024", "cohere", "CHAT"),
    ("cohere.embed-v4.0", "cohere", "TEXT_EMBEDDINGS"),
)
# Served, and of too little use to be listed.
_UNLISTED = (
    ("cohere.command-a-reasoning-08-2025", "cohere", "CHAT"),
    ("cohere.embed-english-v3.0", "cohere", "TEXT_EMBEDDINGS"),
)


class _Signed(Emulator):
    """What both planes share: the signature, and the shape of an error."""

    may_carry = frozenset({b"x-content-sha256"})

    def __init__(self, setting: Setting, host: str) -> None:
        super().__init__(setting)
        self.hosts = frozenset({host, host.replace(".oci.", ".ds.oci.")})

    def authenticate(self, call: Call) -> None:
        refuse_gateway_keys(call, self)
        scheme, _, token = (call.header(b"authorization") or "").partition(" ")
        if scheme.lower() == "bearer":
            self._check_key(call, token)
            return
        identity = self.setting.credentials.oci
        try:
            oci_signature.verify(call.request, identity.key_id, identity.private_key, self.setting.wall())
        except oci_signature.Rejected as rejected:
            # Oracle gives no reason; a test wants one.
            raise Refusal(401, "NotAuthenticated", f"{_CODES[401][1]} ({rejected})") from None

    def _check_key(self, call: Call, token: str) -> None:
        if self.may_carry & call.request.head.index.keys():
            raise self.refused_leftover("a client's leftover reached the provider: x-content-sha256")
        if token != self.setting.credentials.oci_api_key or not call.path.startswith(_OPENAI):
            raise self.failure(401, None)

    def failure(self, status: int, error: str | None) -> Refusal:
        kind, sentence = _CODES.get(status, ("InternalServerError", "The request failed."))
        return Refusal(status, error or kind, sentence)

    def render(self, refusal: Refusal) -> Answer:
        told = {"code": refusal.code or refusal.kind, "message": refusal.message}
        return Answer(refusal.status, [JSON, _request_id(), *refusal.fields], words.dumps(told))

    def fields(self, call: Call) -> list[Field]:
        return [_request_id()]

    def invalid(self, message: str) -> Refusal:
        """The refusal of a request that is well signed and badly put."""
        return Refusal(400, "InvalidParameter", message)


class OracleInference(_Signed):
    """`inference.generativeai.{region}.oci.oraclecloud.com`: chat in Oracle's formats, embeddings, OpenAI's paths."""

    def __init__(self, setting: Setting, region: str) -> None:
        super().__init__(setting, f"inference.generativeai.{region}.oci.oraclecloud.com")

    def route(self, call: Call) -> Answer:
        operations: dict[str, Callable[[Call], Answer]] = {
            f"{_VERSION}/actions/chat": self._chat,
            f"{_VERSION}/actions/embedText": self._embed_text,
            f"{_VERSION}/actions/applyGuardrails": self._apply_guardrails,
            f"{_OPENAI}chat/completions": self._openai_chat,
        }
        perform = operations.get(call.path)
        if perform is None or call.method != "POST":
            raise self.failure(404, None)
        try:
            return perform(call)
        except Unparsable as problem:
            raise self.invalid(f"The body could not be read: {problem}.") from None
        except Unsupported as problem:
            raise self.invalid(str(problem)) from None
        except Mismatch as mismatch:
            raise self.invalid(f"'{mismatch.path}' {mismatch.wanted}.") from None

    def _chat(self, call: Call) -> Answer:
        body = json_object(call)
        chat(body)
        model = self._model(body, "CHAT")
        request = body["chatRequest"]
        _require_format(request, model)
        check_turns(request)
        reply = oracle_chat.reply(call, request, self.setting.wall())
        if request.get("isStream"):
            return Answer(200, [_EVENT_STREAM, *self.fields(call)], reply.events())
        told = {"modelId": model, "modelVersion": "1.0.0", "chatResponse": reply.whole()}
        return self.json(call, told)

    def _embed_text(self, call: Call) -> Answer:
        body = json_object(call)
        embed_text(body)
        model = self._model(body, "TEXT_EMBEDDINGS")
        told = oracle_embeddings.answer(body, model, words.estimate(call.request.body))
        return self.json(call, {"id": str(uuid.uuid4()), "modelId": model, "modelVersion": "1.0.0", **told})

    def _apply_guardrails(self, call: Call) -> Answer:
        apply_guardrails(json_object(call))
        moderation = {"categories": [{"name": "OVERALL", "score": 0.0}]}
        return self.json(call, {"results": {"contentModeration": moderation}})

    def _model(self, body: dict[str, Any], capability: str) -> str:
        _require_compartment(body["compartmentId"], self)
        serving = body["servingMode"]
        if serving["servingType"] == "DEDICATED":
            return str(serving["endpointId"])
        if not any(serving["modelId"] == name and can == capability for name, _, can in _MODELS + _UNLISTED):
            raise self.failure(404, None)
        return str(serving["modelId"])

    def _openai_chat(self, call: Call) -> Answer:
        body = json_object(call)
        openai_shapes.chat(body)
        now = int(self.setting.wall())
        if not body.get("stream"):
            return self.json(call, openai_chat.completion(call, body, now))
        error = self.render(self.failure(500, None)).body
        assert isinstance(error, bytes)
        return Answer(200, [_EVENT_STREAM, *self.fields(call)], openai_chat.chunks(call, body, now, error))


class OracleManagement(_Signed):
    """`generativeai.{region}.oci.oraclecloud.com`: which models there are."""

    def __init__(self, setting: Setting, region: str) -> None:
        super().__init__(setting, f"generativeai.{region}.oci.oraclecloud.com")
        self._region = region

    def route(self, call: Call) -> Answer:
        if (call.method, call.path) != ("GET", f"{_VERSION}/models"):
            raise self.failure(404, None)
        pairs = parse_qsl(call.query, keep_blank_values=True)
        wanted = dict(pairs)
        known = {"compartmentId", "capability", "vendor", "displayName", "lifecycleState", "id", "limit", "page"}
        for name in wanted.keys() - known - {"sortOrder", "sortBy"}:
            raise self.invalid(f"The query parameter {name} is not known here.")
        _require_compartment(wanted.get("compartmentId", ""), self)
        capabilities = {value for name, value in pairs if name == "capability"}
        items = [
            self._item(name, vendor, can, wanted["compartmentId"])
            for name, vendor, can in _MODELS
            if (not capabilities or can in capabilities) and wanted.get("vendor") in (None, vendor)
        ]
        return self.json(call, {"items": items})

    def _item(self, name: str, vendor: str, capability: str, compartment: str) -> dict[str, Any]:
        return {
            "id": f"ocid1.generativeaimodel.oc1.{self._region}.{name.encode().hex()[:40]}",
            "displayName": name,
            "vendor": vendor,
            "version": "1.0.0",
            "capabilities": [capability],
            "compartmentId": compartment,
            "lifecycleState": "ACTIVE",
            "type": "BASE",
            "timeCreated": "2025-01-01T00:00:00.000Z",
        }


def _require_format(request: dict[str, Any], model: str) -> None:
    """Cohere's models speak Cohere's formats and no others do; a dedicated endpoint does not say whose model it has."""
    spoken, cohere = request["apiFormat"], model.startswith("cohere.")
    if not model.startswith("ocid1.") and cohere == (spoken == "GENERIC"):
        raise Mismatch(Fault.WRONG, f"is not the format of {model}", "chatRequest.apiFormat")
    if spoken == "COHEREV2" and model.startswith("cohere.command-r"):
        raise Mismatch(Fault.WRONG, f"is not the format of {model}", "chatRequest.apiFormat")
    if cohere and "thinking" in request and "reasoning" not in model:
        raise Mismatch(Fault.WRONG, f"is not supported by {model}", "chatRequest.thinking")


def _require_compartment(compartment: str, plane: _Signed) -> None:
    if not _COMPARTMENT.fullmatch(compartment):
        raise plane.invalid("compartmentId is no OCID of a compartment.")


def _request_id() -> Field:
    return b"opc-request-id", secrets.token_hex(16).upper().encode("ascii")
