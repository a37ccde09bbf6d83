"""The items of a stream's output while they come into being: each writes its own events, from `added` to `done`."""

from __future__ import annotations

from typing import Any

from llmauth.chat.messages import Citation
from llmauth.codecs.responses import output
from llmauth.codecs.responses.output import Json, Status
from llmauth.codecs.responses.writing import Writer, dumps


class _Deltas:
    """Events of one kind, alike but for their delta: what stays the same is written down once."""

    __slots__ = ("_before", "_behind", "_kind", "_writer", "length", "pieces")

    def __init__(self, writer: Writer, kind: str, where: Json, behind: bytes = b"}") -> None:
        self.pieces: list[str] = []
        self.length = 0
        self._writer = writer
        self._kind = kind
        self._before = b"," + dumps(where)[1:-1] + b',"delta":'
        self._behind = behind

    def more(self, piece: str) -> bytes:
        self.pieces.append(piece)
        self.length += len(piece)
        return self._writer.spliced(self._kind, self._before + dumps(piece) + self._behind)

    @property
    def whole(self) -> str:
        return "".join(self.pieces)


class Item:
    """One item; `told` is what it came to, once it ended."""

    prefix = ""

    def __init__(self, writer: Writer, answer: str, index: int) -> None:
        self.index = index
        self.told: Json | None = None
        self._writer = writer
        self._id = output.item_id(self.prefix, answer, index)

    def _where(self, **more: int) -> Json:
        return {"item_id": self._id, "output_index": self.index, **more}

    def _added(self, item: Json) -> bytes:
        return self._writer.event("response.output_item.added", output_index=self.index, item=item)

    def end(self, status: Status) -> bytes:
        """Its last events."""
        closing = self._close(status)
        self.told = self._whole(status)
        return closing + self._writer.event("response.output_item.done", output_index=self.index, item=self.told)

    def _close(self, status: Status) -> bytes:
        raise NotImplementedError

    def _whole(self, status: Status) -> Json:
        raise NotImplementedError


class Reasoning(Item):
    """Thinking, as a summary of one part."""

    prefix = "rs"

    def __init__(self, writer: Writer, answer: str, index: int) -> None:
        super().__init__(writer, answer, index)
        self.encrypted: str | None = None
        self._deltas: _Deltas | None = None

    def begin(self) -> bytes:
        """Its first event."""
        return self._added(output.reasoning(self._id, "", None))

    def think(self, piece: str) -> bytes:
        """More of the summary."""
        opening = b""
        if self._deltas is None:
            where = self._where(summary_index=0)
            opening = self._writer.event("response.reasoning_summary_part.added", **where, part=output.summary(""))
            self._deltas = _Deltas(self._writer, "response.reasoning_summary_text.delta", where)
        return opening + self._deltas.more(piece)

    def _close(self, status: Status) -> bytes:
        if self._deltas is None:
            return b""
        where, said = self._where(summary_index=0), self._deltas.whole
        text = self._writer.event("response.reasoning_summary_text.done", **where, text=said)
        return text + self._writer.event("response.reasoning_summary_part.done", **where, part=output.summary(said))

    def _whole(self, status: Status) -> Json:
        return output.reasoning(self._id, "" if self._deltas is None else self._deltas.whole, self.encrypted)


class Call(Item):
    """A function call; it knows when its arguments are complete, and cannot take more then."""

    prefix = "fc"

    def __init__(self, writer: Writer, answer: str, index: int, call_id: str, name: str) -> None:
        super().__init__(writer, answer, index)
        self._call_id = call_id
        self._name = name
        self._deltas = _Deltas(writer, "response.function_call_arguments.delta", self._where())

    def begin(self) -> bytes:
        """Its first event."""
        return self._added(output.call(self._id, "in_progress", self._call_id, self._name, ""))

    def argue(self, piece: str) -> bytes:
        """More of the arguments; blanks before them say nothing."""
        said = piece if self._deltas.pieces else piece.lstrip()
        return self._deltas.more(said) if said else b""

    @property
    def arguments(self) -> str:
        """As far as they came."""
        return self._deltas.whole

    def _close(self, status: Status) -> bytes:
        whole = self._whole(status)["arguments"]
        # Who adds up the deltas finds the same as who reads the end.
        missing = self.argue(whole) if whole and not self.arguments else b""
        where = self._where()
        return missing + self._writer.event("response.function_call_arguments.done", **where, arguments=whole)

    def _whole(self, status: Status) -> Json:
        return output.call(self._id, status, self._call_id, self._name, self.arguments)


