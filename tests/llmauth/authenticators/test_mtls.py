"""Client certificates: which chains prove whom, and which only look as if they did."""

from __future__ import annotations

import base64
import datetime
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ed25519, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from llmauth.authenticators.base import Presented, Slot
from llmauth.authenticators.mtls import REMEMBERED, ClientCertificates, MtlsOptions
from llmauth.clock import ManualClock
from llmauth.context import Identity
from llmauth.errors import Unauthenticated, Unavailable
from llmauth.storage.home import StateUnusable
from tests.fixtures.client_certificates import CLIENT, DAY, SERVER, Made, authority, client, now, revocations
from tests.fixtures.methods import surroundings

URI = x509.UniformResourceIdentifier("spiffe://corp/ns/team-a/sa/app")
EMAIL, DNS = x509.RFC822Name("alice@corp.example"), x509.DNSName("app.corp.example")
Make = Callable[..., ClientCertificates]


@pytest.fixture(scope="module")
def root() -> Made:
    return authority()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(wall=now().timestamp())


@pytest.fixture
def make(tmp_path: Path, root: Made, clock: ManualClock) -> Iterator[Make]:
    made: list[ClientCertificates] = []

    def build(*roots: Made, crl: bytes | None = None, **options: Any) -> ClientCertificates:
        (tmp_path / "ca.pem").write_bytes(b"".join(one.pem for one in roots or (root,)))
        if crl is not None:
            (tmp_path / "crl.pem").write_bytes(crl)
            options["crl_file"] = tmp_path / "crl.pem"
        chosen = MtlsOptions(type="mtls", ca_file=tmp_path / "ca.pem", **options)
        made.append(ClientCertificates(chosen, surroundings(cast(Any, None), clock)))
        made[-1].start()
        return made[-1]

    yield build
    for one in made:
        one.stop()


def shown(*chain: bytes) -> Presented:
    value = " ".join(base64.b64encode(one).decode("ascii") for one in chain)
    return Presented(slot=Slot.CERTIFICATE, value=value)


def prove(method: ClientCertificates, made: Made) -> Identity:
    presented = shown(*made.chain)
    assert method.recognises(presented)
    return method.recall(presented) or method.authenticate(presented)


def reason(method: ClientCertificates, *chain: bytes) -> str:
    presented = shown(*chain)
    assert method.recognises(presented)
    with pytest.raises(Unauthenticated) as raised:
        method.recall(presented) or method.authenticate(presented)
    assert raised.value.sentence == "The credential is not valid."
    return raised.value.reason


# ---- what is right -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("alternative", "common", "wanted", "user"),
    [
        ([URI, EMAIL, DNS], "alice", None, "spiffe://corp/ns/team-a/sa/app"),
        ([DNS, EMAIL], "alice", None, "alice@corp.example"),
        ([DNS], "alice", None, "app.corp.example"),
        ([], "alice", None, "alice"),
        ([DNS], None, None, "app.corp.example"),
        ([URI, EMAIL, DNS], "alice", "subject", "alice"),
        ([URI, EMAIL, DNS], "alice", "san_dns", "app.corp.example"),
        ([URI, EMAIL, DNS], "alice", "san_email", "alice@corp.example"),
        ([URI, EMAIL, DNS], "alice", "san_uri", "spiffe://corp/ns/team-a/sa/app"),
        ([DNS, x509.DNSName("other.example")], "alice", None, "app.corp.example"),
    ],
)
def test_whom_a_certificate_names(
    make: Make, root: Made, alternative: list[x509.GeneralName], common: str | None, wanted: str | None, user: str
) -> None:
    method = make(names=wanted)
    identity = prove(method, client(root, common, alternative=alternative, units=["team-a", "ops", "team-a"]))
    assert (identity.user, identity.method, identity.groups) == (user, "mtls", ("team-a", "ops"))
    assert method.current(identity) is identity


