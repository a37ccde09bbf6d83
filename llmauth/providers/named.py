"""Which models a request could have work, wherever it names them, and whether that is all it could mean."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any
from urllib.parse import parse_qsl, unquote

from llmauth.codecs.reading import Malformed, text_of
from llmauth.http import Headers, Request

_LONGEST = 200
# A request has one model, and seldom a second; a batch may repeat one as often as it likes.
_MOST = 50
# What is read is read at once, and nobody else is served meanwhile: a quarter of a second at the very most. More than
# this stands in no text that a model could take.
_SHORT = 64 * 1024
_MOST_NAMES = 200_000
_MOST_COMMAS = 1_000_000
# Beside what is said; tools are described in some thousand members.
_MOST_MEMBERS = 50_000

# A member, a parameter or a field of the head whose name ends so names a model, whatever stands before: the `model` of
# a tool, `fallback_models`, `servingMode.modelId`, `routingConfig.manualMode.modelName`. Compared without `_` and `-`.
_MEANS_MODEL = re.compile(r".*(?:model|deployment)(?:s|ids?|names?|arns?|identifiers?|uris?)?|fallbacks?|endpointid")
_IN_QUERY = re.compile(r".*(?:model|deployment|engine)(?:s|ids?|names?)?")
# What is said to a model and by it, in whose objects `model` may be anything.
_SAID = frozenset(
    {
        *("messages", "input", "inputs", "contents", "system", "chathistory", "documents", "toolresults", "texts"),
        *("instances", "metadata", "labels", "variables", "promptvariables"),
    }
)
# Members of the outermost object that name what has a model of its own, known to nobody here.
_HAS_ITS_OWN = frozenset({"agent", "agentid", "agentreference", "assistant", "assistantid"})
# Below these words of a path nobody here reads what will be asked: it lies in files, or is asked of the provider later.
_UNJUDGED = frozenset(
    {
        *("files", "uploads", "batches", "evals", "assistants", "threads", "client_secrets", "calls", "sessions"),
        *("vector_stores", "containers", "conversations", "organization", "skills", "agents", "environments"),
        *("chatkit", "providers", "policies", "engines"),
    }
)
# Clients behind old proxies write there what the method is, and some servers believe it.
_OTHER_METHOD = frozenset({b"x-http-method-override", b"x-http-method", b"x-method-override"})
_OTHER_METHOD_IN_QUERY = "method"
_READS = frozenset({"GET", "HEAD"})
# By these something is asked now that is answered, and paid for, when nobody here sees it.
_LATER = frozenset(
    {
        *("batches", "evals", "threads", "client_secrets", "calls", "fine_tuning", "batchpredictionjobs", "tuningjobs"),
        *("model-invocation-job", "model-customization-jobs", "evaluation-jobs", "async-invoke", "agents", "sessions"),
    }
)
_BATCHED = "/messages/batches"
# Letters that stand for themselves in every server: no second reading of the path is left open.
_PLAIN_PATH = re.compile(r"[^%;\\\x00-\x20\x7f-\U0010ffff]*")
_PLAIN_NAME = re.compile(r"[A-Za-z0-9._:@/-]+")
_CHARSET = re.compile(r"charset\s*=\s*\"?([^\s\";,]*)")
_CHARSETS = frozenset({"utf-8", "utf8", "us-ascii"})

_decode = json.JSONDecoder(object_pairs_hook=tuple).decode

_NO_FIELDS = Headers()


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """`model` is the one that answers, `others` are further ones that could work for the same request, each at most 200
    characters. Not `certain` is what could mean another than all these.

    `reads` tells that no model works; `ambiguous`, of a WebSocket, that its handshake decides and does not name one.
    """

    model: str | None = None
    others: tuple[str, ...] = ()
    certain: bool = False
    reads: bool = False
    ambiguous: bool = False


NOTHING = Named()


@dataclass(frozen=True, kw_only=True)
class Call:
    """A request as its provider will see it: `path` is the provider's own, with its query, and `body` None where nobody
    has asked for it to be read.
    """

    method: str
    path: str
    headers: Headers = _NO_FIELDS
    body: bytes | None = field(default=None, repr=False)
    websocket: bool = False

    @cached_property
    def plain(self) -> str:
        """The path as servers that are lenient would read it: decoded, and without empty segments."""
        return re.sub(r"[/\\]+", "/", unquote(self.path.partition("?")[0]))

    @cached_property
    def folded(self) -> str:
        """The same in lower case, to look for words in."""
        return self.plain.casefold().rstrip("/")

    @cached_property
    def parameters(self) -> list[tuple[str, str]]:
        """The query's, with their names in lower case."""
        query = self.path.partition("?")[2]
        return [(name.casefold(), value) for name, value in parse_qsl(query, keep_blank_values=True)]

    @property
    def is_disguised(self) -> bool:
        """Whether some servers would take it for one of another method."""
        index = {name.replace(b"_", b"-") for name in self.headers.index()}
        by_query = any(_OTHER_METHOD_IN_QUERY in name for name, _ in self.parameters)
        return by_query or not index.isdisjoint(_OTHER_METHOD)

    @cached_property
    def only_reads(self) -> bool:
        """Whether no model works by it: a GET that is nothing else in disguise."""
        return self.method in _READS and not self.websocket and not self.body and not self.is_disguised

    def by_query(self, *names: str) -> Named:
        """The model of a WebSocket whose handshake decides: one parameter alone, and by one of these names."""
        found = [(name, value) for name, value in self.parameters if _IN_QUERY.fullmatch(_squeezed(name))]
        if len(found) != 1 or found[0][0] not in names or _PLAIN_NAME.fullmatch(found[0][1]) is None:
            return Named(ambiguous=True)
        return Named(model=found[0][1][:_LONGEST], certain=True)


