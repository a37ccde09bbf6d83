"""Plans that were followed before are let go of when no request is on its way to its answer under them."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import cast

from mitmproxy import http

from addons.exchange import Exchanges
from addons.former import Former
from llmauth.gateway import Gateway
from tests.addons.exchanges import begun, plan


async def test_who_waits_for_an_answer_keeps_its_plan() -> None:
    told: list[list[object]] = []

    async def let_go(needed: list[object]) -> None:
        told.append(needed)

    exchanges, old, now = Exchanges(), plan(), plan()
    gateway = SimpleNamespace(has_former=False, let_go=let_go)
    former = Former(cast(Gateway, gateway), exchanges)
    waiting, _ = begun(exchanges, plan=old)
    begun(exchanges, plan=now, resp=True)  # its answer has begun, and may go on for an hour
    former.look(0.0)
    gateway.has_former = True
    former.look(0.0)
    waiting.response = http.Response.make(200)
    former.look(0.0)
    await asyncio.sleep(0)
    assert told == [[old], []]
