"""EC2's instance metadata service, second version: a token first, then the role of the instance profile, and its keys.

It refuses a PUT that names no life (1 s to 6 h) or came through a proxy, every GET without a token that is still good,
and roles that it does not have.
"""

from __future__ import annotations

import secrets
import time
from datetime import UTC, datetime
from typing import Any

from tests.emulators.service import Call, Reply, Service

TOKEN_PATH = "/latest/api/token"
ROLES = "/latest/meta-data/iam/security-credentials/"
_TEXT = {"Content-Type": "text/plain"}


class Imds(Service):
    """`role` is the name of its profile's role, `None` without one; `life` what its keys live, in seconds.

    `disabled` is a service that is turned off, `far` one behind more hops than the answer to a PUT may take. `code` is
    what it says of the keys: anything but `Success` is a role that EC2 may not assume.
    """

    def __init__(self, *, role: str | None = "node-role", life: float = 6 * 3600) -> None:
        super().__init__()
        self.role = role
        self.life = life
        self.code = "Success"
        self.disabled = False
        self.far = False
        self.generation = 0
        self.ends = 0.0
        self._tokens: dict[str, float] = {}

    def rotate(self) -> None:
        """From now on, give other keys."""
        self.generation += 1

    @property
    def access_key_id(self) -> str:
        """That of the keys that it gives at this time."""
        return f"ASIANODE{self.generation:08d}"

    def refusal(self, call: Call) -> Reply:
        return Reply(403, b"", _TEXT)

    def answer(self, call: Call) -> Reply:
        if call.path == TOKEN_PATH:
            return self._token(call)
        if self._tokens.get(call.headers.get("x-aws-ec2-metadata-token", ""), 0) < time.time():
            return Reply(401, b"", _TEXT)
        if call.method != "GET" or not call.path.startswith(ROLES) or self.role is None:
            return Reply(404, b"<?xml version='1.0'?><html>404 - Not Found</html>", {"Content-Type": "text/html"})
        name = call.path.removeprefix(ROLES)
        if not name:
            return Reply(200, self.role.encode(), _TEXT)
        return Reply(200, self._keys(), _TEXT) if name == self.role else Reply(404, b"", _TEXT)

    def _token(self, call: Call) -> Reply:
        if self.far:
            self._stopping.wait(60)
        if self.disabled or "x-forwarded-for" in call.headers:
            return Reply(403, b"", _TEXT)
        if call.method != "PUT":
            return Reply(405, b"", _TEXT)
        life = call.headers.get("x-aws-ec2-metadata-token-ttl-seconds", "")
        if not life.isdigit() or not 1 <= int(life) <= 21600:
            return Reply(400, b"", _TEXT)
        token = secrets.token_urlsafe(42) + "=="
        self._tokens[token] = time.time() + int(life)
        return Reply(200, token.encode(), {**_TEXT, "X-Aws-Ec2-Metadata-Token-Ttl-Seconds": life})

    def _keys(self) -> dict[str, Any]:
        if self.code != "Success":
            return {"Code": self.code, "Message": "canary-7f3a", "LastUpdated": _iso(time.time())}
        self.ends = float(int(time.time() + self.life))
        return {
            "Code": "Success",
            "LastUpdated": _iso(time.time()),
            "Type": "AWS-HMAC",
            "AccessKeyId": self.access_key_id,
            "SecretAccessKey": f"canary-secret-{self.generation}",
            "Token": f"canary-token-{self.generation}",
            "Expiration": _iso(self.ends),
        }


def _iso(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
