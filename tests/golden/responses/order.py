"""A client that believes nothing: it follows a stream event by event and checks each against those before it."""

from __future__ import annotations

from typing import Any

Json = dict[str, Any]
_ENDS = {"response.completed": "completed", "response.incomplete": "incomplete", "response.failed": "failed"}


class Client:
    """Builds the output from the events alone."""

    def __init__(self) -> None:
        self.output: list[Json] = []
        self.open: dict[int, Json] = {}
        self.part: dict[int, Json] = {}  # the content or summary part that is open in an item
        self.said: set[int] = set()  # the items whose part, or arguments, are told in full
        self.response: Json | None = None
        self.ended = False
        self.error: Json | None = None
        self._expected = 0

    def take(self, event: Json) -> None:
        assert event["sequence_number"] == self._expected, f"{event['sequence_number']} instead of {self._expected}"
        self._expected += 1
        kind = event["type"]
        if self.ended:
            assert kind == "error", f"{kind} after the end"
            assert self.response is not None
            assert self.response["status"] == "failed", f"{kind} after the end"
            assert self.error is None, "two errors"
            self.error = event
        elif self._expected == 1:
            assert kind == "response.created", f"begins with {kind}"
            self.response = self._begun(event["response"])
        elif self._expected == 2:
            assert kind == "response.in_progress"
            assert event["response"] == self.response
        elif kind in _ENDS:
            self._end(kind, event["response"])
        else:
            follow = getattr(self, "_" + kind.removeprefix("response.").replace(".", "_"), None)
            assert follow is not None, f"{kind} at this place"
            follow(event)

    @staticmethod
    def _begun(response: Json) -> Json:
        assert response["status"] == "in_progress"
        assert response["output"] == []
        assert response["usage"] is None
        return response

    def _end(self, kind: str, response: Json) -> None:
        assert self.response is not None
        changing = {"status", "output", "usage", "error", "incomplete_details", "service_tier"}
        assert {name for name, value in response.items() if self.response[name] != value} <= changing
        assert response["status"] == _ENDS[kind]
        assert (response["error"] is not None) == (kind == "response.failed")
        assert (response["incomplete_details"] is not None) == (kind == "response.incomplete")
        if kind != "response.failed":
            assert not self.open, "ends while items are open"
        done = [item for index, item in enumerate(self.output) if index not in self.open]
        assert response["output"] == done
        self.response = response
        self.ended = True

    def _item(self, event: Json, *kinds: str) -> Json:
        item = self.open[event["output_index"]]
        assert event["output_index"] not in self.said or not event["type"].endswith(".delta"), "more behind the end"
        assert item["type"] in kinds
        assert item["id"] == event["item_id"]
        return item

    def _output_item_added(self, event: Json) -> None:
        item = event["item"]
        assert event["output_index"] == len(self.output)
        assert {other["type"] for other in self.open.values()} <= {"function_call"}, "only calls are open at once"
        assert item["id"] not in [other["id"] for other in self.output]
        assert item.get("status", "in_progress") == "in_progress"
        assert not item.get("content")
        assert not item.get("summary")
        assert not item.get("arguments")
        self.open[event["output_index"]] = item
        self.output.append(item)

    def _output_item_done(self, event: Json) -> None:
        index, item = event["output_index"], event["item"]
        gathered = self.open.pop(index)
        assert index not in self.part, "done while a part is open"
        if item["type"] == "function_call":
            self.said.remove(index)
        free = {"status", "encrypted_content"}
        assert {name for name, value in item.items() if gathered[name] != value} <= free
        assert item.get("status") in (None, "completed", "incomplete")
        self.output[index] = item

    def _part_added(self, event: Json, place: str, index: int) -> None:
        item = self.open[event["output_index"]]
        assert event["output_index"] not in self.part, "two parts are open"
        assert index == len(item[place])
        self.part[event["output_index"]] = dict(event["part"])
        item[place] = [*item[place], self.part[event["output_index"]]]

    def _part_done(self, event: Json) -> None:
        self.said.remove(event["output_index"])
        assert self.part.pop(event["output_index"]) == event["part"]

    def _whole(self, event: Json) -> None:
        assert event["output_index"] not in self.said, "told in full twice"
        self.said.add(event["output_index"])

    def _content_part_added(self, event: Json) -> None:
        self._item(event, "message")
        part = event["part"]
        assert part.get("text", part.get("refusal")) == ""
        self._part_added(event, "content", event["content_index"])

    def _content_part_done(self, event: Json) -> None:
        item = self._item(event, "message")
        assert event["content_index"] == len(item["content"]) - 1
        self._part_done(event)

    def _output_text_delta(self, event: Json) -> None:
        part = self._spoken(event, "output_text")
        part["text"] += event["delta"]
        part["logprobs"] = [*part["logprobs"], *(_with_bytes(entry) for entry in event["logprobs"])]

    def _output_text_done(self, event: Json) -> None:
        assert self._spoken(event, "output_text")["text"] == event["text"]
        self._whole(event)

    def _output_text_annotation_added(self, event: Json) -> None:
        part = self._spoken(event, "output_text")
        assert event["annotation_index"] == len(part["annotations"])
        part["annotations"] = [*part["annotations"], event["annotation"]]

    def _refusal_delta(self, event: Json) -> None:
        self._spoken(event, "refusal")["refusal"] += event["delta"]

    def _refusal_done(self, event: Json) -> None:
        assert self._spoken(event, "refusal")["refusal"] == event["refusal"]
        self._whole(event)

    def _spoken(self, event: Json, kind: str) -> Json:
        item = self._item(event, "message")
        assert event["content_index"] == len(item["content"]) - 1
        part = self.part[event["output_index"]]
        assert part["type"] == kind
        return part

    def _reasoning_summary_part_added(self, event: Json) -> None:
        self._item(event, "reasoning")
        self._part_added(event, "summary", event["summary_index"])

    def _reasoning_summary_text_delta(self, event: Json) -> None:
        self._item(event, "reasoning")
        self.part[event["output_index"]]["text"] += event["delta"]

    def _reasoning_summary_text_done(self, event: Json) -> None:
        assert self.part[event["output_index"]]["text"] == event["text"]
        self._whole(event)

    def _reasoning_summary_part_done(self, event: Json) -> None:
        self._item(event, "reasoning")
        self._part_done(event)

    def _function_call_arguments_delta(self, event: Json) -> None:
        self._item(event, "function_call")["arguments"] += event["delta"]

    def _function_call_arguments_done(self, event: Json) -> None:
        assert self._item(event, "function_call")["arguments"] == event["arguments"]
        self._whole(event)


def _with_bytes(entry: Json) -> Json:
    """An entry of a delta as it stands in the finished text."""
    return {
        "token": entry["token"],
        "bytes": list(entry["token"].encode()),
        "logprob": entry["logprob"],
        "top_logprobs": [{**other, "bytes": list(other["token"].encode())} for other in entry["top_logprobs"]],
    }


def followed(events: list[Json]) -> Client:
    """The client after all of them; the stream must have ended."""
    client = Client()
    for event in events:
        client.take(event)
    assert client.ended, "no last event"
    return client