def test_it_ends_with_the_certificate_and_is_proved_once(
    make: Make, root: Made, clock: ManualClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    method, made = make(), client(root)
    identity = prove(method, made)
    assert identity.expires_at == made.certificate.not_valid_after_utc.timestamp()
    monkeypatch.setattr(method, "_prove", None)
    assert method.recall(shown(*made.chain)) is identity
    clock.advance(86_500)
    assert reason(method, *made.chain) == "expired"
    with pytest.raises(Unauthenticated) as raised:
        method.current(identity)
    assert raised.value.reason == "expired"


@pytest.mark.parametrize(
    "key", [ed25519.Ed25519PrivateKey.generate(), rsa.generate_private_key(65537, 2048)], ids=["ed25519", "rsa"]
)
def test_keys_of_other_kinds(make: Make, key: Any) -> None:
    root = authority("Other clients", key=rsa.generate_private_key(65537, 2048))
    assert prove(make(root), client(root, key=key)).user == "alice"


def test_a_chain_with_intermediates_and_with_its_root(make: Make, root: Made) -> None:
    middle = authority("Middle", by=root)
    lower = authority("Lower", by=middle)
    made = client(lower)
    assert prove(make(), made).user == "alice"
    with_root = shown(*made.chain, root.chain[0])
    assert make().authenticate(with_root).user == "alice"
    assert prove(make(root, middle), client(middle)).user == "alice"


def test_no_extended_key_usage_is_no_restriction(make: Make, root: Made) -> None:
    assert prove(make(), client(root, usages=None)).user == "alice"
    assert prove(make(), client(root, usages=[SERVER, CLIENT])).user == "alice"


# ---- what is none of ours ------------------------------------------------------------------------------------------


def test_a_certificate_of_somebody_else_is_nothing(make: Make) -> None:
    """It is no wrong credential: browsers show whatever they have."""
    other = authority("Somebody else")
    for made in (other, client(other), client(authority("Its middle", by=other))):
        assert not make().recognises(shown(*made.chain))


@pytest.mark.parametrize("value", ["", " ", "x", "AAAA", "MIIB", "AAAA AAAA", "\0", "é", "A" * 200_000, " " * 1000])
def test_what_is_no_certificate_is_nothing(make: Make, value: str) -> None:
    assert not make().recognises(Presented(slot=Slot.CERTIFICATE, value=value))


@pytest.mark.parametrize("slot", [slot for slot in Slot if slot is not Slot.CERTIFICATE])
def test_no_header_can_show_a_certificate(make: Make, root: Made, slot: Slot) -> None:
    """Whoever has seen one, and they are public, must not be taken for its owner."""
    value = shown(*client(root).chain).value
    assert not make().recognises(Presented(slot=slot, value=value))


# ---- what is wrong -------------------------------------------------------------------------------------------------


def impostor() -> Made:
    """An authority of the same name, with a key of its own."""
    return authority()


def test_the_name_of_our_authority_proves_nothing(make: Make, root: Made) -> None:
    fake = impostor()
    assert reason(make(), *client(fake).chain) == "bad_key"
    assert reason(make(), *client(fake).chain, *fake.chain) == "bad_key"
    assert reason(make(), *client(fake).chain, *root.chain) == "bad_key"
    assert reason(make(), *fake.chain) == "bad_key"


def test_a_right_certificate_behind_a_forged_one_does_not_help(make: Make, root: Made) -> None:
    """What counts is the certificate whose key the handshake proved: the first."""
    assert reason(make(), *client(impostor()).chain, *client(root).chain) == "bad_key"


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"since": -DAY * 3, "until": -DAY}, "expired"),
        ({"since": DAY, "until": DAY * 2}, "not yet valid"),
        ({"usages": [SERVER]}, "a server's certificate"),
        ({"usages": [x509.ObjectIdentifier("1.3.6.1.5.5.7.3.4")]}, "for e-mail"),
        ({"key": rsa.generate_private_key(65537, 1024)}, "a key that is too short"),
        ({"extra": [(x509.BasicConstraints(ca=True, path_length=None), True)]}, "an authority's"),
        (
            {"extra": [(x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00"), True)]},
            "a critical extension that nobody knows",
        ),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_certificates_of_ours_that_prove_nothing(make: Make, root: Made, changes: dict[str, Any], why: str) -> None:
    assert reason(make(), *client(root, **changes).chain) == "bad_key"


def test_a_leaf_makes_no_certificates(make: Make, root: Made) -> None:
    leaf = client(root, "mallory")
    under = client(Made(certificate=leaf.certificate, key=leaf.key, above=(leaf.certificate,)), "admin")
    assert reason(make(), *under.chain) == "bad_key"
    no_authority = authority("Middle", by=root, ca=False)
    assert reason(make(), *client(no_authority).chain) == "bad_key"
    bounded = authority("Bounded", by=root, path_length=0)
    assert reason(make(), *client(authority("Below", by=bounded)).chain) == "bad_key"


def test_chains_that_are_too_long_or_cut(make: Make, root: Made) -> None:
    made = client(root)
    assert reason(make(), *made.chain, *[root.chain[0]] * 4) == "malformed"
    assert reason(make(), *made.chain, b"\x30" * 60_000) == "malformed"
    assert reason(make(), *made.chain, b"\x30\x03") == "malformed"
    lower = authority("Lower", by=authority("Middle", by=root))
    made = client(lower)
    assert reason(make(root, lower), made.chain[0], b"".join(made.chain[1:])) == "malformed"
    # The names of the authorities above are only known by what is sent.
    assert not make().recognises(shown(made.chain[0]))
    assert reason(make(), made.chain[0], made.chain[2]) == "bad_key"


@pytest.mark.parametrize("common", ["a b", "*", "alice\u202e", "a,b", "../x", "-x"])
def test_names_that_are_none(make: Make, root: Made, common: str) -> None:
    assert reason(make(), *client(root, common).chain) == "not_allowed"


def test_a_group_that_is_none_refuses_rather_than_be_left_out(make: Make, root: Made) -> None:
    """It may be the group whose policy forbids something."""
    assert reason(make(), *client(root, units=["team-a", "Team B"]).chain) == "not_allowed"
    assert (
        reason(make(), *client(root, None, units=["team-a"], alternative=[x509.DNSName("*.corp")]).chain)
        == "not_allowed"
    )
    assert reason(make(names="san_uri"), *client(root).chain) == "not_allowed"
    assert reason(
        make(), *client(root, alternative=[x509.UniformResourceIdentifier("spiffe://corp/" + "x" * 100)]).chain
    ) == ("not_allowed")


# ---- files ---------------------------------------------------------------------------------------------------------


def look(method: ClientCertificates) -> None:
    method._files.look()


def test_an_authority_that_is_taken_away_ends_what_it_proved(make: Make, root: Made, tmp_path: Path) -> None:
    other = authority("Other clients")
    method = make(root, other)
    one, two = prove(method, client(root)), prove(method, client(other, "bob"))
    (tmp_path / "ca.pem").write_bytes(other.pem)
    look(method)
    with pytest.raises(Unauthenticated) as raised:
        method.current(one)
    assert raised.value.reason == "revoked"
    assert method.current(two) == two
    assert not method.recognises(shown(*client(root).chain))
    assert method.authorities == (other.certificate,)


@pytest.mark.parametrize(
    "content", [b"", b"canary", b"-----BEGIN CERTIFICATE-----\ncanary\n-----END CERTIFICATE-----\n"]
)
def test_a_bad_file_leaves_what_was(make: Make, root: Made, tmp_path: Path, content: bytes, caplog: Any) -> None:
    method, made = make(), client(root)
    identity = prove(method, made)
    (tmp_path / "ca.pem").write_bytes(content)
    look(method)
    assert method.current(identity) is identity
    assert prove(method, made) == identity
    assert "the old ones stay in force" in caplog.text
    assert "canary" not in caplog.text


def test_files_that_cannot_be_used_refuse_to_start(make: Make, root: Made) -> None:
    with pytest.raises(StateUnusable, match="certificate 2 is that of no authority"):
        make(root, client(root))
    with pytest.raises(StateUnusable, match="holds no revocation list"):
        make(crl=b"canary")
    both = revocations(root).public_bytes(Encoding.PEM) * 2
    with pytest.raises(StateUnusable, match="two revocation lists of one issuer"):
        make(crl=both)


def crl(*lists: x509.CertificateRevocationList) -> bytes:
    return b"".join(one.public_bytes(Encoding.PEM) for one in lists)


def test_a_revoked_certificate_is_out_and_others_are_not(make: Make, root: Made, tmp_path: Path) -> None:
    bad, good = client(root, "mallory"), client(root)
    method = make(crl=crl(revocations(root)))
    before, other = prove(method, bad), prove(method, good)
    (tmp_path / "crl.pem").write_bytes(revocations(root, bad).public_bytes(Encoding.DER))
    look(method)
    with pytest.raises(Unauthenticated) as raised:
        method.current(before)
    assert raised.value.reason == "revoked"
    assert reason(method, *bad.chain) == "bad_key"
    assert method.current(other) == other
    assert prove(method, good) == other


def test_another_process_knows_a_revoked_certificate_by_its_mark(make: Make, root: Made) -> None:
    """A placeholder token that was made before a restart brings an identity that nobody here has proved."""
    bad = client(root, "mallory")
    identity = prove(make(), bad)
    assert make(crl=crl(revocations(root))).current(identity) is identity
    for method in (make(crl=crl(revocations(root, bad))), make(authority("Other"))):
        with pytest.raises(Unauthenticated):
            method.current(identity)


def test_a_revoked_intermediate_ends_what_hangs_on_it(make: Make, root: Made, tmp_path: Path) -> None:
    middle = authority("Middle", by=root)
    made = client(middle)
    method = make(crl=crl(revocations(root), revocations(middle)))
    identity = prove(method, made)
    (tmp_path / "crl.pem").write_bytes(crl(revocations(root, middle), revocations(middle)))
    look(method)
    assert reason(method, *made.chain) == "bad_key"
    with pytest.raises(Unauthenticated):
        method.current(identity)


def test_a_revoked_intermediate_ends_also_what_this_process_has_forgotten(make: Make, root: Made) -> None:
    """A tunnel may outlive the memory of its proof: its mark names every certificate on the way to the root."""
    middle = authority("Middle", by=root)
    other = authority("Other middle", by=root)
    identity, second = prove(make(), client(middle)), prove(make(), client(other))
    later = make(crl=crl(revocations(root, middle), revocations(middle), revocations(other)))
    with pytest.raises(Unauthenticated) as raised:
        later.current(identity)
    assert raised.value.reason == "revoked"
    assert later.current(second) is second


@pytest.mark.parametrize("mark", ["", "x", None])
def test_a_mark_that_is_none_stands_for_nobody(make: Make, root: Made, mark: str | None) -> None:
    method = make()
    identity = prove(method, client(root))
    known = (identity.key_id or "").split(".")[0]
    for key_id in (mark, f"{known}.{mark}" if mark else known):
        with pytest.raises(Unauthenticated):
            method.current(replace(identity, key_id=key_id))


def test_without_the_list_of_its_issuer_nothing_is_believed(make: Make, root: Made) -> None:
    middle = authority("Middle", by=root)
    assert reason(make(crl=crl(revocations(root))), *client(middle).chain) == "bad_key"


def test_a_list_that_the_issuer_did_not_sign_is_none(make: Make, root: Made) -> None:
    forged = revocations(root, signed_by=impostor())
    assert reason(make(crl=crl(forged)), *client(root).chain) == "bad_key"


def test_a_list_that_has_ended_says_nothing(make: Make, root: Made, clock: ManualClock) -> None:
    method = make(crl=crl(revocations(root, ends=datetime.timedelta(hours=1))))
    made = client(root)
    identity = prove(method, made)
    assert method.usable()
    clock.advance(3700)
    assert not method.usable()
    for ask in (lambda: method.recall(shown(*made.chain)), lambda: method.current(identity)):
        with pytest.raises(Unavailable):
            ask()


def test_memory_is_bounded(make: Make, root: Made) -> None:
    method, made = make(), client(root)
    for number in range(REMEMBERED + 20):
        method.recognises(shown(b"%d" % number, *made.chain))
    assert len(method._issuers) == REMEMBERED


def test_before_the_files_were_read_nothing_is_judged(tmp_path: Path, root: Made, clock: ManualClock) -> None:
    options = MtlsOptions(type="mtls", ca_file=tmp_path / "missing.pem")
    method = ClientCertificates(options, surroundings(cast(Any, None), clock))
    assert not method.recognises(shown(*client(root).chain))
    assert not method.usable()
    with pytest.raises(StateUnusable, match=r"missing\.pem cannot be read: No such file"):
        method.start()
