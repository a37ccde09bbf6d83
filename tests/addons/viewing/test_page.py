"""The page may be looked at by whoever has its token, from this machine; other pages may not ask, and nobody may steer.

A9: mitmweb's own page can edit, replay, upload, set options and run commands.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import partial
from io import BytesIO
from types import SimpleNamespace
from typing import Any

import pytest
import tornado.httpclient
import tornado.netutil
import tornado.websocket
from mitmproxy import io, options
from mitmproxy.test import tflow, tutils

from addons.viewing import page as module
from addons.viewing.listed import Listed
from addons.viewing.page import Page, Password, end, guarded, server
from tests.fixtures.webpage import Said, ask, by_token

UPDATES = "/updates"


@dataclass
class Site:
    port: int
    token: str
    listed: Listed
    page: Page

    async def ask(
        self, method: str, path: str, headers: dict[str, str] | None = None, content: Any = None, **more: Any
    ) -> Said:
        headers = by_token(self.token) if headers is None else headers
        return await asyncio.to_thread(partial(ask, self.port, method, path, headers, content, **more))

    async def listen(self, **headers: str) -> tornado.websocket.WebSocketClientConnection:
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        request = tornado.httpclient.HTTPRequest(f"ws://127.0.0.1:{self.port}{UPDATES}", headers=given)
        return await tornado.websocket.websocket_connect(request)


@pytest.fixture
async def site(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Site]:
    """A page over a master of which it may see the options, with one flow."""
    sockets = tornado.netutil.bind_sockets(0, "127.0.0.1")
    port, password, listed = sockets[0].getsockname()[1], Password(), Listed()
    behind = SimpleNamespace(options=options.Options(), proxyserver=SimpleNamespace(servers=[]))
    made = Page(behind, listed, port, password)
    listed.put(tflow.tflow(req=tutils.treq(path=b"/<script>"), resp=True))
    answering = server(made)
    answering.add_sockets(sockets)
    yield Site(port, password.text, listed, made)
    end([answering])


LOOKS = ("/", "/flows", "/flows.json", "/flows/dump", "/options", "/commands", "/events", "/state", "/filter-help")


@pytest.mark.parametrize("path", LOOKS)
async def test_it_may_be_looked_at(site: Site, path: str) -> None:
    said = await site.ask("GET", path)
    assert said.status == 200
    assert said.headers["Cache-Control"] == "no-store"
    assert said.headers["Referrer-Policy"] == "no-referrer"
    assert said.headers["X-Frame-Options"] == "DENY"


@pytest.mark.parametrize(
    "headers", [{}, {"Authorization": "Bearer wrong"}, {"Authorization": "Bearer \xff"}, {"Cookie": "llmauth-web=y"}]
)
async def test_nobody_without_the_token(site: Site, headers: dict[str, str]) -> None:
    number = next(iter(site.listed)).id
    for path in (*LOOKS, f"/flows/{number}/request/content.data", f"/flows/{number}/response/content/raw", UPDATES):
        said = await site.ask("GET", path, headers)
        assert said.status == 403, path
        assert number.encode() not in said.body
    assert (await site.ask("GET", "/?token=wrong", {})).status == 403
    with pytest.raises(tornado.httpclient.HTTPError, match="403"):
        await site.listen()


async def test_the_token_opens_and_leaves_the_address(site: Site) -> None:
    """An address stands in the history of a browser, and on pictures of it."""
    said = await site.ask("GET", f"/?token={site.token}", {})
    assert (said.status, said.headers["Location"]) == (303, "/")
    cookie = said.headers["Set-Cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=Strict" in cookie
    assert site.token not in cookie
    opened = await site.ask("GET", "/flows", {"Cookie": cookie.partition(";")[0]})
    assert len(opened.json) == 1


@pytest.mark.parametrize(
    "host",
    [
        "evil.example",
        "evil.example:{port}",
        "127.0.0.1",
        "127.0.0.1:{port}.evil.example",
        "localhost.evil:{port}",
        "0.0.0.0:{port}",
    ],
)
@pytest.mark.parametrize("path", ["/", "/flows", "/static/favicon.ico", UPDATES])
async def test_no_other_name_leads_here(site: Site, host: str, path: str) -> None:
    """A name of an attacker's that was made to lead to loopback, for its own page to read what is here."""
    host = host.format(port=site.port)
    said = await site.ask("GET", path, {**by_token(site.token), "Origin": f"http://{host}"}, host=host)
    assert said.status == 403
    assert b"loopback" in said.body or b"127.0.0.1 and localhost" in said.body


ELSEWHERE = [
    {"Origin": "http://evil.example"},
    {"Origin": "null"},
    {"Origin": "http://127.0.0.1:1"},
    {"Origin": "https://127.0.0.1:{port}"},
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "cors"},
]


@pytest.mark.parametrize("from_", ELSEWHERE, ids=str)
async def test_no_other_page_may_ask(site: Site, from_: dict[str, str]) -> None:
    from_ = {name: value.format(port=site.port) for name, value in from_.items()}
    for path in ("/flows", "/flows/dump", UPDATES, "/options"):
        assert (await site.ask("GET", path, {**by_token(site.token), **from_})).status == 403
    assert (await site.ask("POST", "/", {**by_token(site.token), **from_}, b"token=x")).status == 403


