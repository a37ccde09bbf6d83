"""Which paths are asked of a model, of every provider, however they are spelled."""

from __future__ import annotations

import pytest

from llmauth.context import ProviderType
from llmauth.usage.formats import (
    CONVERSE,
    GEMINI,
    GEMINI_ARRAY,
    INVOKE,
    MESSAGES,
    OPENAI,
    ORACLE,
    PREDICT,
    WATSONX,
    Format,
)
from llmauth.usage.operations import FREE, UNKNOWN, Operation, embeds, needs_no_model, operation_of

PLACE = "/v1/projects/p/locations/l"
ARN = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/abc"


@pytest.mark.parametrize(
    ("provider", "path", "operation"),
    [
        ("openai", "/v1/chat/completions", OPENAI),
        ("openai", "/chat/completions", OPENAI),
        ("openai", "//v1/chat/completions/?a=/files", OPENAI),
        ("openai", "/v1/completions", OPENAI),
        ("openai", "/v1/responses", OPENAI),
        ("openai", "/v1/responses/compact", OPENAI),
        ("openai", "/v1/embeddings", OPENAI),
        ("openai", "/v1/images/generations", OPENAI),
        ("openai", "/v1/audio/speech", OPENAI),
        ("openai", "/v1/responses/input_tokens", FREE),
        ("openai", "/v1/responses/resp_1/cancel", FREE),
        ("openai", "/v1/files", FREE),
        ("openai", "/v1/batches", FREE),
        ("openai", "/v1/moderations", FREE),
        ("openai", "/v1/threads/t/messages", FREE),
        ("openai", "/v1/videos", UNKNOWN),
        ("openai", "/v1/echo/anything", UNKNOWN),
        ("openai", "/v1/chat%2Fcompletions", OPENAI),
        ("openai", "/v1/messages", UNKNOWN),
        ("azure", "/OpenAI/Deployments/D/Chat/Completions?api-version=1", OPENAI),
        ("azure", "/openai/deployments/files/chat/completions?api-version=1", OPENAI),
        ("azure", "/models/chat/completions?api-version=1", OPENAI),
        ("azure", "/anthropic/v1/messages", MESSAGES),
        ("azure", "/openai/threads/t/messages", FREE),
        ("anthropic", "/v1/messages?beta=true", MESSAGES),
        ("anthropic", "/v1/messages/count_tokens", FREE),
        ("anthropic", "/v1/messages/batches", FREE),
        ("anthropic", "/api/event_logging/batch", FREE),
        ("anthropic", "/v1/complete", UNKNOWN),
        ("bedrock", "/model/amazon.nova-pro-v1%3A0/converse", CONVERSE),
        ("bedrock", f"/model/{ARN}/converse-stream", CONVERSE),
        ("bedrock", f"/model/{ARN.replace('/', '%2F')}/invoke", INVOKE),
        ("bedrock", "/model/a/invoke-with-response-stream", INVOKE),
        ("bedrock", "/model/a/invoke-with-bidirectional-stream", UNKNOWN),
        ("bedrock", "/model/a/count-tokens", FREE),
        ("bedrock", "/async-invoke", UNKNOWN),
        ("bedrock", "/guardrail/g/version/1/apply", FREE),
        ("bedrock", "/guardrail-checks/invoke", FREE),
        ("bedrock", "/foundation-models", FREE),
        ("bedrock", "/openai/v1/responses", OPENAI),
        ("bedrock", "/anthropic/v1/messages", MESSAGES),
        ("vertex", f"{PLACE}/publishers/google/models/gemini:generateContent", GEMINI),
        ("vertex", f"{PLACE}/publishers/google/models/gemini%3AgenerateContent", GEMINI),
        ("vertex", f"{PLACE}/publishers/google/models/gemini:streamGenerateContent?alt=sse", GEMINI_ARRAY),
        ("vertex", f"{PLACE}/endpoints/1:generateContent", GEMINI),
        ("vertex", f"{PLACE}/publishers/google/models/e:batchEmbedContents", GEMINI),
        ("vertex", f"{PLACE}/publishers/google/models/e:predict", PREDICT),
        ("vertex", f"{PLACE}/publishers/google/models/veo:predictLongRunning", UNKNOWN),
        ("vertex", f"{PLACE}/publishers/google/models/gemini:countTokens", FREE),
        ("vertex", f"{PLACE}/publishers/anthropic/models/claude@1:streamRawPredict", MESSAGES),
        ("vertex", f"{PLACE}/publishers/anthropic/models/count-tokens:rawPredict", FREE),
        ("vertex", f"{PLACE}/publishers/mistralai/models/m:rawPredict", OPENAI),
        ("vertex", f"{PLACE}/endpoints/openapi/chat/completions", OPENAI),
        ("vertex", f"{PLACE}/cachedContents", FREE),
        ("ibm", "/ml/v1/text/chat?version=2026-10-14", WATSONX),
        ("ibm", "/ml/v1/deployments/d/text/chat_stream?version=1", WATSONX),
        ("ibm", "/ml/v1/text/generation_stream?version=1", WATSONX),
        ("ibm", "/ml/gateway/v1/chat/completions", OPENAI),
        ("ibm", "/ml/gateway/v1/embeddings", WATSONX),
        ("ibm", "/ml/v1/text/tokenization", FREE),
        ("ibm", "/ml/v1/text/detection", UNKNOWN),
        ("ibm", "/v2/projects", FREE),
        ("oracle", "/20231130/actions/chat", ORACLE),
        ("oracle", "/20231130/actions/embedText", ORACLE),
        ("oracle", "/20231130/actions/applyGuardrails", FREE),
        ("oracle", "/20231130/actions/novel", UNKNOWN),
        ("oracle", "/openai/v1/chat/completions", OPENAI),
        ("oracle", "/20231130/endpoints", FREE),
        ("another", "/api/v1/chat/completions", OPENAI),
        ("another", "/v1/messages", MESSAGES),
        ("another", "/v1/novel", UNKNOWN),
    ],
)
def test_what_is_asked(provider: ProviderType, path: str, operation: Format | Operation) -> None:
    assert operation_of(provider, path) is operation


