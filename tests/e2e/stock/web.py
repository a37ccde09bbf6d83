"""mitmweb's API, as its own page uses it."""

from __future__ import annotations

import http.client
import json
import re
from dataclasses import dataclass
from typing import Any

from tests.fixtures.calls import eventually
from tests.fixtures.serving import Serving

_ADDRESS = re.compile(r"Flows are shown at http://127\.0\.0\.1:(\d+)/\?token=([0-9a-f]+)")
# What its page was told and sends back, against requests from other pages.
_XSRF = "0" * 32


@dataclass(frozen=True)
class Said:
    """An answer of the API."""

    status: int
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Web:
    """Whoever knows the token that mitmweb printed."""

    def __init__(self, gateway: Serving) -> None:
        self.gateway = gateway
        eventually(lambda: _ADDRESS.search(gateway.log()) is not None)
        found = _ADDRESS.search(gateway.log())
        assert found
        self.port, self.token = int(found[1]), found[2]

    def ask(self, method: str, path: str, content: Any = None, *, token: str | None = None) -> Said:
        """One request, with the token unless another is given."""
        body = content if isinstance(content, bytes) or content is None else json.dumps(content).encode()
        headers = {
            "Authorization": f"Bearer {self.token if token is None else token}",
            "Cookie": f"_mitmproxy_xsrf={_XSRF}",
            "X-XSRFToken": _XSRF,
            **({"Content-Type": "application/json"} if body is not None else {}),
        }
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=10)
        try:
            connection.request(method, path, body, headers)
            answer = connection.getresponse()
            return Said(answer.status, answer.read())
        finally:
            connection.close()

    def option(self, name: str) -> Any:
        """The value of an option."""
        return self.ask("GET", "/options.json").json[name]["value"]