async def test_another_page_may_not_listen(site: Site) -> None:
    """A WebSocket knows no same-origin policy: the browser of a victim would open it, with the victim's cookies."""
    own = {"Authorization": f"Bearer {site.token}"}
    for origin in ("http://evil.example", f"http://evil.example:{site.port}", "null"):
        with pytest.raises(tornado.httpclient.HTTPError, match="403"):
            await site.listen(**own, Origin=origin)
    connection = await site.listen(**own, Origin=f"http://127.0.0.1:{site.port}")
    site.listed.put(tflow.tflow())
    assert "flows/add" in str(await connection.read_message())
    connection.close()


async def test_a_link_may_be_followed_here(site: Site) -> None:
    clicked = {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}
    assert (await site.ask("GET", f"/?token={site.token}", clicked)).status == 303
    assert (await site.ask("GET", "/flows", {**by_token(site.token), **clicked})).status == 403


STEERS = [
    ("PUT", "/flows/{id}", {"request": {"host": "evil.example"}}),
    ("DELETE", "/flows/{id}", None),
    ("POST", "/flows/{id}/replay", {}),
    ("POST", "/flows/{id}/duplicate", {}),
    ("POST", "/flows/{id}/revert", {}),
    ("POST", "/flows/{id}/resume", {}),
    ("POST", "/flows/{id}/kill", {}),
    ("POST", "/flows/{id}/request/content.data", b"x"),
    ("POST", "/flows/dump", b"x"),
    ("POST", "/flows/resume", {}),
    ("POST", "/flows/kill", {}),
    ("POST", "/clear", {}),
    ("PUT", "/options", {"ssl_insecure": True}),
    ("POST", "/options/save", {}),
    ("POST", "/commands/set", {"arguments": ["ssl_insecure", "true"]}),
    ("POST", "/commands/script.run", {"arguments": ["@all", "/x.py"]}),
    ("POST", "/flows", {}),
    ("PATCH", "/", {}),
    ("OPTIONS", "/flows", None),
    ("TRACE", "/", None),
    ("GET", "/processes", None),
    ("GET", "/executable-icon?path=/bin/sh", None),
    ("GET", "/commands/set", None),
    ("GET", "/clear", None),
]


@pytest.mark.parametrize(("method", "path", "content"), STEERS, ids=lambda each: str(each)[:40])
async def test_nobody_may_steer(site: Site, method: str, path: str, content: Any) -> None:
    """Whoever has the token and comes from the page itself included."""
    (flow,) = site.listed
    before = flow.get_state()
    own = {**by_token(site.token), "Origin": f"http://127.0.0.1:{site.port}", "Sec-Fetch-Site": "same-origin"}
    said = await site.ask(method, path.format(id=flow.id), own, content)
    assert said.status in (403, 404)
    assert [each.get_state() for each in site.listed] == [before]
    assert site.page.master.options.ssl_insecure is False


async def test_what_is_steered_without_the_pages_own_mark_is_refused(site: Site) -> None:
    own = {"Authorization": f"Bearer {site.token}"}
    assert (await site.ask("POST", "/", own, b"x")).status == 403


async def test_options_that_could_open_something_are_not_told(site: Site) -> None:
    told = (await site.ask("GET", "/options.json")).json
    assert not [name for name in told if any(word in name for word in ("auth", "password", "cert", "key"))]
    assert told["web_columns"]["value"] == ["method", "path", "status", "comment", "size", "time"]


async def test_much_is_not_taken_in(site: Site) -> None:
    """mitmweb's own server would read 4 GiB of anybody's before it asks who that is."""
    reader, writer = await asyncio.open_connection("127.0.0.1", site.port)
    writer.write(f"POST / HTTP/1.1\r\nHost: 127.0.0.1:{site.port}\r\nContent-Length: 100000000\r\n\r\n".encode())
    assert (await asyncio.wait_for(reader.read(), 5)).startswith((b"HTTP/1.1 4", b""))
    writer.close()


async def test_no_line_of_the_log_tells_the_token(site: Site, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    for path in (f"/?token={site.token}", f"/flows?token={site.token}", f"/nowhere?token={site.token}"):
        await site.ask("GET", path, {})
    await site.ask("POST", f"/?token={site.token}", {}, b"x")
    await site.ask("GET", f"/flows/{next(iter(site.listed)).id}/messages/content/raw?token={site.token}", {})
    assert site.token not in caplog.text


async def test_there_are_so_many_viewers_and_none_that_does_not_read(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = {"Authorization": f"Bearer {site.token}"}
    monkeypatch.setattr(module, "_VIEWERS", 1)
    first, second = await site.listen(**own), await site.listen(**own)
    assert await asyncio.wait_for(second.read_message(), 5) is None
    monkeypatch.setattr(module, "_UNREAD", 5)
    flow = tflow.tflow()
    for _ in range(20):
        site.listed.put(flow)
    heard = 0
    while await asyncio.wait_for(first.read_message(), 5) is not None:
        heard += 1
    assert heard < 20, "it was sent away before all was told"
    first.close()
    second.close()


async def test_what_is_saved_can_be_read_by_mitmproxy(site: Site) -> None:
    flows = io.FlowReader(BytesIO((await site.ask("GET", "/flows/dump")).body)).stream()
    assert [flow.id for flow in flows] == [flow.id for flow in site.listed]


async def test_its_own_looks(site: Site) -> None:
    assert b"<style>" in (await site.ask("GET", "/")).body


def test_passwords() -> None:
    password = Password()
    assert password(password.text)
    assert not password("")
    assert not password("\ud800")
    assert len(password.text) == 32
    assert password.text != Password().text

    def raises(tried: str) -> bool:
        raise TypeError(tried)

    assert guarded(raises)("x") is False
    assert guarded(lambda tried: tried == "x")("x") is True
