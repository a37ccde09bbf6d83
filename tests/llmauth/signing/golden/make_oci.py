"""Writes oci.json: what the official SDK signs, with a key made for it. Run with the Python of .venv-clients-cloud."""

import email.utils
import importlib
import json
import sys

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

# By name: where the tests' types are checked, it is not installed.
oci = importlib.import_module("oci")
requests = importlib.import_module("oci._vendor.requests")

NOW = 1_800_000_000
USER = ("ocid1.tenancy.oc1..aaaa", "ocid1.user.oc1..bbbb", ":".join(["00"] * 16))
TOKEN = "eyJraWQi.payload.signature"
INFERENCE = "https://inference.generativeai.us-chicago-1.oci.oraclecloud.com/20231130"
MANAGEMENT = "https://generativeai.us-chicago-1.oci.oraclecloud.com/20231130"
JSON = "application/json"

CASES = (
    ("chat", "POST", f"{INFERENCE}/actions/chat", b'{"compartmentId":"c"}', JSON, False),
    ("models", "GET", f"{MANAGEMENT}/models?compartmentId=ocid1.compartment.oc1..a&capability=CHAT", None, None, False),
    ("encoded", "GET", f"{MANAGEMENT}/models/a%2Fb%3Ac?displayName=a%20b&x=~", None, None, False),
    ("empty body", "POST", f"{INFERENCE}/actions/applyGuardrails", b"", JSON, False),
    ("text", "PUT", f"{MANAGEMENT}/models/ocid1.x", "café".encode(), "text/plain; charset=utf-8", False),
    ("delete", "DELETE", f"{MANAGEMENT}/models/ocid1.x", None, None, False),
    ("no content type", "POST", f"{INFERENCE}/actions/chat", b"{}", None, False),
    ("session", "POST", f"{INFERENCE}/actions/chat", b"{}", JSON, True),
    ("session, no body", "GET", f"{MANAGEMENT}/models?compartmentId=c", None, None, True),
)


def main() -> None:
    key = rsa.generate_private_key(65537, 2048)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()).decode()
    user = oci.signer.Signer(*USER, None, private_key_content=pem)
    session = oci.auth.signers.SecurityTokenSigner(TOKEN, key)
    cases = []
    for name, method, url, body, content_type, with_token in CASES:
        headers = {"date": email.utils.formatdate(NOW, usegmt=True)}
        headers |= {"content-type": content_type} if content_type else {}
        request = requests.Request(method, url, data=body, headers=headers).prepare()
        (session if with_token else user).do_request_sign(request)
        case = {"name": name, "method": method, "url": url, "path": request.path_url, "content_type": content_type}
        case |= {"body": (body or b"").decode(), "session": with_token}
        case |= {"authorization": request.headers["authorization"]}
        cases.append({**case, "x_content_sha256": request.headers.get("x-content-sha256")})
    made = {
        "made_by": f"oci {oci.__version__}",
        "now": NOW,
        "key_id": "/".join(USER),
        "session_key_id": f"ST${TOKEN}",
        "private_key_der": "".join(pem.splitlines()[1:-1]),  # without its armour: it opens nothing anywhere
        "cases": cases,
    }
    json.dump(made, sys.stdout, indent=1)
    sys.stdout.write("\n")


main()
