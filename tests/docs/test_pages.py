"""Every example of the README and of docs/ runs, in order, page by page."""

from __future__ import annotations

import builtins
import contextlib
import io
import linecache
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

import smime
from tests.docs.blocks import ROOT, RUNS, Scratch, check, read_blocks, with_output
from tests.support.world import World

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
# Pages that begin from nothing; the others find the files of `furniture`.
FROM_NOTHING = {"docs/tutorial.md", "docs/club-ca.md"}
# Pages of which the examples need a program that not every machine has.
NEEDS = {"docs/howto/openpgp.md": "gpg", "docs/howto/autocrypt.md": "gpg"}
PASSPHRASE = "correct horse battery staple"


def name_of(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.fixture(scope="session")
def furniture(tmp_path_factory: pytest.TempPathFactory, world: World, letter: bytes) -> Path:
    """A folder with what the pages speak of: keys, certificates, the root, mails."""
    folder = tmp_path_factory.mktemp("furniture")
    for name in ("alice", "bob", "carol"):
        identity = getattr(world, name)
        (folder / f"{name}.p12").write_bytes(identity.to_p12(PASSPHRASE))
        (folder / f"{name}.pem").write_bytes(pem(identity.certificate))
    (folder / "root.pem").write_bytes(pem(world.ca.certificate))
    secret = folder / "passphrase"
    secret.write_text(PASSPHRASE + "\n")
    secret.chmod(0o600)
    (folder / "letter.eml").write_bytes(letter)
    signed = smime.sign(letter, by=world.alice)
    (folder / "signed.eml").write_bytes(bytes(signed))
    sealed = smime.protect(letter, by=world.alice, to=world.bob)
    (folder / "sealed.eml").write_bytes(bytes(sealed))
    return folder


def pem(certificate: Any) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding

    return bytes(certificate.public_bytes(Encoding.PEM))


def run_page(page: Path, scratch: Scratch) -> int:
    """Run the blocks of a page; return how many ran."""
    names: dict[str, Any] = {"__name__": name_of(page)}
    saved: set[str] = set()
    ran = 0
    for block, expected in with_output(read_blocks(page)):
        if block.not_run:
            continue
        printed, status = "", 0
        if "file" in block.options:
            saved.add(scratch.save(block))
        elif block.language == "python":
            source = f"<{block}>"
            linecache.cache[source] = len(block.text), None, block.text.splitlines(True), source
            with contextlib.redirect_stdout(io.StringIO()) as out:
                exec(compile(block.text, source, "exec"), names)
            printed = out.getvalue()
        else:
            status, printed = scratch.run(block.text)
            saved = {file for file in saved if file not in block.text}
        check(block, status, printed, expected)
        ran += 1
    assert not saved, f"{name_of(page)}: saved and never run: {saved}"
    return ran


@pytest.fixture
def typed_passphrase(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever is asked for a passphrase types it."""
    monkeypatch.setattr(builtins, "input", lambda *prompt: PASSPHRASE)


@pytest.fixture
def here(furniture: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the folder, for one page to work in."""
    folder = tmp_path / "scratch"
    shutil.copytree(furniture, folder)
    monkeypatch.chdir(folder)
    return folder


def due_on(page: Path) -> int:
    """Count the blocks of a page that have to run."""
    return sum(block.language in RUNS and not block.not_run for block in read_blocks(page))


def due_pages() -> list[Any]:
    """Return the pages that have something to run, each with the peer that it needs."""
    return [
        pytest.param(
            page,
            id=name_of(page),
            marks=[pytest.mark.peer(NEEDS[name_of(page)])] if name_of(page) in NEEDS else [],
        )
        for page in PAGES
        if due_on(page)
    ]


@pytest.mark.parametrize("page", due_pages())
@pytest.mark.usefixtures("typed_passphrase")
def test_examples_of(page: Path, here: Path, tmp_path: Path, record_property: Any) -> None:
    """All blocks of the page run and do what the page says."""
    if name_of(page) in FROM_NOTHING:
        for file in here.iterdir():
            file.unlink()
    record_property("blocks due", due_on(page))

    ran = run_page(page, Scratch(here, tmp_path / "bin"))

    record_property("blocks run", ran)
    assert ran == due_on(page)


def test_every_block_has_a_language_and_every_reason_a_block() -> None:
    """What no runner knows would never run; a stray reason excuses nothing."""
    known = {*RUNS, "text", "toml", "json", "ini"}
    for page in PAGES:
        read = read_blocks(page)
        assert {block.language for block in read} <= known, name_of(page)
        comments = page.read_text(encoding="utf-8").count("<!-- not run:")
        assert comments == sum(bool(block.not_run) for block in read), name_of(page)


def test_links_between_pages_lead_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8")):
            assert (page.parent / target).exists(), f"{name_of(page)}: {target}"
