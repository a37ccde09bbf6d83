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
}


@pytest.mark.parametrize("holder", HOLDERS, ids=lambda holder: type(holder).__name__)
@pytest.mark.parametrize("show", SHOWING.values(), ids=SHOWING)
def test_no_text_shows_it(show, holder):
    assert CANARY not in show(holder)


@pytest.mark.parametrize("spec", ["", "s", ">40", "<5", "^30", ".3", "!<20", "d", "%Y"])
def test_no_format_shows_a_part_of_it(spec):
    assert set(format(SECRET, spec)) == {"*"}


def outcome(function, *arguments) -> str:
    """What it returns, or all that its error would show."""
    try:
        return repr(function(*arguments))
    except (TypeError, AttributeError) as error:
        return "".join(traceback.format_exception(error))


@pytest.mark.parametrize("holder", HOLDERS, ids=lambda holder: type(holder).__name__)
@pytest.mark.parametrize("store", [pickle.dumps, copy.copy, copy.deepcopy, json.dumps, dataclasses.asdict])
def test_nothing_that_would_store_it_shows_it(store, holder):
    assert CANARY not in outcome(store, holder)


@pytest.mark.parametrize("holder", HOLDERS, ids=lambda holder: type(holder).__name__)
@pytest.mark.parametrize("store", [pickle.dumps, copy.deepcopy, json.dumps])
def test_no_holder_can_be_stored(store, holder):
    with pytest.raises(TypeError):
        store(holder)


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_no_pickle_holds_it(protocol):
    with pytest.raises(TypeError, match="cannot be pickled"):
        pickle.dumps(SECRET, protocol)


MISUSES = {
    "+": lambda secret: secret + "x",
    "reversed +": lambda secret: "x" + secret,
    "join": lambda secret: "".join([secret]),
    "bytes": bytes,
    "int": int,
    "index": lambda secret: secret[0],
    "list": list,
    "len": len,
    "vars": vars,
    "attribute": lambda secret: secret.value,
    "order": lambda secret: secret > Secret("a"),
    "open": open,
}


@pytest.mark.parametrize("misuse", MISUSES.values(), ids=MISUSES)
def test_it_is_no_string(misuse):
    with pytest.raises((TypeError, AttributeError)):
        misuse(SECRET)
    assert CANARY not in outcome(misuse, SECRET)


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
    assert len({ApiKey(value=Secret("a")), BearerToken(value=Secret("a")), ApiKey(value=Secret("a"))}) == 2
    same = AwsKeys(access_key_id="AKIA", secret_access_key=Secret(CANARY), session_token=Secret(CANARY))
    assert same == AWS
    assert dataclasses.replace(same, session_token=None) != AWS
