"""A generateContent request: what is said about the turns, beside the turns themselves."""

from __future__ import annotations

from typing import Any

from llmauth.chat.messages import ChatRequest, Choose, JsonObject, JsonSchema, Named, Tool
from llmauth.chat.turns import leading
from llmauth.chat.words import Word
from llmauth.codecs.gemini.contents import contents, texts
from llmauth.codecs.gemini.thinking import Family, family, thinking_config
from llmauth.codecs.mapping import Admitted, place
from llmauth.errors import BadRequest

_MODES = {None: "AUTO", Choose.AUTO: "AUTO", Choose.NONE: "NONE", Choose.REQUIRED: "ANY"}


def structure(request: ChatRequest, admitted: Admitted, model: str) -> dict[str, Any]:
    """The body without its parameters. `model` is the model's own name, in lower case."""
    system, rest = leading(request.messages)
    newest = family(model) is Family.LEVEL
    body: dict[str, Any] = {"contents": contents(rest, newest=newest, thoughts=Word.THINKING_BACK in admitted.features)}
    if not body["contents"]:
        raise BadRequest(
            "Gemini wants at least one message that is no system message and is not empty.",
            hint="Send the question as a message of the user's.",
            code="invalid_request",
        )
    if instruction := texts(system):
        body["systemInstruction"] = {"parts": instruction}
    _put_tools(body, request, admitted)
    _put_output(body, request)
    if request.reasoning is not None and Word.REASONING in admitted.features:
        config = thinking_config(request.reasoning, model, request.parameters.get(Word.MAX_TOKENS))
        if config:
            place(body, "generationConfig.thinkingConfig", config)
    return body


def _put_tools(body: dict[str, Any], request: ChatRequest, admitted: Admitted) -> None:
    if not request.tools:
        return
    body["tools"] = [{"functionDeclarations": [_declared(tool) for tool in request.tools]}]
    if request.tool_choice is not None or Word.STRICT_TOOLS in admitted.features:
        body["toolConfig"] = {"functionCallingConfig": _calling(request, Word.STRICT_TOOLS in admitted.features)}


def _declared(tool: Tool) -> dict[str, Any]:
    declared: dict[str, Any] = {"name": tool.name}
    if tool.description:
        declared["description"] = tool.description
    if tool.schema:
        declared["parametersJsonSchema"] = dict(tool.schema)
    return declared


def _calling(request: ChatRequest, strict: bool) -> dict[str, Any]:
    choice = request.tool_choice
    if isinstance(choice, Named):
        return {"mode": "ANY", "allowedFunctionNames": [choice.name]}
    mode = _MODES[choice]
    # VALIDATED is AUTO with arguments that are held to their schema; ANY holds them to it anyway.
    return {"mode": "VALIDATED" if strict and mode == "AUTO" else mode}


def _put_output(body: dict[str, Any], request: ChatRequest) -> None:
    if isinstance(request.output, JsonObject | JsonSchema):
        place(body, "generationConfig.responseMimeType", "application/json")
    if isinstance(request.output, JsonSchema):
        place(body, "generationConfig.responseJsonSchema", dict(request.output.schema))
