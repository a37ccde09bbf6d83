"""The made-up credentials: of the real form, different every time, and not in a repr."""

from __future__ import annotations

import re
from dataclasses import astuple

from llmauth.demo.credentials import DemoCredentials


def test_look_like_the_real_ones() -> None:
    keys = DemoCredentials.random()
    assert keys.openai_key.startswith("sk-demo-")
    assert keys.anthropic_key.startswith("sk-ant-demo-")
    assert re.fullmatch(r"ASIA[A-Z2-7]{16}", keys.aws_access_key_id)
    assert len(keys.aws_secret_access_key) == 40
    assert keys.bedrock_api_key.startswith("ABSK")
    assert re.fullmatch(r"[A-Za-z0-9]{84}", keys.azure_key)
    assert re.fullmatch(r"eyJ[\w-]+\.[\w-]+\.[\w-]+", keys.azure_token)
    assert keys.google_token.startswith("ya29.")
    assert re.fullmatch(r"AIza[\w-]{35}", keys.google_key)
    assert re.fullmatch(r"[\w-]{44}", keys.ibm_api_key)
    assert keys.oci.tenancy.startswith("ocid1.tenancy.oc1..")
    assert re.fullmatch(r"[0-9a-f]{2}(:[0-9a-f]{2}){15}", keys.oci.fingerprint)


def test_long_lived_ones_have_no_token() -> None:
    keys = DemoCredentials.random(session=False)
    assert keys.aws_access_key_id.startswith("AKIA")
    assert keys.aws_session_token is None


def test_differ_and_stay_out_of_reprs() -> None:
    one, other = DemoCredentials.random(), DemoCredentials.random()
    assert not set(astuple(one)) & set(astuple(other))
    secret = [value for value in astuple(one) if value not in (one.aws_access_key_id, astuple(one.oci))]
    assert not any(value in repr(one) for value in secret)
