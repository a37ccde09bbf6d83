"""The signature of the federation call, held to the one that Oracle's own library makes for the same body."""

from __future__ import annotations

from typing import Any

from llmauth.credentials.workload_identity.oci import federation
from tests.e2e.clients.sdks import Sdks
from tests.llmauth.demo.clients import cloud_interpreter

VENDOR = """
import cryptography.x509
from oci._vendor import requests
from oci.auth.certificate_retriever import PEMStringCertificateRetriever
from oci.auth.federation_client import AuthTokenRequestSigner
leaf = PEMStringCertificateRetriever(certificate_pem=certificate, private_key_pem=key)
tenancy = oci.auth.auth_utils.get_tenancy_id_from_certificate(leaf.get_certificate_as_certificate())
from cryptography.hazmat.primitives.hashes import SHA1
digest = leaf.get_certificate_as_certificate().fingerprint(SHA1())
signer = AuthTokenRequestSigner(tenancy, ":".join("{:02X}".format(byte) for byte in digest), leaf)
headers = {"date": date, "content-type": "application/json"}
request = requests.Request("POST", url, data=body.encode(), headers=headers).prepare()
signer.do_request_sign(request)
result = {name.lower(): value for name, value in request.headers.items()}
"""


def test_it_is_what_oracles_own_library_signs(realm) -> None:
    body = b'{"certificate": "x"}'
    leaf = realm.leaf
    ours = federation.signed(body, federation.key_id(leaf.certificate), leaf.key, 1_800_000_000)
    names = {"certificate": leaf.pem.decode(), "key": leaf.key_pem.decode(), "date": ours["date"]}
    names |= {"url": "https://auth.eu-frankfurt-1.oraclecloud.com/v1/x509", "body": body.decode()}
    sdk = Sdks(cloud_interpreter(), "oci")
    try:
        theirs: dict[str, Any] = sdk.run(VENDOR, {}, **names)
    finally:
        sdk.close()
    assert ours["authorization"] == theirs["authorization"]
    assert ours["x-content-sha256"] == theirs["x-content-sha256"]
