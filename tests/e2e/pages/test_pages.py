"""Every command that a page shows is typed here, as it stands, and does what it must: it ends with 0."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from llmauth.demo.emulators import Emulators
from tests.e2e.pages.commands import steps
from tests.e2e.pages.world import ELSEWHERE, World, walk
from tests.e2e.pages.worlds import WORLDS
from tests.sources import ROOT
from tests.test_docs import PAGES

NAMED = {str(page.relative_to(ROOT)): page for page in PAGES}
NEEDED = ("curl", "openssl")


def test_every_page_with_commands_has_its_world() -> None:
    nothing = World()
    with_commands = {name for name, page in NAMED.items() if not all(map(nothing.leaves, steps(page)))}
    assert with_commands == WORLDS.keys()


@pytest.mark.parametrize(
    "file", sorted({*ELSEWHERE.values(), *(each for world in WORLDS.values() for each in world.elsewhere.values())})
)
def test_what_is_run_elsewhere_is_run_there(file: str) -> None:
    assert (ROOT / file).exists()


@pytest.mark.slow
@pytest.mark.skipif(not all(map(shutil.which, NEEDED)), reason=f"needs {' and '.join(NEEDED)}")
@pytest.mark.parametrize(("name", "world"), WORLDS.items(), ids=WORLDS)
def test_every_command_of_a_page_runs(name: str, world: World, tmp_path: Path, emulators: Emulators) -> None:
    missing = [program for program in world.needs if shutil.which(program) is None]
    if missing:
        pytest.skip(f"needs {', '.join(missing)}")
    typed = [step for step in dict.fromkeys(steps(NAMED[name])) if not world.leaves(step)]
    assert typed or world.elsewhere or world.leaves_out
    place, said = walk(NAMED[name], world, tmp_path, emulators)
    assert len(said) == len([step for step in typed if not step.serves])
    for expected in world.sees:
        assert any(expected in each for each in said), (expected, said)
    for call in world.calls:
        assert any(call in each for each in place.standins.calls()), call
