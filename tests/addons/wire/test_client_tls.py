from __future__ import annotations

import pytest
from mitmproxy.proxy import commands, events

from addons.wire.client_tls import HELLO_LIMIT, BoundedClientTls
from tests.addons.layers import context, names, play

RECORD = b"\x16\x03\x01\x40\x00"
BEGINNING = RECORD + b"\x01\xff\xff\xff" + b"x" * (0x4000 - 4)  # of a hello of sixteen megabytes
MORE = RECORD + b"x" * 0x4000


@pytest.mark.parametrize(("records", "closed"), [(3, False), (4, True), (9, True)])
def test_a_hello_is_kept_up_to_a_bound(records: int, closed: bool) -> None:
    made = context()
    made.layers.append(object())  # type: ignore[arg-type]
    layer = BoundedClientTls(made)
    play(layer, events.Start())
    sent = [BEGINNING, *[MORE] * (records - 1)]
    done = play(layer, *(events.DataReceived(made.client, piece) for piece in sent))
    assert ("TlsFailedClientHook" in names(done)) is closed
    assert len(layer.recv_buffer) <= HELLO_LIMIT


def test_what_comes_after_a_refused_hello_is_nobodys() -> None:
    made = context()
    made.layers.append(object())  # type: ignore[arg-type]
    layer = BoundedClientTls(made)
    play(layer, events.Start())
    done = play(layer, *(events.DataReceived(made.client, piece) for piece in [BEGINNING, *[MORE] * 3]))
    hook = next(command for command in done if isinstance(command, commands.StartHook))
    play(layer, events.HookCompleted(hook))
    assert play(layer, events.DataReceived(made.client, MORE)) == []
