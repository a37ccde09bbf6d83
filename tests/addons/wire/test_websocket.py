"""The relay: bytes pass as they are, and what it says itself stands between two frames or nowhere."""

from __future__ import annotations

from typing import Any

import pytest
from mitmproxy.proxy import commands, events

from addons.wire.websocket import (
    FAREWELL,
    REST_OF_FRAME,
    UNREAD,
    BothWays,
    Cut,
    End,
    Hasten,
    Order,
    Ping,
    Relay,
    SocketClosedHook,
    SocketOrder,
    let_in,
    traffic_of,
)
from llmauth.demo.websocket import BINARY, CLOSE, PING, TEXT, Frames, render
from llmauth.websocket.frames import Code
from tests.addons.layers import context, flow, play
from tests.fixtures.sockets import frame

WHY = End(Code.POLICY_VIOLATION, "why")
GOODBYE = b"\x88\x05\x03\xf0why"


class Between:
    """A relay with what it wants done, by side."""

    def __init__(self) -> None:
        self.context = context()
        self.flow = flow(resp=True)
        let_in(self.flow)
        self.relay = Relay(self.context, self.flow)
        assert [type(each) for each in play(self.relay, events.Start())] == [BothWays]
        self.to_client = self.to_server = b""
        self.closed: list[str] = []
        self.hastened: list[float] = []
        self.wakeups: list[commands.RequestWakeup] = []
        self.told = 0

    def happen(self, event: events.Event) -> None:
        waiting = [event]
        while waiting:
            for command in self.relay.handle_event(waiting.pop(0)):
                waiting += self._obey(command)

    def _obey(self, command: commands.Command) -> list[events.Event]:
        match command:
            case commands.SendData() if command.connection is self.context.client:
                self.to_client += command.data
            case commands.SendData():
                self.to_server += command.data
            case commands.CloseConnection():
                self.closed.append("client" if command.connection is self.context.client else "server")
            case Hasten():
                self.hastened.append(command.seconds)
            case commands.RequestWakeup():
                self.wakeups.append(command)
            case SocketClosedHook():
                self.told += 1
                return [events.HookCompleted(command)]
        return []

    def client(self, data: bytes) -> None:
        self.happen(events.DataReceived(self.context.client, data))

    def server(self, data: bytes) -> None:
        self.happen(events.DataReceived(self.context.server, data))

    def order(self, order: Order) -> None:
        self.happen(SocketOrder(self.flow, order))

    def wake(self) -> None:
        self.happen(events.Wakeup(self.wakeups[-1]))


@pytest.fixture
def between() -> Between:
    return Between()


def test_bytes_pass_as_they_are_and_are_counted(between: Between) -> None:
    sent, got = frame(TEXT, b"hello") + b"\x82", render(BINARY, bytes(300))[:100]
    between.client(sent)
    between.server(got)
    assert (between.to_server, between.to_client) == (sent, got)
    traffic = traffic_of(between.flow)
    assert traffic is not None
    assert (traffic.received, traffic.sent) == (len(sent), len(got))


@pytest.mark.parametrize("side", ["client", "server"])
def test_a_side_that_goes_without_a_word_takes_the_other_with_it(between: Between, side: str) -> None:
    between.happen(events.ConnectionClosed(getattr(between.context, side)))
    assert sorted(between.closed) == ["client", "server"]
    assert between.to_client == between.to_server == b"", "a goodbye that nobody said would make the cut look clean"
    assert between.told == 1
    assert between.flow.error is not None
    assert not between.flow.live


def test_a_slow_reader_has_its_time_for_what_was_said_before_the_goodbye(between: Between) -> None:
    between.server(render(BINARY, bytes(300)) + render(CLOSE, b""))
    between.happen(events.ConnectionClosed(between.context.server))
    assert between.hastened == []


def test_a_goodbye_of_either_side_is_no_cut(between: Between) -> None:
    between.client(frame(CLOSE, b""))
    between.happen(events.ConnectionClosed(between.context.client))
    assert between.flow.error is None


