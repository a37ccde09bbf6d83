from __future__ import annotations

from mitmproxy.proxy import commands

from addons.wire.signals import Stopped, WhenWritten
from llmauth.errors import BodyTooLarge
from tests.addons.layers import client


def test_layers_lead_the_answer_back_as_that_of_a_wakeup() -> None:
    """HttpLayer remembers who asked for a wakeup, and for nothing else that does not block."""
    command = WhenWritten(client())
    assert isinstance(command, commands.RequestWakeup)
    assert command.blocking is False


def test_a_stopped_request_has_its_refusal_with_it() -> None:
    error = BodyTooLarge("It is too large.")
    assert (Stopped(error).error, Stopped(error).msg) == (error, "It is too large.")
