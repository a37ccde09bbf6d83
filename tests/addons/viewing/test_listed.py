"""The list keeps copies in the order of their coming, and tells whoever looks on."""

from __future__ import annotations

import pytest
from mitmproxy.test import tflow
from mitmproxy.tools.web import app

from addons.viewing.listed import Listed


class Viewer:
    def __init__(self) -> None:
        self.heard: list[str] = []

    def send(self, message: bytes) -> None:
        self.heard.append(message.decode().partition('"type": "')[2].partition('"')[0])

    def _broadcast_flow(self, kind: str, *_: object) -> None:
        self.heard.append(kind)


def test_what_is_put_is_found_and_told(monkeypatch: pytest.MonkeyPatch) -> None:
    viewer = Viewer()
    monkeypatch.setattr(app.ClientConnection, "connections", {viewer})
    listed, first, second = Listed(), tflow.tflow(), tflow.tflow()
    listed.put(first)
    listed.put(second)
    listed.put(first)
    assert list(listed) == [first, second]
    assert listed.get_by_id(second.id) is second
    listed.take(first.id)
    listed.take(first.id)
    assert (list(listed), len(listed), listed.get_by_id(first.id)) == ([second], 1, None)
    assert viewer.heard == ["flows/add", "flows/add", "flows/update", "flows/remove"]
