"""Features of a request, told by its shape: every one of them, and none that is not there."""

import pytest

from llmauth.chat.features import features
from llmauth.chat.messages import (
    Audio,
    Cache,
    Choose,
    Data,
    Document,
    Image,
    JsonObject,
    JsonSchema,
    Link,
    Message,
    Named,
    Reasoning,
    Redacted,
    Refusal,
    Signature,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolResult,
)
from llmauth.chat.words import FEATURES, Word
from tests.golden.cases import asked, assistant, user

DATA, LINK = Data("image/png", "QQ=="), Link("https://example.com/a")
SIGNED = Signature("anthropic", "s")
SYSTEM = Message("system", (Text("a"),))


def result(*content, **more):
    return Message("tool", (ToolResult("c", content, **more),))


REQUESTS = [
    (asked(user("a")), ()),
    (asked(SYSTEM, Message("developer", (Text("b"),)), user("a")), (Word.SYSTEM,)),
    (asked(user("a"), SYSTEM), (Word.SYSTEM_LATER,)),
    (asked(SYSTEM, user("a"), SYSTEM), (Word.SYSTEM, Word.SYSTEM_LATER)),
    (asked(user(Image(DATA))), (Word.IMAGE_DATA,)),
    (asked(user(Image(LINK), Image(LINK))), (Word.IMAGE_URL,)),
    (asked(user(Document(DATA), Document(LINK))), (Word.DOCUMENT_DATA, Word.DOCUMENT_URL)),
    (asked(user(Audio(DATA))), (Word.AUDIO_INPUT,)),
    (asked(assistant(Thinking("a"))), (Word.THINKING_BACK,)),
    (asked(assistant(Redacted(SIGNED))), (Word.THINKING_BACK,)),
    (asked(assistant(Refusal("a"), ToolCall("c", "x", "{}"))), ()),
    (asked(result(Text("a"))), ()),
    (asked(result(error=True)), (Word.TOOL_ERROR,)),
    (asked(result(Image(DATA))), (Word.TOOL_RESULT_IMAGE, Word.IMAGE_DATA)),
    (asked(result(Text("a", Cache()))), (Word.CACHE,)),
    (asked(result(cache=Cache())), (Word.CACHE,)),
    (asked(user(Text("a", Cache()))), (Word.CACHE,)),
    (asked(user("a"), tools=(Tool("x"),)), (Word.TOOLS,)),
    (asked(user("a"), tools=(Tool("x", strict=False),)), (Word.TOOLS,)),
    (asked(user("a"), tools=(Tool("x", strict=True, cache=Cache()),)), (Word.TOOLS, Word.STRICT_TOOLS, Word.CACHE)),
    (asked(user("a"), tool_choice=Choose.AUTO), ()),
    (asked(user("a"), tool_choice=Choose.NONE), (Word.TOOL_CHOICE_NONE,)),
    (asked(user("a"), tool_choice=Choose.REQUIRED), (Word.TOOL_CHOICE_REQUIRED,)),
    (asked(user("a"), tool_choice=Named("x")), (Word.TOOL_CHOICE_NAMED,)),
    (asked(user("a"), output=JsonObject()), (Word.JSON_OBJECT,)),
    (asked(user("a"), output=JsonSchema({})), (Word.JSON_SCHEMA,)),
    (asked(user("a"), reasoning=Reasoning()), (Word.REASONING,)),
    (asked(user("a"), parameters={Word.TEMPERATURE: 1}), ()),
]


@pytest.mark.parametrize(("request_", "found"), REQUESTS, ids=range(len(REQUESTS)))
def test_what_is_found(request_, found):
    assert features(request_) == found


def test_every_feature_can_be_found():
    """A feature that no shape tells could never be refused."""
    assert {word for _, found in REQUESTS for word in found} == set(FEATURES)
