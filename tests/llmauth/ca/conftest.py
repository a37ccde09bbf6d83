"""An authority in a folder that did not exist before, and the same in the hands of a thief."""

import pytest

from llmauth.ca import Authority
from tests.llmauth.ca.samples import DOMAINS


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "home" / "ca"


@pytest.fixture
def authority(folder):
    return Authority.load_or_create(folder, DOMAINS, create=True)


@pytest.fixture
def forged(authority):
    """The authority, made to sign outside of its constraints as a thief of its key would."""
    authority.domains = ("com", "internal")
    return authority