Main = Callable[[Any], str | None]
"""Of a body, an object as a tuple of pairs, the model that answers."""


def at(*path: str) -> Main:
    """The text to which these members lead, one level each."""

    def found(top: Any) -> str | None:
        for name in path:
            top = member(top, name)
        return text(top)

    return found


def member(pairs: object, wanted: str) -> object:
    """The value of a member of an object; `None` where it is not there exactly once: of two members with one name each
    reader takes another, and some readers do not heed case.
    """
    if not isinstance(pairs, tuple):
        return None
    found = [(name, value) for name, value in pairs if name.casefold() == wanted.casefold()]
    return found[0][1] if len(found) == 1 and found[0][0] == wanted else None


def text(value: object) -> str | None:
    """A name of a model, cut at 200 characters; `None` for what is none."""
    return value[:_LONGEST] if isinstance(value, str) and value else None


def named(call: Call, model: str | None = None, *, main: Main | None = None, beside: bool = True) -> Named:
    """All that a request names. `model` is what its path says; where that says nothing, the body does, by `main`.

    `beside` is False where a path that names the model has the provider overlook a `model` of the body.
    """
    if call.body is None:
        return Named(model=model)  # nobody judges by it
    if call.only_reads:
        return Named(model=model, certain=True, reads=True)
    top = read(call.body)
    if top is None:
        return Named(model=model, certain=False)
    if call.folded.endswith(_BATCHED):
        main = batched
    found = _Found()
    certain = found.all_of(top, but="" if beside else "model") and _is_plain(call, main is batched)
    for name, value in (*call.parameters, *_fields(call.headers)):
        if _IN_QUERY.fullmatch(_squeezed(name)):
            found.take(value)
    model = model or (main or at("model"))(top)
    others = tuple(name for name in found.names if name != model)
    return Named(model=model, others=others, certain=certain and model is not None and len(others) <= _MOST)


def beside(request: Request) -> Named:
    """What a request of protocol mode names beside its own `model`, which is read elsewhere."""
    top = read(request.body)
    if top is None:
        return NOTHING
    found = _Found()
    certain = found.all_of(top, but="model") and _is_json(request.headers)
    for _, value in _fields(request.headers):
        found.take(value)
    return Named(others=tuple(found.names), certain=certain and len(found.names) <= _MOST)


