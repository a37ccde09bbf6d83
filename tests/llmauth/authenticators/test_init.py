"""The table of methods; that an unknown one refuses to start is the configuration's to test."""

import pytest

from llmauth.authenticators import METHODS, build
from llmauth.clock import ManualClock
from llmauth.storage.keys import KeyStore


@pytest.mark.parametrize("name", METHODS)
def test_every_method_is_built_from_its_type_alone(name, tmp_path):
    tmp_path.chmod(0o700)
    options, _ = METHODS[name]
    store = KeyStore(tmp_path / "keys.db")
    assert build(options.model_validate({"type": name}), store, ManualClock()).name == name
    store.close()


@pytest.mark.parametrize("name", METHODS)
def test_the_options_of_every_method_name_it_and_forbid_the_rest(name):
    options, _ = METHODS[name]
    assert options.model_validate({"type": name}).model_dump() == {"type": name}
    with pytest.raises(ValueError, match="extra"):
        options.model_validate({"type": name, "surplus": 1})
