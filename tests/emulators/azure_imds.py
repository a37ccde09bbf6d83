"""Azure's endpoints for managed identities: the metadata service of a machine, and the one beside an app.

Both check the header that proves a caller on the machine (`Metadata: true`, or the app's own secret), the version of
the API, the service a token is for, and the client id where one is named; the machine's refuses whatever was forwarded.
`status` makes either answer as Azure does while it is busy with itself: 404, 410, 429 or 500.
"""

from __future__ import annotations

import time

from tests.emulators.entra import CLIENT, SERVICES, issued
from tests.emulators.service import Call, Reply, Service

PATH = "/metadata/identity/oauth2/token"
HEADER = "identity-header-canary-7f3a"


class ImdsEmulator(Service):
    """The metadata service of a machine, whose identities are those in `identities`; the first is its default."""

    def __init__(self, *, identities: tuple[str, ...] = (CLIENT,), life: int = 86399) -> None:
        super().__init__()
        self.identities = identities
        self.life = life
        self.status: int | None = None

    def answer(self, call: Call) -> Reply:
        if call.headers.get("metadata", "").lower() != "true":
            return _bad("invalid_request", "Required metadata header not specified")
        if "x-forwarded-for" in call.headers:
            return _bad("invalid_request", "Forwarded requests are not served")
        if call.method != "GET":
            return Reply(405, {"error": "Method not allowed"})
        if "api-version" not in call.query:
            return Reply(
                400, {"error": "Bad request. api-version was not specified", "newest-versions": ["2021-02-01"]}
            )
        if call.path == "/metadata/instance":
            return Reply(200, {"compute": {"azEnvironment": "AzurePublicCloud", "location": "westeurope"}})
        if call.path != PATH:
            return Reply(404, {"error": "Not found"})
        if self.status is not None:
            return Reply(self.status, {"error": "temporarily_unavailable", "error_description": "canary-7f3a"})
        return self._token(call)

    def refusal(self, call: Call) -> Reply:
        return Reply(403, {"error": "unauthorized_client", "error_description": "canary-7f3a"})

    def _token(self, call: Call) -> Reply:
        if call.query.get("api-version") != "2018-02-01":
            return _bad("invalid_request", "The version is not known")
        resource = call.query.get("resource", "")
        if resource.rstrip("/") not in SERVICES:
            return _bad("invalid_resource", f"AADSTS500011: The resource principal named {resource} was not found")
        client = call.query.get("client_id", self.identities[0] if self.identities else "")
        if client not in self.identities:
            return _bad("invalid_request", "Identity not found")
        now = int(time.time())
        return Reply(
            200,
            {
                "access_token": issued(resource, client=client, life=self.life),
                "client_id": client,
                "expires_in": str(self.life),
                "expires_on": str(now + self.life),
                "ext_expires_in": str(self.life),
                "not_before": str(now),
                "resource": resource,
                "token_type": "Bearer",
            },
        )


class AppServiceEmulator(Service):
    """The endpoint beside an app: App Service, Functions, Container Apps. `legacy` is that of 2017."""

    def __init__(self, *, legacy: bool = False, life: int = 86399) -> None:
        super().__init__()
        self.legacy = legacy
        self.life = life
        self.status: int | None = None

    @property
    def endpoint(self) -> str:
        """What IDENTITY_ENDPOINT or MSI_ENDPOINT holds."""
        return f"{self.url}/msi/token"

    def answer(self, call: Call) -> Reply:
        if call.path != "/msi/token" or call.method != "GET":
            return Reply(404, b"", {"Content-Type": "text/html"})
        if call.headers.get("secret" if self.legacy else "x-identity-header") != HEADER:
            return self.refusal(call)
        if call.query.get("api-version") != ("2017-09-01" if self.legacy else "2019-08-01"):
            return _said(400, "The version is not known")
        if self.status is not None:
            return _said(self.status, "canary-7f3a")
        resource = call.query.get("resource", "")
        if resource.rstrip("/") not in SERVICES:
            return _said(400, f"The resource {resource} is not known")
        client = call.query.get("clientid" if self.legacy else "client_id", CLIENT)
        if client != CLIENT:
            return _said(400, "No User Assigned or Delegated Managed Identity found for specified ClientId")
        token = issued(resource, client=client, life=self.life)
        ends = str(int(time.time()) + self.life)
        return Reply(
            200,
            {
                "access_token": token,
                "expires_on": ends,
                "resource": resource,
                "token_type": "Bearer",
                "client_id": client,
            },
        )

    def refusal(self, call: Call) -> Reply:
        return _said(401, "canary-7f3a")


def _bad(error: str, text: str) -> Reply:
    return Reply(400, {"error": error, "error_description": f"{text} canary-7f3a"})


def _said(status: int, message: str) -> Reply:
    return Reply(status, {"statusCode": status, "message": f"{message} canary-7f3a"})