def test_an_ordered_end_is_said_to_both_sides(between: Between) -> None:
    between.order(WHY)
    assert between.to_client == GOODBYE
    (said,) = Frames().feed(between.to_server)
    assert (said.opcode, said.payload) == (CLOSE, (1001).to_bytes(2))
    assert between.closed == ["server"]
    assert between.wakeups[-1].delay == FAREWELL
    between.client(frame(TEXT, b"one more"))
    between.server(render(TEXT, b"one more"))
    assert between.to_client == GOODBYE, "nothing passes any more"
    between.client(frame(CLOSE, b""))
    assert between.closed[-1] == "client"
    assert (between.told, between.flow.error) == (1, None)
    between.wake()
    assert between.told == 1


def test_a_client_that_does_not_answer_is_closed_all_the_same(between: Between) -> None:
    between.order(WHY)
    between.wake()
    assert between.closed[-1] == "client"
    assert between.hastened == [UNREAD]


def test_an_end_in_the_middle_of_a_frame_waits_for_its_rest(between: Between) -> None:
    whole, more = render(BINARY, bytes(300)), render(BINARY, b"not any more")
    between.server(whole[:100])
    between.order(WHY)
    assert between.to_client == whole[:100]
    between.server(whole[100:] + more)
    assert between.to_client == whole + GOODBYE


def test_the_farewell_has_its_own_time_however_late_the_rest_came(between: Between) -> None:
    whole = render(BINARY, bytes(300))
    between.server(whole[:100])
    between.order(WHY)
    (for_the_rest,) = between.wakeups
    between.server(whole[100:])
    between.happen(events.Wakeup(for_the_rest))
    assert between.closed == ["server"], "the client has not answered yet"
    between.wake()
    assert between.closed[-1] == "client"


def test_and_not_for_long(between: Between) -> None:
    between.server(render(BINARY, bytes(300))[:100])
    between.order(WHY)
    assert between.wakeups[-1].delay == REST_OF_FRAME
    between.wake()
    assert sorted(between.closed) == ["client", "server"]
    assert between.hastened == [0.0]
    assert len(between.to_client) == 100, "a word in the middle of a frame would be read as a part of it"
    assert between.flow.error is not None


def test_the_provider_is_told_nothing_in_the_middle_of_a_frame(between: Between) -> None:
    between.client(frame(BINARY, bytes(300))[:100])
    before = between.to_server
    between.order(WHY)
    assert between.to_server == before
    assert "server" in between.closed


def test_who_said_goodbye_is_not_answered_twice(between: Between) -> None:
    between.server(render(CLOSE, b""))
    between.client(frame(CLOSE, b""))
    before = between.to_client, between.to_server
    between.order(WHY)
    assert (between.to_client, between.to_server) == before


def test_a_second_order_changes_nothing(between: Between) -> None:
    between.order(WHY)
    between.order(End(Code.GOING_AWAY, "later"))
    assert between.to_client == GOODBYE


@pytest.mark.parametrize("client", [True, False])
def test_a_ping_is_put_between_two_frames(between: Between, client: bool) -> None:
    between.order(Ping(client))
    if client:
        assert between.to_client == render(PING, b"")
    else:
        assert [each.opcode for each in Frames().feed(between.to_server)] == [PING]
    (between.server if client else between.client)(b"\x82")
    before = between.to_client, between.to_server
    between.order(Ping(client))
    assert (between.to_client, between.to_server) == before, "in the middle of a frame"


def test_a_cut_is_one(between: Between) -> None:
    between.order(Cut())
    assert sorted(between.closed) == ["client", "server"]
    assert between.flow.error is not None


def test_a_flow_that_nobody_let_in_has_no_traffic() -> None:
    made: Any = flow(resp=True)
    assert traffic_of(made) is None
    with pytest.raises(KeyError):
        Relay(context(), made)