@pytest.mark.parametrize(
    ("provider", "path", "free"),
    [
        ("openai", "/v1/files", True),
        ("openai", "/v1/files/file-1/content?x=1", True),
        ("openai", "/v1/vector_stores", True),
        ("openai", "/v1/responses/input_tokens", True),
        ("azure", "/openai/v1/files", True),
        ("azure", "/openai/files?api-version=1", True),
        ("anthropic", "/v1/messages/count_tokens", True),
        ("bedrock", "/model/anthropic.claude/count-tokens", True),
        ("vertex", f"{PLACE}/publishers/google/models/gemini:countTokens", True),
        ("ibm", "/ml/v1/text/tokenization", True),
        ("openai", "/v1/chat/completions", False),
        ("openai", "/v1/novel", False),
        ("openai", "/v1/batches", False),
        ("anthropic", "/v1/messages/batches", False),
        ("openai", "/v1/threads/t/runs", False),
        ("openai", "/v1/fine_tuning/jobs", False),
        ("openai", "/v1/models/m", False),
        ("azure", "/openai/threads/t/messages", False),
        ("vertex", f"{PLACE}/reasoningEngines/1:query", False),
        ("vertex", f"{PLACE}/batchPredictionJobs", False),
        ("bedrock", "/model-invocation-job", False),
        ("openai", "/v1/chat/completions/files/..", False),
        ("openai", "/v1/chat/completions#/files", False),
        ("openai", "/v1/files/../chat/completions%252f", False),
        ("openai", "/v1/chat/completions;/count_tokens", False),
        ("openai", "/v1/chat/completions%3F/count_tokens", False),
        ("openai", "/v1/chat/completions?/v1/files", False),
    ],
)
def test_m4_where_surely_no_model_works(provider: ProviderType, path: str, free: bool) -> None:
    assert needs_no_model(provider, path) is free


@pytest.mark.parametrize(
    ("path", "numbers"),
    [
        ("/v1/embeddings", True),
        ("/openai/deployments/d/embeddings?api-version=1", True),
        ("/model/amazon.titan-embed-text-v2%3A0/invoke", True),
        (f"{PLACE}/publishers/google/models/text-embedding-005:predict", True),
        ("/20231130/actions/embedText", True),
        ("/v1/chat/completions?embeddings", False),
        ("/v1/chat/completions#/embeddings", False),
        ("/openai/deployments/embeddings/chat/completions", False),
        ("/model/amazon.nova-lite-v1:0/invoke?x=/embeddings", False),
    ],
)
def test_what_gives_numbers(path: str, numbers: bool) -> None:
    assert embeds(path) is numbers
