"""How every command ends badly: faults of ours, and interruption."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

import smime
from smime.cli.failures import _AS_OPTION, UsageError, hint_of, name_subject, status_of
from smime.cli.main import main
from tests.cli.stories import Stage


@pytest.mark.parametrize(
    ("problem", "status"),
    [
        (smime.MalformedMail("x"), 3),
        (smime.LimitExceeded("x"), 3),
        (smime.NotSupported("x"), 4),
        (smime.KeyProblem("x"), 5),
        (smime.DecryptionFailed("x"), 6),
        (UsageError("x"), 2),
        (OSError(2, "No such file", b"x"), 8),
        (OSError("x"), 8),
        (KeyboardInterrupt(), 130),
        (ValueError("secret"), 70),
        (MemoryError(), 70),
        (SystemExit(0), 0),
        (SystemExit(None), 0),
        (SystemExit("x"), 1),
    ],
    ids=repr,
)
def test_every_end_has_its_status(
    problem: BaseException, status: int, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """One line and perhaps a hint; what an unforeseen error says is not repeated."""
    assert status_of(problem) == status

    said = capfdbinary.readouterr().err.splitlines()
    assert len(said) <= 2
    assert all(line.startswith((b"smimetool: ", b"hint: ")) for line in said)
    assert not any(b"secret" in line for line in said)


def test_a_fault_shows_where_it_is_only_on_demand(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """A traceback is for whoever asks for it."""

    def broken(argv: list[str]) -> int:
        raise ZeroDivisionError

    monkeypatch.setattr("smime.cli.main._command", lambda place: broken)

    assert main(["sign"]) == 70
    assert capsys.readouterr().err.splitlines() == [
        "smimetool: a fault in smimetool itself: ZeroDivisionError",
        "hint: please report it; with SMIMETOOL_DEBUG=1 in the environment it shows where",
    ]
    monkeypatch.setenv("SMIMETOOL_DEBUG", "1")
    assert main(["sign"]) == 70
    assert "in broken" in capsys.readouterr().err


# In a process of its own: to fork one that has threads, as a worker of the tests may, is unsafe.
DIALOGUE = """
import os, select, sys, time
pid, terminal = os.forkpty()
if pid == 0:
    os.execv(sys.argv[1], ["smimetool", *sys.argv[2:]])
seen, answered, until = b"", False, time.monotonic() + 20
while time.monotonic() < until:
    if select.select([terminal], [], [], 1)[0]:
        try:
            piece = os.read(terminal, 1024)
        except OSError:  # EIO: how Linux says that the other side has gone
            break
        if not piece:
            break
        seen += piece
    if not answered and seen.endswith(b": "):
        answered = bool(os.write(terminal, b"one two three\\n"))
sys.stdout.buffer.write(seen)
os.close(terminal)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""


def test_a_missing_passphrase_is_asked_for_on_the_terminal(stage: Stage) -> None:
    """The prompt names the file and goes to the terminal, not to a stream; nothing is echoed."""
    arguments = ["sign", "-i", "alice.p12", "-o", "signed.eml", "letter.eml"]
    done = subprocess.run(
        [sys.executable, "-c", DIALOGUE, stage.launcher, *arguments],
        stdout=subprocess.PIPE,
        timeout=60,
        check=False,
    )

    assert done.returncode == 0, done.stdout
    assert done.stdout.strip() == b"Passphrase of alice.p12:"
    assert stage.here("verify", "--ca", "root.pem", "signed.eml").status == 0


def test_ctrl_c_ends_with_130_and_leaves_nothing(stage: Stage) -> None:
    """Interrupted while it waits for its input, it says so in one line."""
    # A shell lets what it runs behind "&" ignore it, and that is handed on; a handler is not.
    former = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        process = subprocess.Popen(
            [stage.launcher, "sign", "-i", "alice-id.pem", "-o", "out.eml"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
    finally:
        signal.signal(signal.SIGINT, former)
    assert process.stdin is not None
    # More than a pipe and the reader's buffer hold: when this is written, it is reading.
    process.stdin.write(b"x" * (1 << 21))
    process.stdin.flush()
    process.send_signal(signal.SIGINT)
    stdout, stderr = process.communicate(timeout=30)

    assert process.returncode == 130
    assert stdout == b""
    assert stderr == b"smimetool: interrupted\n"
    assert not Path("out.eml").exists()


def test_python_dash_m_is_the_command(stage: Stage) -> None:
    """``python -m smime`` and ``main`` answer alike."""
    done = stage.shell("smimetool --version")

    assert done.stdout == f"smimetool {smime.__version__}\n".encode()
    assert done == stage.here("--version")
    assert sys.version_info >= (3, 11)


def test_hints_of_the_library_are_told_as_options() -> None:
    """What the library says in Python a person at a shell cannot type."""
    sources = "\n".join(
        file.read_text(encoding="utf-8")
        for file in Path(smime.__file__).parent.rglob("*.py")
        if file.parent.name != "cli"
    )

    for call, words in _AS_OPTION.items():
        assert call in sources, "the library no longer says it"
        assert hint_of(smime.KeyProblem("x", hint=f"try {call}x)")) == words
    assert hint_of(smime.KeyProblem("x", hint="smime.some_call()")) == ""
    assert hint_of(smime.KeyProblem("x", hint="renew it")) == "renew it"


def test_a_message_names_its_file_once() -> None:
    """Unless the library did; a short name that happens to stand in the text is no name."""
    told = {
        ("a", "a bad mail"): "a: a bad mail",
        ("a", "a: bad"): "a: bad",
        ("a", "the file 'a' is bad"): "the file 'a' is bad",
        ("", "bad"): "bad",
        ("a", "b", "none is good"): "a or b: none is good",
        ("a", "b", "b: is bad"): "b: is bad",
    }
    for (*names, message), said in told.items():
        problem = smime.KeyProblem(message)
        name_subject(problem, *names)
        assert str(problem) == said
