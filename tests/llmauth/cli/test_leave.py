"""`llmauth leave` forgets, whether the proxy can still be asked or not."""

from __future__ import annotations

import os

from llmauth.clients import joined
from llmauth.clients.joined import Joined
from llmauth.secrets import Secret
from tests.llmauth.cli.onboarding import Person
from tests.llmauth.cli.onboarding import person as person

PROFILE = Joined(url="http://127.0.0.1:9", ca_pem="PEM", fingerprint="4F", user="alice")


def test_a_proxy_that_is_gone_is_forgotten(person: Person) -> None:
    joined.write(PROFILE, Secret("llmauth_s"), os.environ)
    code, out, err = person.run("leave")
    assert code == 0
    assert "Removed keyring entry llmauth/session@127.0.0.1:9" in out
    assert "it ends by itself" in err
    assert (person.ring.entries, joined.read(os.environ)) == ({}, None)


def test_a_damaged_profile_is_taken_away(person: Person) -> None:
    joined.write(PROFILE, Secret("llmauth_s"), os.environ)
    (joined.folder(os.environ) / joined.PROFILE).write_text("{")
    assert person.run("leave")[0] == 0
    assert joined.read(os.environ) is None


def test_where_none_was_joined(person: Person) -> None:
    code, out, err = person.run("leave")
    assert (code, out, err) == (1, "", "Error: No proxy was joined.\n")