def works_later(path: str) -> bool:
    """Whether a POST to this path has a model work afterwards, so that no answer of ours tells what that took."""
    words = Call(method="POST", path=path).folded.split("/")
    return words[-1] != "cancel" and not _LATER.isdisjoint(words)


def read(body: bytes) -> Any | None:
    """A body that is a JSON object, each object in it as a tuple of pairs; `None` for everything else, and for what
    would take long to be read.
    """
    if len(body) > _SHORT and (body.count(b":") > _MOST_NAMES or body.count(b",") > _MOST_COMMAS):
        return None
    try:
        top = _decode(text_of(body))
    except (ValueError, Malformed, RecursionError):
        return None
    return top if isinstance(top, tuple) else None


def batched(top: Any) -> str | None:
    """The first model of Anthropic's batches, of which each request must name one."""
    requests = member(top, "requests")
    if not isinstance(requests, list):
        return None
    models = [at("params", "model")(one) for one in requests]
    return models[0] if models and None not in models else None


class _Found:
    """Names in the order in which they were met; no more than can be judged."""

    def __init__(self) -> None:
        self.names: dict[str, None] = {}

    def take(self, name: str) -> None:
        if len(self.names) <= _MOST + 1:
            self.names[name[:_LONGEST]] = None

    def all_of(self, top: Any, but: str = "") -> bool:
        """Every name in an object, but for one member of its own; whether each could be read in one way only."""
        certain, members = all(_squeezed(name) not in _HAS_ITS_OWN for name, _ in top), 0
        waiting = [tuple(pair for pair in top if pair[0].casefold() != but) if but else top]
        while waiting:
            held = waiting.pop()
            if isinstance(held, tuple):
                members += len(held)
                if members > _MOST_MEMBERS:
                    return False
                certain = self._of_object(held, waiting) and certain
            else:
                waiting.extend(one for one in held if isinstance(one, tuple | list))
        return certain

    def _of_object(self, pairs: tuple[tuple[str, Any], ...], waiting: list[Any]) -> bool:
        certain = len({name.casefold() for name, _ in pairs}) == len(pairs)
        for name, value in pairs:
            word = _squeezed(name)
            if word in _SAID:
                continue
            if _MEANS_MODEL.fullmatch(word):
                certain = self._named_by(word, value) and certain
            if isinstance(value, tuple | list):
                waiting.append(value)
        return certain

    def _named_by(self, word: str, value: Any) -> bool:
        every = value if isinstance(value, list) else [value]
        for one in every:
            if isinstance(one, str):
                self.take(one)
        # LiteLLM's have the model that fails for a name, which no rule can tell from any other.
        unclear = word.startswith("fallback") and isinstance(value, list)
        if unclear and any(isinstance(one, tuple) and not at("model")(one) for one in every):
            return False
        return not any(isinstance(one, int | float) and not isinstance(one, bool) for one in every)


def _squeezed(name: str) -> str:
    return name.casefold().replace("_", "").replace("-", "")


def _fields(headers: Headers) -> list[tuple[str, str]]:
    """Fields of the head that choose a model at some servers (`azureml-model-deployment`)."""
    return [
        (name.decode("latin-1"), value.decode("latin-1"))
        for name, values in headers.index().items()
        if b"model" in name
        for value in values
    ]


def _is_plain(call: Call, is_batch: bool) -> bool:
    """Whether path and type leave one reading of the body, and nothing that is read later by others."""
    if not _is_json(call.headers):
        return False
    if any(coding.strip().lower() not in ("", "identity") for coding in call.headers.all("content-encoding")):
        return False
    if _PLAIN_PATH.fullmatch(call.plain) is None:
        return False
    return is_batch or _UNJUDGED.isdisjoint(call.folded.split("/"))


def _is_json(headers: Headers) -> bool:
    """Whether the head calls the body nothing else: a form would be read otherwise, and so would other letters."""
    kinds = [kind.lower() for kind in headers.all("content-type")]
    return len(kinds) <= 1 and not any(
        "form" in kind or not _CHARSETS.issuperset(_CHARSET.findall(kind)) for kind in kinds
    )
