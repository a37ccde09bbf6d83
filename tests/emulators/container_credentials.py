"""The agent beside a container: EKS Pod Identity's, or that of ECS. It gives the keys of the container's role.

It refuses every path but its own, and, where it wants a token, whatever does not show that very token as the whole of
`Authorization`, without a scheme.
"""

from __future__ import annotations

import time
from datetime import UTC, datetime
from typing import Any

from tests.emulators.service import Call, Reply, Service

POD_IDENTITY = "/v1/credentials"
ECS = "/v2/credentials/5e0d1c3a-0000-4000-8000-000000000001"


class ContainerCredentials(Service):
    """`path` is what it serves, `token` what it wants to be shown (`None` for ECS); `life` what its keys live."""

    def __init__(
        self, *, path: str = POD_IDENTITY, token: str | None = "pod.identity.token", life: float = 21600
    ) -> None:
        super().__init__()
        self.path = path
        self.token = token
        self.life = life
        self.generation = 0
        self.ends = 0.0

    def rotate(self) -> None:
        """From now on, give other keys."""
        self.generation += 1

    @property
    def access_key_id(self) -> str:
        """That of the keys that it gives at this time."""
        return f"ASIAPOD{self.generation:09d}"

    def refusal(self, call: Call) -> Reply:
        return Reply(401, {"code": "AccessDeniedException", "message": "canary-7f3a"})

    def answer(self, call: Call) -> Reply:
        if call.path != self.path:
            return Reply(404, {"code": "NotFound", "message": "canary-7f3a"})
        if call.method != "GET":
            return Reply(405, b"")
        if self.token is not None and call.headers.get("authorization") != self.token:
            return self.refusal(call)
        return Reply(200, self._keys())

    def _keys(self) -> dict[str, Any]:
        self.ends = float(int(time.time() + self.life))
        return {
            "AccessKeyId": self.access_key_id,
            "SecretAccessKey": f"canary-secret-{self.generation}",
            "Token": f"canary-token-{self.generation}",
            "AccountId": "123456789012",
            "Expiration": datetime.fromtimestamp(self.ends, UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        }
