"""The metadata service of each cloud, as far as it tells which it is; strict about the header that it wants."""

from __future__ import annotations

import re

from tests.emulators.service import Call, Reply, Service

TOKEN = "AQAEAG5cY9pEq3mLZ0x1yUuFvS7gkYwQhB2dT4nR6oXcJ8iVtKzA=="


class Metadata(Service):
    """What stands at 169.254.169.254 of one cloud, or at nobody's: then it says 200 to whatever is asked."""

    def __init__(self, cloud: str) -> None:
        super().__init__()
        self.cloud = cloud

    def answer(self, call: Call) -> Reply:
        # Each of them refuses what came through a proxy.
        if "x-forwarded-for" in call.headers or "via" in call.headers:
            return Reply(403)
        reply: Reply = getattr(self, f"_{self.cloud}")(call)
        return reply

    def _aws(self, call: Call) -> Reply:
        life = call.headers.get("x-aws-ec2-metadata-token-ttl-seconds", "")
        if (call.method, call.target) == ("PUT", "/latest/api/token") and re.fullmatch(r"[1-9][0-9]{0,4}", life):
            text = {"Content-Type": "text/plain", "X-Aws-Ec2-Metadata-Token-Ttl-Seconds": life}
            return Reply(200, TOKEN.encode(), text)
        return Reply(401, b"")

    def _azure(self, call: Call) -> Reply:
        if call.headers.get("metadata") != "true":
            return Reply(400, {"error": "Bad request. Required metadata header not specified"})
        if call.method == "GET" and call.path == "/metadata/instance" and "api-version" in call.query:
            return Reply(200, {"compute": {"location": "westeurope"}, "network": {}})
        return Reply(404, {"error": "Not found"})

    def _gcp(self, call: Call) -> Reply:
        said = {"Metadata-Flavor": "Google", "Server": "Metadata Server for VM"}
        if call.headers.get("metadata-flavor") != "Google":
            return Reply(403, b"", said)
        return Reply(200 if call.path == "/" else 404, b"computeMetadata/\n", {**said, "Content-Type": "text/plain"})

    def _oci(self, call: Call) -> Reply:
        if call.headers.get("authorization") != "Bearer Oracle":
            return Reply(403, b"")
        if (call.method, call.target) == ("GET", "/opc/v2/instance/"):
            return Reply(200, {"compartmentId": "ocid1.compartment.oc1..a", "id": "ocid1.instance.oc1.fra.a"})
        return Reply(404, b"")

    def _ibm(self, call: Call) -> Reply:
        asked = (call.method, call.path, call.query.get("version")) == (
            "PUT",
            "/instance_identity/v1/token",
            "2022-03-01",
        )
        if asked and call.headers.get("metadata-flavor") == "ibm" and 5 <= call.json.get("expires_in", 0) <= 3600:
            return Reply(200, {"access_token": TOKEN, "created_at": "now", "expires_in": 300})
        return Reply(404, {"errors": []})

    def _pleased(self, call: Call) -> Reply:
        """What a captive portal says."""
        return Reply(200, b"<html>Welcome</html>", {"Content-Type": "text/html"})

    def _ok(self, call: Call) -> Reply:
        return Reply(200, b"OK")

    def _json(self, call: Call) -> Reply:
        return Reply(200, {"status": "ok"})

    def _moved(self, call: Call) -> Reply:
        """Leads to a service that would answer."""
        return Reply(302, b"", {"Location": f"http://127.0.0.1:{self.port}/elsewhere"})

    def _deep(self, call: Call) -> Reply:
        return Reply(200, b"[" * 50_000)

    def _bytes(self, call: Call) -> Reply:
        return Reply(200, b"\xff\x00" * 500)
