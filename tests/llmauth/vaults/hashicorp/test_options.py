"""The section as it is written: what may stand there, and that nothing of it is shown."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, get_args

import pytest
from pydantic import BaseModel, ValidationError

from llmauth.vaults.hashicorp.options import AppRoleAuth, Auth, HashicorpOptions, KubernetesAuth


def test_the_example_of_the_contract() -> None:
    auth = {"method": "kubernetes", "role": "llmauth", "mount": "kubernetes", "token_file": "/t"}
    options = HashicorpOptions.model_validate({"address": "", "namespace": "", "ca_file": "", "auth": auth})
    assert options.auth == KubernetesAuth(role="llmauth", token_file=Path("/t"))
    assert options == HashicorpOptions(auth=options.auth), "empty texts are what variables without a value become"


def test_secrets_are_not_shown() -> None:
    options = HashicorpOptions.model_validate(
        {"auth": {"method": "approle", "role_id": "canary-7f3a", "secret_id": "canary-7f3a"}}
    )
    assert "canary" not in repr(options) + str(options) + options.model_dump_json()
    assert isinstance(options.auth, AppRoleAuth)
    assert options.auth.secret_id is not None
    assert options.auth.secret_id.get_secret_value() == "canary-7f3a"


@pytest.mark.parametrize(
    "wrong",
    [
        {"auth": {"method": "ldap"}},
        {"auth": {"role": "llmauth"}},
        {"auth": {"method": "kubernetes", "secret_id": "canary-7f3a"}},
        {"auth": {"method": "kubernetes", "mount": "a b"}},
        {"auth": {"method": "kubernetes", "mount": "a?b"}},
        {"auth": {"method": "approle", "secret_id": "canary-7f3a", "secret_id_file": "/x"}},
        {"auth": {"method": "token", "token": "canary-7f3a", "token_file": "/x"}},
        {"auth": {"method": "jwt"}},
        {"auth": {"method": "jwt", "token": "canary-7f3a", "token_file": "/x"}},
        {"auth": {"method": "aws", "region": "evil.example#"}},
        {"auth": {"method": "aws", "header_value": "a\nb"}},
        {"address": "http://vault.example.com"},
        {"namespace": "a\nb"},
        {"adress": "https://vault.example.com"},
    ],
)
def test_faults_of_the_configuration(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as fault:
        HashicorpOptions.model_validate(wrong)
    assert "canary" not in str(fault.value)


@pytest.mark.parametrize("model", get_args(Auth), ids=lambda model: model.__name__)
def test_the_page_has_every_key_of_a_method_with_its_default(model: type[BaseModel]) -> None:
    page = (Path(__file__).parents[4] / "docs/CONFIGURATION.md").read_text()
    method = model.model_fields["method"].default
    section = page.partition(f"##### `method: {method}`\n")[2].partition("\n#")[0]
    rows = dict(re.findall(r"(?m)^\| `(\w+)` \| (?:`(.*?)`)? *\| \S", section))
    assert rows == {name: field.default or "" for name, field in model.model_fields.items() if name != "method"}
