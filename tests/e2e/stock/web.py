"""mitmweb's API, as its own page uses it."""

from __future__ import annotations

import re
from typing import Any

from tests.fixtures import webpage
from tests.fixtures.calls import eventually
from tests.fixtures.serving import Serving
from tests.fixtures.webpage import Said

_ADDRESS = re.compile(r"Flows are shown at http://127\.0\.0\.1:(\d+)/\?token=([0-9a-f]+)")


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
        headers = webpage.by_token(self.token if token is None else token)
        return webpage.ask(self.port, method, path, headers, content)

    def option(self, name: str) -> Any:
        """The value of an option."""
        return self.ask("GET", "/options.json").json[name]["value"]

    def flows(self) -> list[dict[str, Any]]:
        """All flows that are shown."""
        found: list[dict[str, Any]] = self.ask("GET", "/flows.json").json
        return found

    def everything(self) -> bytes:
        """All that the API gives."""
        return webpage.everything(self.port, self.token)
