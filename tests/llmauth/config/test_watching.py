"""Files of a configuration: which there are, and when what they hold counts as changed."""

from __future__ import annotations

import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import pytest

from llmauth.config.problems import ConfigError
from llmauth.config.settings import Settings, read_settings
from llmauth.config.watching import FilesChanged, Watch, files_of, mark, mark_of_roots, named_in, roots_of

Read = Callable[[], Settings]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    found = tmp_path / "c.yaml"
    found.write_text("instances: {openai: {type: openai}}\n")
    return found


@pytest.fixture
def read(tmp_path: Path, file: Path) -> Read:
    return lambda: read_settings([file], {"LLMAUTH_HOME": str(tmp_path / "home")})


def test_every_file_that_is_read_with_it_is_one_of_its_files(tmp_path: Path, file: Path, read: Read) -> None:
    (tmp_path / "prices.yaml").write_text("gpt-5: {input: 1}\n")
    file.write_text(
        "prices: prices.yaml\nserver: {tls_cert_file: a.crt, tls_key_file: a.key}\nupstream: {ca_file: roots.pem}\n"
        "vaults: {hashicorp: {address: 'https://v', ca_file: vault.pem, auth: {method: token}}}\n"
        "auth: {methods: [{type: oidc, issuer: 'https://idp.corp', audience: [a], ca_file: idp.pem}]}\n"
    )
    names = {path.name for path in files_of(read())}
    assert names == {"c.yaml", "prices.yaml", "a.crt", "a.key", "roots.pem", "vault.pem", "idp.pem", "ca-key.pem"}


def test_contents_count_and_not_times(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    one.write_text("a")
    before = mark([one, other])
    os.utime(one, (1, 1))
    assert mark([one, other]) == before
    other.write_text("")
    assert mark([one, other]) != before  # there, and empty, is not the same as not there
    one.write_text("b")
    assert len({before, mark([one, other]), mark([other, one])}) == 3


def test_a_change_counts_when_it_has_come_to_rest(file: Path, read: Read) -> None:
    watch = Watch(read())
    file.write_text("instances: {openai: {type: openai}}\nlimits: {")
    assert not watch.look()
    file.write_text("instances: {openai: {type: openai}}\nlimits: {url_bytes: 1KiB}\n")
    assert [watch.look(), watch.look()] == [False, True]
    settings, _ = watch.read(read)
    assert settings.limits.url_bytes == 1024
    watch.taken()
    assert [watch.look(), watch.look()] == [False, False]


def test_what_could_not_be_read_is_read_again_when_it_changes(tmp_path: Path, file: Path, read: Read) -> None:
    """Also where the fault stands in a file that the configuration had not named before."""
    watch = Watch(read())
    prices = tmp_path / "prices.yaml"
    prices.write_text("gpt-5: {inptu: 1}\n")
    file.write_text("prices: prices.yaml\n")
    assert [watch.look(), watch.look()] == [False, True]
    with pytest.raises(ConfigError) as raised:
        watch.read(read)
    assert named_in(raised.value) == (prices,)
    assert [watch.look(), watch.look()] == [False, False]
    prices.write_text("gpt-5: {input: 1}\n")
    assert [watch.look(), watch.look()] == [False, True]
    assert watch.read(read)[0].prices


def test_files_that_never_hold_still_are_not_taken(file: Path, read: Read) -> None:
    watch, count = Watch(read()), iter(range(100))

    def busy() -> Settings:
        file.write_text(f"# {next(count)}\ninstances: {{openai: {{type: openai}}}}\n")
        return read()

    with pytest.raises(FilesChanged):
        watch.read(busy)


def test_roots_are_marked_by_what_they_hold(tmp_path: Path, file: Path, read: Read) -> None:
    file.write_text("upstream: {ca_file: roots.pem}\n")
    upstream = read().upstream
    assert list(roots_of(upstream)) == [tmp_path / "roots.pem"]
    missing = mark_of_roots(upstream)
    (tmp_path / "roots.pem").write_text("x")
    assert mark_of_roots(upstream) != missing
    assert mark_of_roots(read().log) == mark_of_roots(None) == ""


@pytest.mark.timeout(10)
def test_what_is_not_to_be_read_is_told_apart_all_the_same(file: Path, read: Read) -> None:
    """A pipe has no writer, and a sparse file would fill the memory: neither is read, and both are changes."""
    watch, whole = Watch(read()), file.read_text()
    os.truncate(file, 700_000_000)
    tracemalloc.start()
    try:
        assert [watch.look(), watch.look()] == [False, True]
        assert tracemalloc.get_traced_memory()[1] < 100 * 2**20
    finally:
        tracemalloc.stop()
    with pytest.raises(ConfigError, match="larger than 1 MiB"):
        watch.read(read)
    file.unlink()
    os.mkfifo(file)
    assert [watch.look(), watch.look()] == [False, True]
    with pytest.raises(ConfigError, match="is no regular file"):
        watch.read(read)
    assert [watch.look(), watch.look()] == [False, False]
    file.unlink()
    file.write_text(whole)
    assert [watch.look(), watch.look()] == [False, True]
    assert watch.read(read)[0].instances


def test_a_folder_in_its_place_costs_no_descriptor_at_each_look(file: Path, read: Read) -> None:
    watch = Watch(read())
    file.unlink()
    file.mkdir()
    before = len(os.listdir("/dev/fd"))
    for _ in range(5):
        watch.look()
    assert len(os.listdir("/dev/fd")) == before
