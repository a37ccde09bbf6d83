"""S9: no client spelling of authentication goes on, and every other byte does."""

from urllib.parse import quote, unquote

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from llmauth.authenticators.stripping import (
    CREDENTIAL_HEADERS,
    credential_names,
    is_in_url,
    strip_also,
    strip_no_longer,
    strip_query,
)
from llmauth.authenticators.tokens import FORM
from llmauth.http import Headers
from llmauth.secrets import Secret


def strip_credentials(headers, path):
    """As `llmauth.forwarding` does it: the names it is told, and the query."""
    names = credential_names(headers, path)
    if names:
        headers = Headers([field for field in headers.fields if field[0].lower() not in names])
    return headers, strip_query(path)


KEY = "llmauth_abcdefghij_secret"
PROOF = "llmauth-aws-v1.eyJ1cmwiOiJodHRwczovL3N0cy5hbWF6b25hd3MuY29tLyJ9"
OTHERS = (
    (b"Host", b"api.openai.com"),
    (b"anthropic-version", b"2023-06-01"),
    (b"Accept", b"a"),
    (b"Accept", b"b"),
    (b"x-amzn-bedrock-trace", b"ENABLED"),
    (b"x-goog-user-project", b"p"),
    (b"X-Amz-Target", b"t"),
    (b"Date", b"Thu, 01 Jan 2026 00:00:00 GMT"),
)


def strip(*fields, path="/v1"):
    headers, path = strip_credentials(Headers(fields), path)
    return headers.fields, path


@pytest.mark.parametrize(
    "name",
    [
        *(
            "Authorization",
            "X-API-Key",
            "x-api-key",
            "X-Api-Key",
            "api-key",
            "x-goog-api-key",
            "x_api_key",
            "X-API_KEY",
        ),
        *("API_KEY", "x_goog-api_key", "X-TOTP-Code", "x_totp_code", "X-Session-Token", "Proxy-Authorization"),
        *("Proxy-Connection", "proxy_authorization", "Proxy-Anything", "X-Amz-Date", "x-amz-security-token"),
        *("X-Amz-Content-SHA256", "x-amz-region-set", "x_amz_date", "x-amzn-oidc-data", "Ocp-Apim-Subscription-Key"),
        *(
            "X-Content-SHA256",
            "x_content_sha256",
            "opc-obo-token",
            "X-Forwarded-Client-Cert",
            "x_forwarded-client_cert",
        ),
    ],
)
def test_every_spelling_in_every_place(name):
    field = (name.encode(), b"canary")
    assert strip(field, *OTHERS)[0] == OTHERS
    assert strip(*OTHERS, field)[0] == OTHERS
    assert strip(*OTHERS[:3], field, *OTHERS[3:], (name.swapcase().encode(), b"canary"))[0] == OTHERS


def test_the_very_same_objects_come_back_when_nothing_is_to_do():
    headers, path = Headers(OTHERS), "/v1/x?alt=sse&beta=%20true&key=AIza"
    same_headers, same_path = strip_credentials(headers, path)
    assert same_headers is headers
    assert same_path is path


@pytest.mark.parametrize(
    "value",
    [
        *(b"AWS4-HMAC-SHA256 Credential=x", b" aws4-ecdsa-p256-sha256 x", b"AWS AKIA:sig"),
        *(b'Signature algorithm="rsa-sha256",keyId="x"', b"signature version"),
    ],
)
def test_a_date_goes_with_its_signature(value):
    assert strip((b"Authorization", value), (b"X-Date", b"x"), *OTHERS)[0] == OTHERS[:-1]
    assert strip((b"Authorization", b"Bearer x"), (b"X-Date", b"x"))[0] == ((b"X-Date", b"x"),)
    assert strip((b"Authorization", b"Bearer x"), *OTHERS)[0] == OTHERS


def test_a_presigned_url_loses_its_signature_and_nothing_else():
    path = (
        "/model/a%3A0/invoke?x=1&X-Amz-Algorithm=A&X-Amz-Credential=C%2Fd&X-Amz-Date=D&y=%7e&X-Amz-Expires=60"
        "&X-Amz-SignedHeaders=host&X-Amz-Signature=S&X-Amz-Security-Token=T&x%2Damz%2Dsignature=S&X-Amz-Other=o"
    )
    assert strip(*OTHERS, path=path) == (OTHERS[:-1], "/model/a%3A0/invoke?x=1&y=%7e&X-Amz-Other=o")


