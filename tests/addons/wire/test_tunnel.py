"""The relay of a tunnel: what comes in on one side goes out on the other, and so does its end."""

from __future__ import annotations

from typing import Any

import pytest
from mitmproxy.connection import Connection, ConnectionState
from mitmproxy.proxy import commands, events

from addons.wire.tunnel import Splice, Tunnel, TunnelRelay, dig, tunnel_of
from llmauth.addresses import HostPort
from llmauth.context import Identity
from tests.addons.layers import context, flow, play

Side = str
OTHER = {"client": "server", "server": "client"}


class Between:
    """A relay between two open connections."""

    def __init__(self, *, watched: bool = True, error: str | None = None) -> None:
        self.context = context()
        identity = Identity(user="alice", method="api_key")
        self.tunnel = Tunnel(target=HostPort("git.example", 443), identity=identity, request_id="id-1", flow=flow())
        self.tunnel.opened = 1.0 if watched else None
        self.context.client.error = error
        self.relay = TunnelRelay(self.context, self.tunnel)
        self.begun = play(self.relay, events.Start())

    def side(self, name: Side) -> Connection:
        return self.context.client if name == "client" else self.context.server

    def sends(self, name: Side, data: bytes) -> list[commands.Command]:
        return play(self.relay, events.DataReceived(self.side(name), data))

    def ends(self, name: Side, state: ConnectionState = ConnectionState.CAN_WRITE) -> list[commands.Command]:
        """One side has told its end; what was closed towards it stays closed."""
        self.side(name).state &= state
        return play(self.relay, events.ConnectionClosed(self.side(name)))


@pytest.fixture
def between() -> Between:
    return Between()


def test_each_direction_goes_at_its_own_pace(between: Between) -> None:
    assert [type(command) for command in between.begun] == [Splice]


@pytest.mark.parametrize("name", ["client", "server"])
def test_bytes_go_to_the_other_side_and_are_counted(between: Between, name: Side) -> None:
    (command,) = between.sends(name, b"\x16\0abc")
    assert isinstance(command, commands.SendData)
    assert (command.connection, command.data) == (between.side(OTHER[name]), b"\x16\0abc")
    assert (between.tunnel.sent, between.tunnel.received) == ((5, 0) if name == "client" else (0, 5))


@pytest.mark.parametrize("name", ["client", "server"])
def test_one_end_is_told_as_such_and_the_second_closes_both(between: Between, name: Side) -> None:
    (half,) = between.ends(name)
    assert isinstance(half, commands.CloseTcpConnection)
    assert half.half_close
    assert half.connection is between.side(OTHER[name])
    between.side(OTHER[name]).state &= ~ConnectionState.CAN_WRITE
    closed = between.ends(OTHER[name])
    assert between.side(name) in [each.connection for each in closed if isinstance(each, commands.CloseConnection)]
    assert between.tunnel.ended_by == ("client" if name == "client" else "host")


@pytest.mark.parametrize("name", ["client", "server"])
def test_a_side_that_is_gone_altogether_takes_the_other_with_it(between: Between, name: Side) -> None:
    (closed,) = between.ends(name, ConnectionState.CLOSED)
    assert isinstance(closed, commands.CloseConnection)
    assert not isinstance(closed, commands.CloseTcpConnection)
    assert closed.connection is between.side(OTHER[name])


def test_what_we_ended_keeps_our_reason(between: Between) -> None:
    between.tunnel.ended_by = "key"
    between.ends("server", ConnectionState.CLOSED)
    assert between.tunnel.ended_by == "key"


@pytest.mark.parametrize("failed", [{"watched": False}, {"error": "a hook failed"}])
def test_a_tunnel_that_nobody_watches_is_closed(failed: dict[str, Any]) -> None:
    """F1: the hook by which a tunnel is registered may fail like any other."""
    between = Between(**failed)
    closed = [command for command in between.begun if isinstance(command, commands.CloseConnection)]
    assert [command.connection for command in closed] == [between.context.server, between.context.client]


def test_a_connect_leads_to_a_tunnel_only_where_one_was_dug(between: Between) -> None:
    assert tunnel_of(flow()) is None
    dig(between.tunnel)
    assert tunnel_of(between.tunnel.flow) is between.tunnel
