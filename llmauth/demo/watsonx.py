"""The emulated watsonx.ai of one region, and the data platform beside it: behind a token that the emulated IAM gave."""

from __future__ import annotations

import re
import secrets
import uuid
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any
from urllib.parse import parse_qsl, unquote

from llmauth.demo import embeddings, openai_chat, watsonx_chat, words
from llmauth.demo.emulator import (
    JSON,
    PAUSE,
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
from llmauth.demo.iam import Tokens
from llmauth.demo.shapes import Fault, Mismatch
from llmauth.demo.spoken import Spoken
from llmauth.demo.watsonx_chat import speak as _speak
from llmauth.demo.watsonx_shapes import chat as _chat
from llmauth.demo.watsonx_shapes import check_choice as _check_choice
from llmauth.demo.watsonx_shapes import deployed_chat as _deployed_chat
from llmauth.demo.watsonx_shapes import embeddings as _embeddings
from llmauth.demo.watsonx_shapes import require_scope as _require_scope
from llmauth.demo.watsonx_shapes import tokenization as _tokenization

_EVENT_STREAM: Field = (b"content-type", b"text/event-stream")
_VERSION = re.compile(r"20\d\d-[01]\d-[0-3]\d")
_DEPLOYMENT = re.compile(r"/ml/v1/deployments/([A-Za-z0-9_-]{1,64})/text/(chat|chat_stream)")
_SIZES = {"ibm/slate-30m-english-rtrvr-v2": 384, "ibm/granite-embedding-278m-multilingual": 768}  # of vectors

_CODES = {
    400: ("invalid_request_entity", "The request was refused."),
    401: ("authentication_token_not_valid", "The token in this request is not a valid one."),
    403: ("no_associated_service_instance_error", "The project has no service instance."),
    404: ("model_not_supported", "The model is not one of those that are served here."),
    429: ("consumption_limit_reached", "Too many requests in this second."),
    500: ("internal_server_error", "The server had an error."),
    503: ("downstream_request_failed", "A model's server is overloaded."),
}

_MODELS = (
    ("ibm/granite-4-h-small", "text_chat"),
    ("meta-llama/llama-3-3-70b-instruct", "text_chat"),
    ("mistralai/mistral-medium-2505", "text_chat"),
    ("openai/gpt-oss-120b", "text_chat"),
    ("ibm/granite-embedding-278m-multilingual", "embedding"),
    ("ibm/slate-30m-english-rtrvr-v2", "embedding"),
)


class _Guarded(Emulator):
    """What both services share: the token, and the shape of an error."""

    def __init__(self, setting: Setting, tokens: Tokens) -> None:
        super().__init__(setting)
        self._tokens = tokens

    def authenticate(self, call: Call) -> None:
        refuse_gateway_keys(call, self)
        scheme, _, token = (call.header(b"authorization") or "").partition(" ")
        if not token:
            raise Refusal(
                401, "authorization_rejected", "No token was given: send it as 'Authorization: Bearer TOKEN'."
            )
        if scheme.lower() != "bearer" or not self._tokens.are_good(token):
            raise self.failure(401, None)

    def failure(self, status: int, error: str | None) -> Refusal:
        kind, sentence = _CODES.get(status, ("internal_server_error", "The request failed."))
        return Refusal(status, error or kind, sentence)

    def render(self, refusal: Refusal) -> Answer:
        error = {
            "code": refusal.code or refusal.kind,
            "message": refusal.message,
            "more_info": "https://cloud.ibm.com/apidocs/watsonx-ai",
        }
        told = {"errors": [error], "trace": uuid.uuid4().hex, "status_code": refusal.status}
        return Answer(refusal.status, [JSON, *refusal.fields], words.dumps(told))

    def fields(self, call: Call) -> list[Field]:
        return [
            (b"x-global-transaction-id", uuid.uuid4().hex.encode("ascii")),
            (b"x-requests-limit-limit", b"8"),
            (b"x-requests-limit-remaining", b"7"),
            (b"x-requests-limit-rate", b"8"),
        ]

    def nothing_here(self) -> Refusal:
        """The refusal of a path that is none of this service's."""
        return Refusal(404, "not_found", "There is nothing here.")


class Watsonx(_Guarded):
    """`{region}.ml.cloud.ibm.com`: chat, embeddings, tokens and the list of models."""

    def __init__(self, setting: Setting, tokens: Tokens, region: str) -> None:
        super().__init__(setting, tokens)
        self.hosts = frozenset({f"{region}.ml.cloud.ibm.com", f"private.{region}.ml.cloud.ibm.com"})

    def route(self, call: Call) -> Answer:
        method, perform = self._operation(call.path)
        if call.method != method:
            raise Refusal(405, "method_not_allowed", f"This takes {method}, not {call.method}.")
        self._require_version(call)
        try:
            return perform(call)
        except Unparsable as problem:
            raise Refusal(400, "invalid_request_entity", f"The body could not be read: {problem}.") from None
        except Mismatch as mismatch:
            code = {Fault.MISSING: "missing_field", Fault.UNKNOWN: "json_validation_error"}.get(mismatch.fault)
            message = f"Json document validation error: '{mismatch.path}' {mismatch.wanted}."
            raise Refusal(400, code or "invalid_input_argument", message) from None

    def _operation(self, path: str) -> tuple[str, Callable[[Call], Answer]]:
        exact: dict[str, tuple[str, Callable[[Call], Answer]]] = {
            "/ml/v1/text/chat": ("POST", self._chat),
            "/ml/v1/text/chat_stream": ("POST", self._chat_stream),
            "/ml/v1/text/embeddings": ("POST", self._embeddings),
            "/ml/v1/text/tokenization": ("POST", self._tokenization),
            "/ml/v1/foundation_model_specs": ("GET", self._specs),
        }
        if path in exact:
            return exact[path]
        if _DEPLOYMENT.fullmatch(path):
            return "POST", self._deployed
        raise self.nothing_here()

    def _require_version(self, call: Call) -> None:
        versions = [value for name, value in parse_qsl(call.query, keep_blank_values=True) if name == "version"]
        if len(versions) != 1 or not _VERSION.fullmatch(versions[0]):
            raise Refusal(400, "invalid_query_parameter", "The query parameter 'version' must be a date, once.")

    # ---- chat ------------------------------------------------------------------------------------------------------

    def _asked(self, call: Call) -> dict[str, Any]:
        body = json_object(call)
        _chat(body)
        _require_scope(body)
        _require_model(body["model_id"], "text_chat")
        _check_choice(body)
        return body

    def _chat(self, call: Call) -> Answer:
        return self.json(call, self._whole(call, self._asked(call)))

    def _chat_stream(self, call: Call) -> Answer:
        return self._stream(call, self._asked(call))

    def _deployed(self, call: Call) -> Answer:
        body = json_object(call)
        _deployed_chat(body)
        _check_choice(body)
        body["model_id"] = _MODELS[0][0]
        if call.path.endswith("/chat_stream"):
            return self._stream(call, body)
        return self.json(call, self._whole(call, body))

    def _frame(self, body: dict[str, Any], kind: str) -> dict[str, Any]:
        now = self.setting.wall()
        return {
            "id": f"chatcmpl-{secrets.token_hex(16)}",
            "object": kind,
            "model_id": body["model_id"],
            "model": body["model_id"],
            "created": int(now),
            "model_version": "1.0.0",
            "created_at": datetime.fromtimestamp(now, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        }

    def _whole(self, call: Call, body: dict[str, Any]) -> dict[str, Any]:
        spoken = _speak(call, body)
        choice = {"index": 0, "message": watsonx_chat.message(spoken), "finish_reason": openai_chat.reason(spoken)}
        warning = {"id": "emulated", "message": "This model is emulated.", "more_info": "", "additional_properties": {}}
        return {
            **self._frame(body, "chat.completion"),
            "choices": [choice],
            "usage": watsonx_chat.usage(call, spoken),
            "system": {"warnings": [warning]},
        }

    def _stream(self, call: Call, body: dict[str, Any]) -> Answer:
        events = _numbered(self._chunks(call, body, _speak(call, body)))
        return Answer(200, [_EVENT_STREAM, *self.fields(call)], events)

    def _chunks(self, call: Call, body: dict[str, Any], spoken: Spoken) -> Iterator[tuple[str, Any]]:
        """Names and data of the events; `choices` is empty in the last, which has the bill. There is no [DONE]."""
        frame = self._frame(body, "chat.completion.chunk")
        for position, delta in enumerate(watsonx_chat.deltas(spoken)):
            if call.fails_at(position):
                yield "error", {"errors": [{"code": "internal_server_error", "message": "The stream failed."}]}
                return
            yield "message", {**frame, "choices": [{"index": 0, "finish_reason": None, "delta": delta}]}
        ended = {"index": 0, "finish_reason": openai_chat.reason(spoken), "delta": {"content": ""}}
        yield "message", {**frame, "choices": [ended]}
        yield "message", {**frame, "choices": [], "usage": watsonx_chat.usage(call, spoken)}

    # ---- the rest --------------------------------------------------------------------------------------------------

    def _embeddings(self, call: Call) -> Answer:
        body = json_object(call)
        _embeddings(body)
        _require_scope(body)
        _require_model(body["model_id"], "embedding")
        size = _SIZES[body["model_id"]]
        told = {
            "model_id": body["model_id"],
            "created_at": self._frame(body, "")["created_at"],
            "results": [{"embedding": embeddings.vector(text, size)} for text in body["inputs"]],
            "input_token_count": words.estimate(call.request.body),
        }
        return self.json(call, told)

    def _tokenization(self, call: Call) -> Answer:
        body = json_object(call)
        _tokenization(body)
        _require_scope(body)
        result = {"token_count": words.estimate(call.request.body)}
        return self.json(call, {"model_id": body["model_id"], "result": result})

    def _specs(self, call: Call) -> Answer:
        known = {"version", "limit", "start", "filters", "tech_preview", "project_id", "space_id"}
        pairs = dict(parse_qsl(call.query, keep_blank_values=True))
        for name in pairs.keys() - known:
            raise Refusal(400, "invalid_query_parameter", f"The query parameter '{name}' is not known here.")
        wanted = re.findall(r"function_([a-z_]+)", unquote(pairs.get("filters", "")))
        found = [_spec(name, function) for name, function in _MODELS if not wanted or function in wanted]
        limit = int(pairs.get("limit", "100"))
        return self.json(call, {"total_count": len(found), "limit": limit, "resources": found[:limit]})


class DataPlatform(_Guarded):
    """`api.dataplatform.cloud.ibm.com` and its like: what the SDK asks about a project or a space before all else."""

    def __init__(self, setting: Setting, tokens: Tokens, region: str) -> None:
        super().__init__(setting, tokens)
        host = f"api.{'' if region == 'us-south' else region + '.'}dataplatform.cloud.ibm.com"
        self.hosts = frozenset({host, f"private.{host}"})

    def route(self, call: Call) -> Answer:
        found = re.fullmatch(r"/v2/(projects|spaces)/([A-Za-z0-9-]{1,64})", call.path)
        if found is None or call.method != "GET":
            raise self.nothing_here()
        kind, id_ = found.groups()
        compute = [{"guid": str(uuid.uuid4()), "name": "watsonx", "type": "machine_learning", "crn": "crn:emulated"}]
        entity = {"name": id_, "storage": {"type": "bmcos_object_storage"}, "compute": compute, "settings": {}}
        if kind == "spaces":
            entity["status"] = {"state": "active"}
        return self.json(call, {"metadata": {"guid": id_, "id": id_, "url": call.path}, "entity": entity})


def _require_model(name: str, function: str) -> None:
    if (name, function) not in _MODELS:
        raise Refusal(404, "model_not_supported", f"Model '{name}' is not supported for this.")


def _numbered(events: Iterator[tuple[str, Any]]) -> Iterator[bytes]:
    for number_, (name, value) in enumerate(events, 1):
        yield b"id: %d\nevent: %s\ndata: %s\n\n" % (number_, name.encode("ascii"), words.dumps(value))
        yield PAUSE


def _spec(name: str, function: str) -> dict[str, Any]:
    return {
        "model_id": name,
        "label": name.partition("/")[2],
        "provider": name.partition("/")[0],
        "source": name.partition("/")[0],
        "functions": [{"id": function}],
        "model_limits": {"max_sequence_length": 131072, "max_output_tokens": 8192},
        "lifecycle": [{"id": "available", "start_date": "2025-01-01"}],
    }
