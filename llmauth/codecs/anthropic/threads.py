"""Threads, in which Anthropic itself keeps a conversation: nobody else does, and SDKs know how to go on without."""

from __future__ import annotations

from typing import Any

from llmauth.errors import UnsupportedParameter

# By this code of Anthropic's own the helpers of its SDKs know that the whole conversation has to be sent, and send it.
_CODE = "thread_unsupported_request"


def refuse_thread(thread: Any) -> None:
    """UnsupportedParameter where a request begins a thread, or goes on with one: it would hold its last turn alone."""
    if thread is None:
        return
    raise UnsupportedParameter(
        "'thread' leads to a conversation that only Anthropic keeps.",
        hint="Send all of its messages, and no 'thread'.",
        param="thread",
        code=_CODE,
    )
