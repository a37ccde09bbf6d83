"""mitmweb's page without all that steers: it may be looked at, from this machine, by whoever has its token."""

from __future__ import annotations

import asyncio
import hmac
import logging
import os
import secrets
from collections.abc import Callable, Collection, Mapping
from typing import Any, Protocol

import tornado.httpserver
import tornado.httputil
import tornado.web
import tornado.websocket
from mitmproxy import optmanager
from mitmproxy.tools.web import app

from addons.viewing.contentview import offer
from addons.viewing.listed import Listed
from addons.viewing.look import dressed

_LOOKS = ("GET", "HEAD")
_ENTRANCE = "/"
# Whatever else mitmweb has is not here: commands, replay, edits, uploads, the list of this machine's processes.
_FLOW = r"/flows/(?P<flow_id>[0-9a-f\-]+)/(?P<message>request|response)"

_FROM_HERE = ("same-origin", "none")
_QUIET = ("tornado.access", "tornado.general", "tornado.application")  # their lines hold addresses, and these the token
_BODY = 64 * 1024
_HEAD = 16 * 1024
_PATIENCE = 15.0  # seconds for a request; a page that looks on keeps its WebSocket, which these do not touch
_VIEWERS = 16
_UNREAD = 1024  # messages that wait for a viewer, before it is sent away
# Options that hold, or could hold, what opens something.
_HIDDEN = ("password", "auth", "key", "cert")
# What the page shows beside its own defaults.
_COLUMNS = ["method", "path", "status", "comment", "size", "time"]


class Behind(Protocol):
    """The master whose flows are shown, as mitmweb's handlers ask it."""

    options: Any
    proxyserver: Any


class _Watched:
    """What the handlers of mitmweb may reach: a list to look at, and in the place of all else nothing."""

    def __init__(self, behind: Behind, listed: Listed) -> None:
        self._behind = behind
        self.view = listed
        self.events: tuple[()] = ()
        self.options = behind.options

    @property
    def proxyserver(self) -> Any:
        return self._behind.proxyserver


class Page(tornado.web.Application):
    """`port` is where it will be found, `is_password` tells whether somebody may look."""

    def __init__(self, behind: Behind, listed: Listed, port: int, is_password: Callable[[str], bool]) -> None:
        offer()
        for name in _QUIET:
            logging.getLogger(name).disabled = True
        self.master = _Watched(behind, listed)
        self._hosts = frozenset(f"{name}:{port}" for name in ("127.0.0.1", "localhost", "[::1]"))
        folder = os.path.dirname(app.__file__)
        super().__init__(
            [
                (r"/", _Index),
                (r"/filter-help(?:\.json)?", app.FilterHelp),
                (r"/updates", _Updates),
                (r"/commands(?:\.json)?", _Nothing),
                (r"/events(?:\.json)?", _NoEvents),
                (r"/flows(?:\.json)?", app.Flows),
                (r"/flows/dump", app.DumpFlows),
                (_FLOW + r"/content.data", app.FlowContent),
                (_FLOW + r"/content/(?P<content_view>[0-9a-zA-Z\-\_%]+)(?:\.json)?", app.FlowContentView),
                (r"/options(?:\.json)?", _Options),
                (r"/state(?:\.json)?", app.State),
            ],
            template_path=os.path.join(folder, "templates"),
            static_path=os.path.join(folder, "static"),
            xsrf_cookies=True,
            xsrf_cookie_name="_mitmproxy_xsrf",
            xsrf_cookie_kwargs={"samesite": "Strict"},
            cookie_secret=secrets.token_bytes(32),
            autoreload=False,
            compiled_template_cache=False,
            transforms=[_Private, app.GZipContentAndFlowFiles],
            log_function=_tell_nobody,
            is_valid_password=is_password,
            auth_cookie_name=lambda: f"llmauth-web-{port}",
        )

    def find_handler(self, request: tornado.httputil.HTTPServerRequest, **more: Any) -> Any:
        """Every request passes here before anything of it is looked at, those for static files as well."""
        refused = self._refusal(request)
        if refused is not None:
            return self.get_handler_delegate(request, _Refused, {"sentence": refused})
        return super().find_handler(request, **more)

    def _refusal(self, request: tornado.httputil.HTTPServerRequest) -> str | None:
        headers, entering = request.headers, request.path == _ENTRANCE
        host = headers.get("Host", "")
        if host not in self._hosts:
            # A name that was made to lead here is another origin for the browser, and this is how it is told.
            return "This page answers to 127.0.0.1 and localhost alone."
        origin = headers.get("Origin")
        if origin is not None and origin != f"http://{host}":
            return "Other pages may not ask this one."
        site, mode = headers.get("Sec-Fetch-Site"), headers.get("Sec-Fetch-Mode")
        followed = entering and request.method == "GET" and mode in (None, "navigate")  # a link somewhere, clicked
        if site is not None and site not in _FROM_HERE and not followed:
            return "Other pages may not ask this one."
        if request.method not in _LOOKS and not (entering and request.method == "POST"):
            return "This page shows, and changes nothing."
        return None


