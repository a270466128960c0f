"""The public names: there, lazy, documented, and cheap to import."""

from __future__ import annotations

import inspect
import pydoc
import subprocess
import sys
from pathlib import Path

import pytest

import pki
import smime

ROOT = Path(__file__).parents[2]
VERBS = ["sign", "encrypt", "protect", "protect_each", "verify", "decrypt", "open", "examine"]


def modules_after(code: str) -> set[str]:
    """What is imported by ``code`` in an interpreter that has no site-packages."""
    script = (
        f"import sys; sys.path.insert(0, {str(ROOT)!r}); before = set(sys.modules)\n{code}\n"
        "print(*sorted(set(sys.modules) - before))"
    )
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", script],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    return set(done.stdout.split())


def test_import_smime_imports_nothing_dear() -> None:
    loaded = modules_after("import smime; smime.__version__; dir(smime)")

    assert loaded == {"smime", "__future__"}


def test_the_measure_can_see() -> None:
    loaded = modules_after("import smime; smime.Outcome; import email.message, typing")

    assert {"smime", "smime.report", "typing", "email.message", "dataclasses"} <= loaded


@pytest.mark.parametrize("module", [smime, pki], ids=["smime", "pki"])
def test_every_public_name_is_there_and_documented(module: object) -> None:
    names = [name for name in module.__all__ if not name.startswith("_")]  # type: ignore[attr-defined]

    assert sorted(names) == names
    assert set(names) <= set(dir(module))
    for name in names:
        value = getattr(module, name)
        if inspect.isclass(value) or inspect.isfunction(value):
            assert (inspect.getdoc(value) or "").strip(), name


def test_help_names_every_verb_and_says_what_it_does() -> None:
    text = pydoc.plain(pydoc.render_doc(smime))

    assert smime.__doc__ is not None
    assert "Protect and open mail" in text
    for name in VERBS:
        assert f"{name}(" in text
        doc = inspect.getdoc(getattr(smime, name))
        assert doc is not None
        assert doc.splitlines()[0] in text
    for kind in ("Mail", "Identity", "Recipient", "Anchors", "Policy", "Opened", "Report"):
        assert f"class {kind}(" in text


def test_arguments_have_the_same_names_in_the_same_order() -> None:
    """What is learnt of one verb holds for the other: all but the mail is by keyword."""
    order = ["trust", "keys", "sender", "evidence", "policy", "at", "received_at", "tsa", "out"]
    for name in VERBS:
        first, *rest = inspect.signature(getattr(smime, name)).parameters.values()
        assert first.name == "mail"
        assert all(one.kind is inspect.Parameter.KEYWORD_ONLY for one in rest)
        if name in ("verify", "decrypt", "open", "examine"):
            expected = [one for one in order if not (name == "examine" and one == "out")]
            assert [one.name for one in rest] == expected
            assert rest[0].default is inspect.Parameter.empty
    assert inspect.signature(smime.decrypt).parameters["keys"].default is inspect.Parameter.empty


@pytest.mark.parametrize("name", ["opn", "sings", "Anchor", "_data", "incoming_"])
def test_a_typo_is_an_attribute_error(name: str) -> None:
    with pytest.raises(AttributeError, match=name):
        getattr(smime, name)
    assert not hasattr(smime, name)