class _Text:
    """A part of a message that is a text."""

    def __init__(self, writer: Writer, where: Json) -> None:
        self._writer = writer
        self._where = where
        self._annotations: list[Json] = []
        self._logprobs: list[Json] = []
        self._deltas = _Deltas(writer, "response.output_text.delta", where, b',"logprobs":[]}')
        self.more = self._deltas.more

    def whole(self) -> Json:
        return output.text(self._deltas.whole, self._annotations, self._logprobs)

    def weigh(self, content: list[object]) -> bytes:
        """Log probabilities come in a delta of their own: before or behind the words, as the provider tells them."""
        found = output.logprobs(content)
        self._logprobs.extend(found)
        told = output.without_bytes(found)
        return self._writer.event("response.output_text.delta", **self._where, delta="", logprobs=told)

    def cite(self, citation: Citation) -> bytes:
        source = output.annotation(citation, self._deltas.length)
        self._annotations.append(source)
        place: Json = {**self._where, "annotation_index": len(self._annotations) - 1}
        return self._writer.event("response.output_text.annotation.added", **place, annotation=source)

    def done(self) -> bytes:
        told: dict[str, Any] = {"text": self._deltas.whole, "logprobs": output.without_bytes(self._logprobs)}
        return self._writer.event("response.output_text.done", **self._where, **told)


class _Refusal:
    """A part of a message that is a refusal."""

    def __init__(self, writer: Writer, where: Json) -> None:
        self._writer = writer
        self._where = where
        self._deltas = _Deltas(writer, "response.refusal.delta", where)
        self.more = self._deltas.more

    def whole(self) -> Json:
        return output.refusal(self._deltas.whole)

    def done(self) -> bytes:
        return self._writer.event("response.refusal.done", **self._where, refusal=self._deltas.whole)


class Message(Item):
    """What the model says: texts and refusals."""

    prefix = "msg"

    def __init__(self, writer: Writer, answer: str, index: int) -> None:
        super().__init__(writer, answer, index)
        self._content: list[Json] = []
        self._part: _Text | _Refusal | None = None

    def begin(self) -> bytes:
        """Its first event."""
        return self._added(output.message(self._id, "in_progress", []))

    def say(self, piece: str) -> bytes:
        """More of a text."""
        part = self._part
        return part.more(piece) if isinstance(part, _Text) else self._open(_Text) + self._more(piece)

    def refuse(self, piece: str) -> bytes:
        """More of a refusal."""
        part = self._part
        return part.more(piece) if isinstance(part, _Refusal) else self._open(_Refusal) + self._more(piece)

    def nothing(self) -> bytes:
        """A text without words."""
        return self._open(_Text)

    @property
    def text(self) -> _Text | None:
        """The text that is being said."""
        return self._part if isinstance(self._part, _Text) else None

    def _more(self, piece: str) -> bytes:
        assert self._part is not None
        return self._part.more(piece)

    def _open(self, kind: type[_Text | _Refusal]) -> bytes:
        closing = self._close("completed")
        where = self._place()
        self._part = kind(self._writer, where)
        return closing + self._writer.event("response.content_part.added", **where, part=self._part.whole())

    def _place(self) -> Json:
        return self._where(content_index=len(self._content))

    def _close(self, status: Status) -> bytes:
        part = self._part
        if part is None:
            return b""
        where, whole = self._place(), part.whole()
        self._content.append(whole)
        self._part = None
        return part.done() + self._writer.event("response.content_part.done", **where, part=whole)

    def _whole(self, status: Status) -> Json:
        return output.message(self._id, status, self._content)