def _tell_nobody(handler: tornado.web.RequestHandler) -> None:
    """No line for a request: its address may hold the token."""


class _Refused(tornado.web.RequestHandler):
    SUPPORTED_METHODS = (*tornado.web.RequestHandler.SUPPORTED_METHODS, "CONNECT", "TRACE")

    def initialize(self, sentence: str) -> None:
        self._sentence = sentence

    def check_xsrf_cookie(self) -> None:
        """It is refused anyway."""

    def prepare(self) -> None:
        self.set_status(403)
        self.set_header("Content-Type", "text/plain; charset=utf-8")
        self.finish(self._sentence + "\n")


class _Private(tornado.web.OutputTransform):
    """Nothing of it is kept by the browser, told to others, or taken into their pages."""

    def transform_first_chunk(
        self, status_code: int, headers: tornado.httputil.HTTPHeaders, chunk: bytes, finishing: bool
    ) -> tuple[int, tornado.httputil.HTTPHeaders, bytes]:
        """Add the fields that say so."""
        headers["Cache-Control"] = "no-store"
        headers["Referrer-Policy"] = "no-referrer"
        headers["Cross-Origin-Resource-Policy"] = "same-origin"
        headers["Cross-Origin-Opener-Policy"] = "same-origin"
        headers["X-Frame-Options"] = "DENY"
        headers["X-Content-Type-Options"] = "nosniff"
        return status_code, headers, chunk


class _Index(app.IndexHandler):
    """Whoever comes with the token in the address is led on without it: addresses are remembered, and shown around."""

    def get(self) -> None:
        self._enter()

    def post(self) -> None:
        self._enter()

    def _enter(self) -> None:
        if self.get_arguments("token"):
            self.redirect("/", status=303)
        else:
            self.write(dressed(self.render_string("../index.html")))


class _Nothing(app.RequestHandler):
    def get(self) -> None:
        self.write({})


class _NoEvents(app.RequestHandler):
    def get(self) -> None:
        self.write([])


class _Options(app.RequestHandler):
    """How the page looks, and the values of what cannot be changed."""

    def get(self) -> None:
        told: dict[str, Any] = optmanager.dump_dicts(self.master.options)
        for name in [name for name in told if any(word in name for word in _HIDDEN)]:
            del told[name]
        for server in self.master.proxyserver.servers:
            told["listen_host"] = _option(server.mode.listen_host())
            told["listen_port"] = _option(server.mode.listen_port())
            break
        told.setdefault("web_columns", _option(_COLUMNS))
        if told["web_columns"]["value"] == told["web_columns"]["default"]:
            told["web_columns"] = _option(_COLUMNS)
        self.write(told)


def _option(value: Any) -> Mapping[str, Any]:
    kind = "sequence of str" if isinstance(value, list) else type(value).__name__
    return {"type": kind, "default": value, "value": value, "help": "", "choices": None}


class _Updates(app.ClientConnection):
    """Tells of changes, to a few viewers that listen."""

    def open(self, *words: str, **more: str) -> None:
        super().open(*words, **more)
        if len(self.connections) > _VIEWERS:
            self.close(code=1013, reason="too many pages are open")

    def send(self, message: bytes) -> None:
        if self._send_queue.qsize() < _UNREAD:
            super().send(message)
        else:
            # Not at once: whoever sends is on its way through the viewers.
            asyncio.get_running_loop().call_soon(self._leave)

    def _leave(self) -> None:
        self.on_close()
        self.close(code=1013, reason="too slow")


class Password:
    """A token for one start of one page."""

    def __init__(self) -> None:
        self.text = secrets.token_hex(16)

    def __call__(self, tried: str) -> bool:
        return hmac.compare_digest(self.text.encode(), tried.encode("utf-8", "surrogatepass"))


def guarded(is_password: Callable[[str], bool]) -> Callable[[str], bool]:
    """mitmweb's own question, which raises for what it cannot compare."""

    def asked(tried: str) -> bool:
        try:
            return is_password(tried)
        except (TypeError, ValueError):
            return False

    return asked


def server(page: Page) -> tornado.httpserver.HTTPServer:
    """Answers for a page. mitmweb's own would take in 4 GiB from anybody before it asked who they are."""
    return tornado.httpserver.HTTPServer(
        page,
        max_body_size=_BODY,
        max_buffer_size=_BODY + _HEAD,
        max_header_size=_HEAD,
        idle_connection_timeout=_PATIENCE,
        body_timeout=_PATIENCE,
    )


def end(servers: Collection[tornado.httpserver.HTTPServer]) -> None:
    """Close the listeners, and say goodbye to those who look."""
    for one in servers:
        one.stop()
    for viewer in tuple(app.ClientConnection.connections):
        viewer.close(code=1001, reason="the gateway ends")
