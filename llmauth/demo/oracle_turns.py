"""What no table of Oracle's fields can say: calls of tools and their results belong together, in each format's way."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from llmauth.demo.shapes import Fault, Mismatch
from llmauth.demo.thoughts import of_call


def check_turns(request: dict[str, Any]) -> None:
    """Check the order of the turns; raises Mismatch."""
    _check_choice(request)
    if request["apiFormat"] == "COHERE":
        _check_history(request)
    else:
        _check_messages(request["messages"])


def _check_choice(request: dict[str, Any]) -> None:
    for name in ("toolChoice", "toolsChoice"):
        if name in request and not request.get("tools"):
            raise Mismatch(Fault.WRONG, "needs tools to choose from", name)


def _check_messages(messages: Sequence[dict[str, Any]]) -> None:
    """Every call of an assistant is answered once, by its id, before anybody else speaks."""
    waiting: set[str] = set()
    for position, message in enumerate(messages):
        place = f"chatRequest.messages[{position}]"
        if message["role"] == "TOOL":
            if message["toolCallId"] not in waiting:
                raise Mismatch(Fault.WRONG, "answers no call of the message before", f"{place}.toolCallId")
            waiting.remove(message["toolCallId"])
            continue
        _all_answered(waiting, place)
        waiting = {call["id"] for call in message.get("toolCalls") or ()}
        if len(waiting) != len(message.get("toolCalls") or ()):
            raise Mismatch(Fault.WRONG, "has two calls of one id", f"{place}.toolCalls")
    _all_answered(waiting, "chatRequest.messages")


def _all_answered(waiting: set[str], place: str) -> None:
    if waiting:
        raise Mismatch(Fault.WRONG, f"lacks a TOOL message for {', '.join(sorted(waiting))}", place)


def _check_history(request: dict[str, Any]) -> None:
    """Without ids, a result repeats the call it answers; the results that are new stand beside the history."""
    waiting: list[str] = []
    for position, turn in enumerate(request.get("chatHistory") or ()):
        place = f"chatRequest.chatHistory[{position}]"
        _check_results(turn.get("toolResults"), waiting, place)
        waiting = sorted(of_call(call["name"], call["parameters"]) for call in turn.get("toolCalls") or ())
    _check_results(request.get("toolResults"), waiting, "chatRequest")
    if "toolResults" not in request and not request["message"]:
        raise Mismatch(Fault.WRONG, "expected a string that is not empty", "chatRequest.message")
    if "toolResults" in request and request["message"] and not request.get("isForceSingleStep"):
        raise Mismatch(Fault.WRONG, "must be empty beside toolResults", "chatRequest.message")


def _check_results(results: Sequence[dict[str, Any]] | None, waiting: list[str], place: str) -> None:
    answered = sorted(of_call(one["call"]["name"], one["call"]["parameters"]) for one in results or ())
    if answered != waiting:
        wanted = "expected a result for each call of the CHATBOT turn before, and for nothing else"
        raise Mismatch(Fault.WRONG, wanted, f"{place}.toolResults")
