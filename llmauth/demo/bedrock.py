"""The emulated Bedrock of one region: the runtime and the control plane, behind SigV4 or a Bedrock API key."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

from llmauth.demo import bedrock_converse, bedrock_invoke, bedrock_models, eventstream, sigv4, words
from llmauth.demo.bedrock_converse_turns import check_turns
from llmauth.demo.emulator import JSON, PAUSE, Answer, Call, Emulator, Refusal, Setting, Unparsable, json_object
from llmauth.demo.http1 import Field
from llmauth.demo.shapes import Fault, Mismatch

_SERVICE = "bedrock"  # the signing name of both planes
_RUNTIME = re.compile(r"/model/([^/]+)/(converse|converse-stream|invoke|invoke-with-response-stream|count-tokens)")

_ERRORS = {
    400: ("ValidationException", "The request was refused."),
    403: ("AccessDeniedException", "You don't have access to the model with the specified model ID."),
    404: ("ResourceNotFoundException", "Could not resolve the model from the given identifier."),
    408: ("ModelTimeoutException", "The model took too long."),
    424: ("ModelErrorException", "The model had an error."),
    429: ("ThrottlingException", "Too many requests, wait before trying again."),
    500: ("InternalServerException", "The server had an error."),
    503: ("ServiceUnavailableException", "Bedrock is unable to process your request."),
}


class Bedrock(Emulator):
    """What both planes share: the ways to prove oneself, and the errors."""

    may_carry = frozenset({b"x-amz-date", b"x-amz-security-token", b"x-amz-content-sha256"})

    def __init__(self, setting: Setting, region: str) -> None:
        super().__init__(setting)
        self.region = region

    def authenticate(self, call: Call) -> None:
        authorization = call.header(b"authorization") or ""
        if authorization.lower().startswith("bearer "):
            self._check_bearer(call, authorization[len("bearer ") :])
            return
        good = self.setting.credentials
        keys = sigv4.Keys(
            access_key_id=good.aws_access_key_id,
            secret_access_key=good.aws_secret_access_key,
            session_token=good.aws_session_token,
        )
        try:
            sigv4.verify(call.request, keys, region=self.region, service=_SERVICE, now=self.setting.wall())
        except sigv4.Rejected as rejected:
            raise Refusal(403, rejected.error, str(rejected)) from None

    def _check_bearer(self, call: Call, presented: str) -> None:
        leftovers = sorted(self.may_carry & call.request.head.index.keys())
        if leftovers:
            raise self.refused_leftover(f"a client's leftover reached the provider: {b', '.join(leftovers).decode()}")
        if presented != self.setting.credentials.bedrock_api_key:
            raise Refusal(403, "AccessDeniedException", "Authentication failed: the API key is not valid.")

    def failure(self, status: int, error: str | None) -> Refusal:
        kind, sentence = _ERRORS.get(status, ("InternalServerException", "The request failed."))
        return Refusal(status, error or kind, sentence)

    def render(self, refusal: Refusal) -> Answer:
        fields = [JSON, _request_id(), (b"x-amzn-errortype", refusal.kind.encode()), *refusal.fields]
        return Answer(refusal.status, fields, words.dumps({"message": refusal.message}))

    def fields(self, call: Call) -> list[Field]:
        return [_request_id()]

    def invalid(self, message: str) -> Refusal:
        """The refusal of a request that is well signed and badly put."""
        return Refusal(400, "ValidationException", message)

    def unknown_operation(self) -> Refusal:
        """The refusal of a path that is no operation, such as an ARN whose slash is not encoded."""
        return Refusal(404, "UnknownOperationException", "There is no such operation.")

    def json_body(self, call: Call) -> dict[str, Any]:
        """The body as an object, or a SerializationException."""
        try:
            return json_object(call, JSON[1])  # boto3 names no content type for InvokeModel, and AWS asks for none
        except Unparsable as problem:
            raise Refusal(400, "SerializationException", f"The request body could not be read: {problem}.") from None


class BedrockRuntime(Bedrock):
    """`bedrock-runtime.{region}.amazonaws.com`: Converse and InvokeModel, whole and streamed."""

    def __init__(self, setting: Setting, region: str) -> None:
        super().__init__(setting, region)
        self.hosts = frozenset({f"bedrock-runtime.{region}.amazonaws.com"})

    def route(self, call: Call) -> Answer:
        match = _RUNTIME.fullmatch(call.path)
        if match is None:
            raise self.unknown_operation()
        if call.method != "POST":
            raise Refusal(405, "UnknownOperationException", f"This operation takes POST, not {call.method}.")
        segment, operation = match.groups()
        try:
            model = bedrock_models.resolve(segment, self.region)
            answer = self._perform(call, operation, model)
        except bedrock_models.Invalid as invalid:
            raise self.invalid(str(invalid)) from None
        except Mismatch as mismatch:
            raise self.invalid(_sentence(mismatch)) from None
        answer.fields.append((b"x-emulated-model-id", segment.encode()))
        return answer

    def _perform(self, call: Call, operation: str, model: bedrock_models.Model) -> Answer:
        body = self.json_body(call)
        if operation == "count-tokens":
            return self._count_tokens(call, body)
        if operation.startswith("converse"):
            bedrock_converse.check(body)
            check_turns(body, model)
            conversation = bedrock_converse.Reply(call, body, model)
            if operation == "converse":
                return self.json(call, conversation.whole())
            return self._stream(call, conversation.events())
        reply = bedrock_invoke.reply(call, body, model)
        if operation == "invoke":
            answer = self.json(call, reply.whole())
            answer.fields += _counts(*reply.tokens)
            return answer
        answer = self._stream(call, reply.events())
        answer.fields.append((b"x-amzn-bedrock-content-type", b"application/json"))
        return answer

    def _count_tokens(self, call: Call, body: dict[str, Any]) -> Answer:
        question = body.get("input")
        if not isinstance(question, dict) or len(question) != 1 or not question.keys() <= {"converse", "invokeModel"}:
            raise Mismatch(Fault.WRONG, "expected an object with exactly one of converse, invokeModel", "input")
        return self.json(call, {"inputTokens": words.estimate(call.request.body)})

    def _stream(self, call: Call, frames: Iterator[bytes]) -> Answer:
        return Answer(200, [eventstream.EVENT_STREAM, *self.fields(call)], unaligned(frames))


class BedrockControl(Bedrock):
    """`bedrock.{region}.amazonaws.com`: what models and inference profiles there are."""

    def __init__(self, setting: Setting, region: str) -> None:
        super().__init__(setting, region)
        self.hosts = frozenset({f"bedrock.{region}.amazonaws.com"})

    def route(self, call: Call) -> Answer:
        path = call.path
        if call.method != "GET":
            raise self.unknown_operation()
        if path == "/foundation-models":
            return self._list_models(call)
        if path == "/inference-profiles":
            return self.json(call, {"inferenceProfileSummaries": self._profiles(call)})
        if match := re.fullmatch(r"/foundation-models/([^/]+)", path):
            return self._get_model(call, unquote(match[1]))
        raise self.unknown_operation()

    def _list_models(self, call: Call) -> Answer:
        wanted = self._query(call, {"byProvider", "byOutputModality", "byInferenceType", "byCustomizationType"})
        found = [model for model in bedrock_models.listed(self.region) if _suits(model, wanted)]
        return self.json(call, {"modelSummaries": found})

    def _get_model(self, call: Call, model_id: str) -> Answer:
        for model in bedrock_models.listed(self.region):
            if model_id in (model["modelId"], model["modelArn"]):
                return self.json(call, {"modelDetails": model})
        raise self.failure(404, None)

    def _profiles(self, call: Call) -> list[dict[str, Any]]:
        wanted = self._query(call, {"type", "maxResults", "nextToken"})
        return bedrock_models.profiles(self.region) if wanted.get("type") != "APPLICATION" else []

    def _query(self, call: Call, known: set[str]) -> dict[str, str]:
        pairs = dict(pair.partition("=")[::2] for pair in call.query.split("&") if pair)
        for name in pairs.keys() - known:
            raise self.invalid(f"The query parameter {name} is not known here.")
        return {name: unquote(value) for name, value in pairs.items()}


def unaligned(frames: Iterator[bytes]) -> Iterator[bytes]:
    """Every third frame in two writes, cut at an odd offset: frames and network chunks are not the same thing."""
    position = 0
    for frame in frames:
        if frame == PAUSE:
            yield frame
            continue
        position += 1
        if position % 3 == 2:
            middle = (len(frame) // 2) | 1
            yield frame[:middle]
            frame = frame[middle:]
        yield frame


def _suits(model: dict[str, Any], wanted: dict[str, str]) -> bool:
    """Whether a model passes the filters of ListFoundationModels."""
    return all(
        (
            wanted.get("byProvider", model["providerName"]).lower() == model["providerName"].lower(),
            wanted.get("byOutputModality") in (None, *model["outputModalities"]),
            wanted.get("byInferenceType") in (None, *model["inferenceTypesSupported"]),
        )
    )


def _sentence(mismatch: Mismatch) -> str:
    return f"1 validation error detected: '{mismatch.path}' {mismatch.wanted}."


def _request_id() -> Field:
    return b"x-amzn-requestid", str(uuid.uuid4()).encode()


def _counts(prompt: int, said: int) -> list[Field]:
    return [
        (b"x-amzn-bedrock-invocation-latency", b"42"),
        (b"x-amzn-bedrock-input-token-count", b"%d" % prompt),
        (b"x-amzn-bedrock-output-token-count", b"%d" % said),
    ]
