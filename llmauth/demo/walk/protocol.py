"""The calls of protocol mode: an SDK of one provider, pointed at a door of the gateway, is answered by another."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import quote, urlsplit

from llmauth.demo.walk import calls, formats
from llmauth.demo.walk.formats import Format, Wanted
from llmauth.demo.walk.shells import Place, Spoken, Step, saying

# Names of the gateway's configuration, which the callers use in place of a provider's.
CLAUDE, FAST, SMALL = "claude", "fast", "gpt-4o-mini"
MODELS: Mapping[str, tuple[str, str]] = {
    CLAUDE: ("bedrock_us1", "us.anthropic.claude-sonnet-4-5-20250929-v1:0"),
    FAST: ("vertex_us1", "gemini-2.5-flash"),
    SMALL: ("bedrock_eu1", "eu.anthropic.claude-haiku-4-5-20251001-v1:0"),
}
# A native host of OpenAI's, where its customers in Europe call; the emulators have none of this name.
REROUTED = "eu.api.openai.com"
_REGIONS = {"bedrock_us1": "us-east-1", "bedrock_eu1": "eu-west-1"}
_GEMINI_AT = "/v1/projects/demo-project/locations/us-central1/publishers/google/models"


def rerouted() -> Step:
    """The call of a program that is told nothing of any gateway; through HTTPS_PROXY alone, Claude answers it."""
    there = {"OPENAI_BASE_URL": f"https://{REROUTED}/v1", "OPENAI_MODEL": SMALL}
    return _step("openai.chat", there, _at_bedrock(SMALL, "converse"))


def spoken(place: Place, *, curl: bool) -> tuple[Step, ...]:
    """The calls of one who has the gateway's key, by base URL; `curl` tells whether there is one."""
    us1 = {"OPENAI_BASE_URL": f"{place.url}/openai/bedrock_us1/v1", "OPENAI_MODEL": MODELS[CLAUDE][1]}
    by_name = {"OPENAI_BASE_URL": f"{place.url}/v1"}
    to_openai = {"ANTHROPIC_BASE_URL": f"{place.url}/anthropic/openai", "ANTHROPIC_MODEL": "gpt-4o"}
    by_claude = by_name | {"OPENAI_MODEL": CLAUDE}
    result = _at_bedrock(CLAUDE, "converse", formats.CONVERSE_WITH_RESULT, calls.RESULT)
    return (
        _step("openai.chat_stream", us1, _at_bedrock(CLAUDE, "converse-stream")),
        _step("openai.responses", by_name | {"OPENAI_MODEL": FAST}, _at_vertex(FAST)),
        _step("anthropic.messages_stream", to_openai, _at_openai()),
        _step("agent.tool_call", by_claude, _at_bedrock(CLAUDE, "converse-stream", words=calls.ERRAND), calls.CALLED),
        _step("agent.tool_result", {}, result, told=by_claude),  # the same client: no exports
        *([_envelope(place)] if curl else []),
        _step("openai.models", by_name, None, ", ".join(sorted(MODELS))),
    )


def _envelope(place: Place) -> Step:
    there = {"LLMAUTH_URL": place.url, "BEDROCK_MODEL": CLAUDE}
    wanted = _at_bedrock(CLAUDE, "invoke", formats.INVOKE_MODEL)
    told = there | {"LLMAUTH_BASE_URL": f"{place.url}/v1/bedrock/invoke-model"}
    return _step("curl.invoke_model", there, wanted, saying("Claude"), told)


_SPEAKERS = {formats.GEMINI.name: "Gemini", formats.OPENAI_CHAT.name: "OpenAI", formats.CONVERSE.name: "Bedrock"}


def _step(
    call: str,
    exports: Mapping[str, str],
    wanted: Wanted | None,
    answer: str = "",
    told: Mapping[str, str] | None = None,
) -> Step:
    """Without an `answer` that of the provider; `told` is where the SDK was pointed, if not by these `exports`."""
    said = answer or (saying(_SPEAKERS[wanted.format.name]) if wanted else "")
    told = told or exports
    names = (value for name, value in told.items() if name.endswith("_MODEL") and value in MODELS)
    spoken = Spoken(door=_door(told), wanted=wanted, model=next(names, ""))
    return Step(call=call, exports=exports, answer=said, spoken=spoken)


def _door(told: Mapping[str, str]) -> str:
    """What of a base URL is not the gateway's own address."""
    url = urlsplit(next(value for name, value in told.items() if name.endswith("_BASE_URL")))
    return url.path if url.hostname == "127.0.0.1" else f"{url.hostname}{url.path}"


def _at_bedrock(name: str, operation: str, shape: Format = formats.CONVERSE, words: str = calls.QUESTION) -> Wanted:
    instance, model = MODELS[name]
    host = f"bedrock-runtime.{_REGIONS[instance]}.amazonaws.com"
    target = f"/model/{quote(model, safe='')}/{operation}"
    return Wanted(instance=instance, host=host, target=target, format=shape, words=words)


def _at_vertex(name: str) -> Wanted:
    instance, model = MODELS[name]
    host, target = "us-central1-aiplatform.googleapis.com", f"{_GEMINI_AT}/{model}:generateContent"
    return Wanted(instance=instance, host=host, target=target, format=formats.GEMINI, words=calls.QUESTION)


def _at_openai() -> Wanted:
    host, target = "api.openai.com", "/v1/chat/completions"
    return Wanted(instance="openai", host=host, target=target, format=formats.OPENAI_CHAT, words=calls.QUESTION)