@pytest.mark.parametrize(
    ("query", "left"),
    [
        (f"?key={KEY}", ""),
        (f"?key={KEY}&alt=sse", "?alt=sse"),
        (f"?alt=sse&key={KEY}", "?alt=sse"),
        (f"?a&key={KEY}&&b=%2F+&=", "?a&&b=%2F+&="),
        (f"?key=AIza&key={KEY}", "?key=AIza"),
        ("?key=%6clmauth_abc&x", "?x"),
        ("?%6bey=llmauth%5fabc&x", "?x"),
        ("?key=llmauth_", ""),
        (f"?key=AIza&KEY={KEY}", "?key=AIza"),
        (f"?monkey={KEY}", ""),
        (f"?access_token={KEY}&api-key={KEY}&alt=sse", "?alt=sse"),
        (f"?%61ccess%5ftoken={KEY.replace('_', '%5F')}%0A&x=%7e", "?x=%7e"),
        (f"?a=1&token={FORM}e30.c2ln&b=+", "?a=1&b=+"),
        (f"?token={FORM.replace('J', '%4a')}e30.c2ln", ""),
        (f"?{KEY}&x", "?x"),
        (f"?={KEY}&x", "?x"),
        ("?", "?"),
        ("?key=a%6clmauth_", "?key=a%6clmauth_"),
        (f"?q=about-{KEY}&x=1", "?x=1"),
        ("?q=about-llmauth_keys&x=1", "?q=about-llmauth_keys&x=1"),
        ("?q=%256clmauth_abc", "?q=%256clmauth_abc"),
        (f"?q={FORM[:-1]}&x=eyJ.eyJ.x", f"?q={FORM[:-1]}&x=eyJ.eyJ.x"),
        (f"?token={PROOF}&x=1", "?x=1"),
        (f"?q=a%20{PROOF.replace('.', '%2E')}&x=1", "?x=1"),
        ("?q=llmauth-aws-v2.x", "?q=llmauth-aws-v2.x"),
    ],
)
def test_the_query(query, left):
    assert strip(path=f"/p%2Fq;r{query}")[1] == f"/p%2Fq;r{left}"


@given(
    before=st.text(st.sampled_from("ab=&%+;/?é~"), max_size=20),
    after=st.text(st.sampled_from("ab=&%+;/?é~"), max_size=20),
)
def test_one_parameter_is_cut_and_all_other_bytes_stay(before, after):
    assert strip(path=f"/p?{before}&key={KEY}&{after}")[1] == f"/p?{before}&{after}"


@given(st.text(st.characters(codec="ascii"), max_size=40))
def test_a_path_without_credentials_stays(path):
    assume("x-amz-" not in unquote(path).lower() and "llmauth_" not in unquote(path))
    assert strip(path=path)[1] == path


def test_looking_up_names_needs_no_pattern():
    assert b"x_amz-content_sha256" in CREDENTIAL_HEADERS
    assert all(name == name.lower() for name in CREDENTIAL_HEADERS)


@pytest.mark.parametrize("name", ["Cookie", "X-Auth-Token", "User-Agent", "Referer", "X-Forwarded-Access-Token", "Via"])
@pytest.mark.parametrize("value", [KEY, f"a=b; key={KEY}", f"https://h/?key={KEY}", f"{FORM}e30.c2ln"])
def test_a_key_in_the_wrong_place_takes_the_field_with_it(name, value):
    assert strip((name.encode(), value.encode()), *OTHERS)[0] == OTHERS


@pytest.mark.parametrize(
    "value", [b"llmauth_demo/1.0", b"about llmauth_", b"llmauth", b"eyJhbGciOiJIUzI1NiJ9.e30.c2ln"]
)
def test_what_only_looks_like_a_key_stays(value):
    assert strip((b"User-Agent", value))[0] == ((b"User-Agent", value),)


IMPORTED = ("k3y/with+odd=signs; 1", "0123456789abcdef")


@pytest.fixture
def imported():
    owner = object()
    strip_also(owner, map(Secret, IMPORTED))
    yield
    strip_no_longer(owner)


@pytest.mark.usefixtures("imported")
@pytest.mark.parametrize("key", IMPORTED)
@pytest.mark.parametrize("name", ["Cookie", "X-My-Key", "Referer", "User-Agent", "x-goog-user-key", "Via"])
@pytest.mark.parametrize("around", ["{}", "a=b; key={}", "Token {}", "https://h/?key={}&x"])
def test_an_imported_key_takes_its_field_with_it(key, name, around):
    """2.9 row 9: a key that has no form of ours reaches no provider either."""
    for written in (key, quote(key, safe="")):
        assert strip((name.encode(), around.format(written).encode()), *OTHERS)[0] == OTHERS


@pytest.mark.usefixtures("imported")
@pytest.mark.parametrize("key", IMPORTED)
@pytest.mark.parametrize("query", ["?key={}&x=1", "?x=1&token=a{}b", "?{}&x=1", "?x=1&%61={}", "?x=1&{}=y"])
def test_an_imported_key_is_cut_out_of_a_query(key, query):
    assert strip(path="/p" + query.format(quote(key, safe="")))[1] == "/p?x=1"
    assert is_in_url(f"/model/{quote(key, safe='')}/invoke")


@pytest.mark.usefixtures("imported")
def test_beside_imported_keys_every_other_byte_stays():
    headers, path = Headers(OTHERS), "/v1/x?alt=sse&beta=%20true&key=AIza"
    same_headers, same_path = strip_credentials(headers, path)
    assert same_headers is headers
    assert same_path is path


def test_a_key_that_is_taken_no_longer_is_no_key():
    assert strip((b"X-My-Key", IMPORTED[1].encode()))[0] != ()
    assert not is_in_url(f"/{IMPORTED[1]}")
