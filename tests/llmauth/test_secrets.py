"""R1: whatever is done to a secret, short of `reveal`, does not show it."""

import copy
import dataclasses
import io
import json
import logging
import pickle
import pprint
import traceback

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmauth.secrets import ApiKey, AwsKeys, BearerToken, Loaded, Secret
from llmauth.telemetry.logs import configure

CANARY = "canary-sk-7f3a"
SECRET = Secret(CANARY)
AWS = AwsKeys(access_key_id="AKIA", secret_access_key=SECRET, session_token=SECRET)
HOLDERS = (
    SECRET,
    ApiKey(value=SECRET),
    BearerToken(value=SECRET),
    AWS,
    Loaded(credential=AWS, source="environment", expires_at=1.0),
    [SECRET],
    {"key": SECRET},
    (ApiKey(value=SECRET),),
)

SHOWING = {
    "str": str,
    "repr": repr,
    "ascii": ascii,
    "f-string": lambda holder: f"{holder} {holder!r} {holder!s}",
    "format": lambda holder: "{} {!r}".format(holder, holder),  # noqa: UP032
    "percent": lambda holder: "%s %r" % (holder, holder),  # noqa: UP031
    "pprint": pprint.pformat,
    "json, by default=str": lambda holder: json.dumps(holder, default=str),
    "json, by default=repr": lambda holder: json.dumps(holder, default=repr),
    "error": lambda holder: repr(ValueError(holder)) + str(ValueError(holder)),
    "dict": lambda holder: str({name: getattr(holder, name) for name in dir(holder) if name in ("value", "credential")}),
}


@pytest.mark.parametrize("holder", HOLDERS, ids=lambda holder: type(holder).__name__)
@pytest.mark.parametrize("show", SHOWING.values(), ids=SHOWING)
def test_no_text_shows_it(show, holder):
    assert CANARY not in show(holder)


@pytest.mark.parametrize("spec", ["", "s", ">40", "<5", "^30", ".3", "!<20", "d", "%Y"])
def test_no_format_shows_a_part_of_it(spec):
    assert set(format(SECRET, spec)) == {"*"}


@pytest.mark.parametrize("holder", HOLDERS, ids=lambda holder: type(holder).__name__)
@pytest.mark.parametrize("store", [pickle.dumps, copy.copy, copy.deepcopy, json.dumps, dataclasses.asdict])
def test_what_would_store_it_fails_without_it(store, holder):
    try:
        result = store(holder)
    except TypeError as error:
        assert CANARY not in "".join(traceback.format_exception(error))
    else:
        assert store is copy.copy  # of what holds it, which holds the same one
        assert CANARY not in repr(result)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_no_pickle_holds_it(protocol):
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(SECRET, protocol)


MISUSES = (
    lambda: SECRET + "x",
    lambda: "x" + SECRET,
    lambda: "".join([SECRET]),
    lambda: bytes(SECRET),
    lambda: int(SECRET),
    lambda: SECRET[0],
    lambda: list(SECRET),
    lambda: len(SECRET),
    lambda: "%d" % SECRET,
    lambda: vars(SECRET),
    lambda: SECRET.value,
    lambda: SECRET < Secret("z"),
)


@pytest.mark.parametrize("misuse", MISUSES)
def test_it_is_no_string(misuse):
    with pytest.raises((TypeError, AttributeError)) as caught:
        misuse()
    assert CANARY not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("form", ["json", "console"])
def test_no_log_shows_it(form):
    root = logging.getLogger()
    handlers, level = list(root.handlers), root.level
    stream = io.StringIO()
    try:
        configure("debug", form, stream)
        log = logging.getLogger("llmauth.secrets.test")
        for holder in HOLDERS:
            log.info("found %s %r", holder, holder, extra={"holder": holder, "deep": {"in": [holder]}})
        try:
            raise RuntimeError(SECRET, AWS)
        except RuntimeError:
            log.exception("went wrong")
    finally:
        for handler in root.handlers[:]:
            root.removeHandler(handler)
        for handler in handlers:
            root.addHandler(handler)
        root.setLevel(level)
    assert stream.getvalue().count("found") == len(HOLDERS)
    assert CANARY not in stream.getvalue()


@given(st.text(st.characters()), st.text(st.characters()))
def test_equality_is_that_of_the_values(one, other):
    """Surrogates too, which a variable holds whose bytes are no UTF-8."""
    assert (Secret(one) == Secret(other)) == (one == other)
    assert Secret(one) == Secret(one)
    assert hash(Secret(one)) == hash(Secret(one))
    assert Secret(one) != one
    assert bool(Secret(one)) == bool(one)
    assert Secret(one).reveal() == one


def test_what_no_encoder_takes_is_not_in_its_error():
    """The error of a strict encoder holds the whole text, and `repr` shows it."""
    odd = Secret(CANARY + "\udcff")
    assert odd != SECRET
    assert odd == Secret(CANARY + "\udcff")
    assert len(odd.fingerprint()) == 8


def test_fingerprints_tell_apart_and_tell_nothing():
    assert SECRET.fingerprint() == Secret(CANARY).fingerprint()
    assert SECRET.fingerprint() != Secret(CANARY + "x").fingerprint()
    assert set(SECRET.fingerprint()) <= set("0123456789abcdef")


def test_credentials_are_equal_by_value_and_never_across_kinds():
    assert ApiKey(value=Secret("a")) == ApiKey(value=Secret("a"))
    assert ApiKey(value=Secret("a")) != ApiKey(value=Secret("b"))
    assert ApiKey(value=Secret("a")) != BearerToken(value=Secret("a"))
    assert AWS == AwsKeys(access_key_id="AKIA", secret_access_key=Secret(CANARY), session_token=Secret(CANARY))
    with pytest.raises(dataclasses.FrozenInstanceError):
        AWS.session_token = None
