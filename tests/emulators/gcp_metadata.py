"""Google's metadata server, of a machine or of GKE, as strict as it is.

It refuses (403) whoever does not send `Metadata-Flavor: Google`, or comes through a proxy (`X-Forwarded-For`), and says
`Metadata-Flavor: Google` and who it is with every answer. It knows one account, `default` or by its address: the whole
of it with `recursive=true` and a slash at the end, its `email`, `scopes` and `aliases`, a `token`, which it keeps and
gives again until five minutes are left, and an `identity` for an `audience`.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import unquote

from tests.emulators.google_sts import CLOUD, Directory, rsa_key, signed
from tests.emulators.service import Call, Reply, Service

MACHINE, GKE = "Metadata Server for VM", "GKE Metadata Server"
POOL = "llm-project.svc.id.goog"
NODE_DEFAULT = "123456789012-compute@developer.gserviceaccount.com"
NODE_CUSTOM = "nodes@llm-project.iam.gserviceaccount.com"
WORKLOAD = "gateway@llm-project.iam.gserviceaccount.com"
_ROOT = "/computeMetadata/v1/"
_KEPT_UNTIL = 300


class GcpMetadata(Service):
    """One server; `email` is `None` on a machine without an account. `directory` knows the tokens that it gave."""

    def __init__(
        self,
        directory: Directory | None = None,
        *,
        email: str | None = WORKLOAD,
        server: str = MACHINE,
        scopes: Sequence[str] = (CLOUD, "https://www.googleapis.com/auth/userinfo.email"),
    ) -> None:
        super().__init__()
        self.directory = directory or Directory()
        self.email = email
        self.server = server
        self.scopes = list(scopes)
        self.bound = True
        self._kept: tuple[str, float] | None = None

    @property
    def environ(self) -> dict[str, str]:
        """What leads a client here."""
        return {"GCE_METADATA_HOST": f"127.0.0.1:{self.port}", "GCE_METADATA_IP": f"127.0.0.1:{self.port}"}

    def answer(self, call: Call) -> Reply:
        if call.headers.get("metadata-flavor") != "Google" or "x-forwarded-for" in call.headers:
            return self._said(Reply(403, b"forbidden", {"Content-Type": "text/html"}))
        if call.method != "GET":
            return self._said(Reply(405, b"", {"Content-Type": "text/html"}))
        return self._said(self._found(call))

    def refusal(self, call: Call) -> Reply:
        return self._said(Reply(403, b"canary-7f3a", {"Content-Type": "text/html"}))

    def forget(self) -> None:
        """The next token is a new one."""
        self._kept = None

    def _said(self, reply: Reply) -> Reply:
        said = {"Content-Type": "application/json", **reply.headers, "Metadata-Flavor": "Google", "Server": self.server}
        return Reply(reply.status, reply.body, said)

    def _found(self, call: Call) -> Reply:
        if call.path == "/":
            return _text("0.1/\ncomputeMetadata/\n")
        texts = {
            "project/project-id": "llm-project",
            "project/numeric-project-id": "123456789012",
            "universe/universe-domain": "googleapis.com",
        }
        path = unquote(call.path).removeprefix(_ROOT)
        if path in texts:
            return _text(texts[path])
        for name in ("default", self.email):
            begin = f"instance/service-accounts/{name}/"
            if self.email is not None and path.startswith(begin):
                return self._of_account(path.removeprefix(begin), call)
        return Reply(404, b"not found", {"Content-Type": "text/html"})

    def _of_account(self, path: str, call: Call) -> Reply:
        if path == "" and call.query.get("recursive") == "true":
            return Reply(200, {"aliases": ["default"], "email": self.email, "scopes": self.scopes})
        if path == "":
            return _text("aliases\nemail\nidentity\nscopes\ntoken\n")
        if path in ("email", "scopes", "aliases"):
            return _text({"email": self.email or "", "scopes": "\n".join(self.scopes), "aliases": "default"}[path])
        if path == "token":
            return self._token() if self.bound else _text("Unable to generate access token; canary-7f3a", 403)
        if path == "identity":
            return self._identity(call.query.get("audience"))
        return Reply(404, b"not found", {"Content-Type": "text/html"})

    def _token(self) -> Reply:
        now = self.directory.wall()
        if self._kept is None or self._kept[1] - now < _KEPT_UNTIL:
            token, life = self.directory.issue(str(self.email), " ".join(self.scopes))
            self._kept = (token, now + life)
        return Reply(
            200, {"access_token": self._kept[0], "expires_in": int(self._kept[1] - now), "token_type": "Bearer"}
        )

    def _identity(self, audience: str | None) -> Reply:
        if not audience:
            return _text("non-empty audience parameter required", 400)
        now = int(self.directory.wall())
        claims = {"iss": "https://accounts.google.com", "aud": audience, "email": self.email, "sub": "1000001"}
        return _text(signed(claims | {"iat": now, "exp": now + 3600}, rsa_key("issuer"), "google-1"))


def _text(text: str, status: int = 200) -> Reply:
    return Reply(status, text.encode(), {"Content-Type": "application/text"})
