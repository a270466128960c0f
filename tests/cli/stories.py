"""Short stories a person could type, run line by line.

    # A title opens a story; it ends at the next title.
    smimetool ARG...            run it here; it must succeed. `< FILE` and `> FILE` at the end
    ! smimetool ARG...          it must fail
    sh LINE / ! sh LINE         the same in a shell of its own, without a terminal
    status N                    the last exit status
    stdout 'TEXT'               it was said; `! stdout 'TEXT'`: it was not; `stdout ''`: nothing
    stderr 'TEXT'               the same for standard error
    exists FILE / ! exists FILE
    cmp A B / ! cmp A B         equal bytes
    mode FILE 600               permissions, in octal digits
    replace FILE A B            each A becomes B; there must be one
    write FILE 'TEXT'  copy A B  mkdir DIR
    shorten FILE PERCENT        keep so much of it
    damage FILE N               another base64 digit N octets before the end
    swap A B                    A gets the signature of B (both multipart/signed)
    env NAME=VALUE              for what follows

Whatever fails must say one line on standard error that begins with ``smimetool`` (and
perhaps one with a hint), nothing on standard output, show no traceback, and leave the
folder as it was; the runner checks that itself.
"""

from __future__ import annotations

import io
import os
import shlex
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

STORIES = Path(__file__).parent / "stories"


@dataclass(frozen=True)
class Done:
    """What a run left: status, standard output and standard error."""

    status: int
    stdout: bytes = b""
    stderr: bytes = b""


@dataclass(frozen=True)
class Story:
    """A title and the lines below it."""

    name: str
    lines: tuple[str, ...]

    def __str__(self) -> str:
        return self.name


def load_stories() -> list[Story]:
    """Return every story of the folder, in order."""
    stories = []
    for file in sorted(STORIES.glob("*.txt")):
        lines: list[str] = []
        for line in file.read_text(encoding="utf-8").splitlines():
            if line.startswith("# "):
                lines = []
                title = f"{file.stem}: {line[2:].rstrip('.')}"
                stories.append((title, lines))
            elif line.strip():
                lines.append(line)
    return [Story(title, tuple(lines)) for title, lines in stories]


@dataclass
class Stage:
    """A folder, and what happened there last."""

    folder: Path
    launcher: Path
    env: dict[str, str] = field(default_factory=dict)
    last: Done = field(default_factory=lambda: Done(0))

    def play(self, story: Story) -> None:
        """Run the story; an assertion that fails names its line."""
        for line in story.lines:
            wanted = not line.startswith("! ")
            text = line.removeprefix("! ").strip()
            verb, _, rest = text.partition(" ")
            try:
                if verb == "sh":
                    self._run(wanted, lambda rest=rest: self.shell(rest))
                elif verb == "smimetool":
                    words = shlex.split(rest)
                    self._run(wanted, lambda words=words: self._here(words))
                else:
                    getattr(self, f"do_{verb}")(*shlex.split(rest), wanted=wanted)
            except AssertionError as failure:
                said = self.last.stderr.decode(errors="replace")
                raise AssertionError(
                    f"in the line: {line}\n{failure}\nstatus {self.last.status}\n"
                    f"stdout {self.last.stdout!r}\nstderr {said}"
                ) from failure

    def _run(self, wanted: bool, run: object) -> None:
        before = self._listing()
        self.last = run()  # type: ignore[operator]
        assert (self.last.status == 0) == wanted, "it should have been the other way"
        if not wanted:
            self.check_failure(before)

    def check_failure(self, before: dict[str, bytes]) -> None:
        """Check what holds of every failure."""
        said = self.last.stderr.decode(errors="replace").splitlines()
        if said:
            assert said[0].startswith("smimetool"), "standard error does not begin well"
            assert len(said) == 1 or (len(said) == 2 and said[1].startswith("hint: ")), "not 1 line"
        # A report is said whatever it says: as JSON, and the tree of `chain`.
        reports = self.last.stdout.startswith(b"{") or b"path: " in self.last.stdout
        assert self.last.stdout == b"" or reports, "it said something"
        assert self._listing() == before, "it left something behind"

    def _listing(self) -> dict[str, bytes]:
        return {
            str(path.relative_to(self.folder)): path.read_bytes() if path.is_file() else b""
            for path in self.folder.rglob("*")
        }

    def _here(self, words: list[str]) -> Done:
        given, target = b"", None
        while len(words) > 2 and words[-2] in {"<", ">"}:
            if words[-2] == "<":
                given = Path(words[-1]).read_bytes()
            else:
                target = Path(words[-1])
            words = words[:-2]
        done = self.here(*words, given=given)
        if target:
            target.write_bytes(done.stdout)
        return done

    def here(self, *argv: str, given: bytes = b"") -> Done:
        """Call ``main`` in this process with binary streams of its own."""
        from smime.cli.main import main

        streams = sys.stdin, sys.stdout, sys.stderr
        out, err = io.BytesIO(), io.BytesIO()
        environment = dict(os.environ)
        os.environ.update(self.env)
        # Named, for a text stream that nobody holds closes the bytes below it.
        mine = (
            io.TextIOWrapper(io.BytesIO(given)),
            io.TextIOWrapper(out, "ascii"),
            io.TextIOWrapper(err, "ascii"),
        )
        sys.stdin, sys.stdout, sys.stderr = mine
        try:
            status = main(argv)
            sys.stdout.flush()
        finally:
            sys.stdin, sys.stdout, sys.stderr = streams
            os.environ.clear()
            os.environ.update(environment)
        return Done(status, out.getvalue(), err.getvalue())

    def shell(self, line: str) -> Done:
        """Run a line in a shell without a terminal; ``smimetool`` is on its PATH."""
        path = f"{self.launcher.parent}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            ["/bin/sh", "-c", line],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=60,
            check=False,
            cwd=self.folder,
            env={**os.environ, **self.env, "PATH": path, "SMIMETOOL": str(self.launcher)},
            start_new_session=True,  # no terminal to ask on, even where the tests have one
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def do_status(self, number: str, *, wanted: bool) -> None:
        assert (self.last.status == int(number)) is wanted

    def do_stdout(self, text: str, *, wanted: bool) -> None:
        _said(self.last.stdout, text, wanted)

    def do_stderr(self, text: str, *, wanted: bool) -> None:
        _said(self.last.stderr, text, wanted)

    def do_exists(self, name: str, *, wanted: bool) -> None:
        assert Path(name).exists() is wanted

    def do_cmp(self, one: str, other: str, *, wanted: bool) -> None:
        assert (Path(one).read_bytes() == Path(other).read_bytes()) is wanted

    def do_mode(self, name: str, digits: str, *, wanted: bool) -> None:
        mode = f"{Path(name).stat().st_mode & 0o777:o}"
        assert (mode == digits) is wanted, f"the mode is {mode}"

    def do_replace(self, name: str, old: str, new: str, *, wanted: bool) -> None:
        data = Path(name).read_bytes()
        assert (old.encode() in data) is wanted
        Path(name).write_bytes(data.replace(old.encode(), new.encode()))

    def do_write(self, name: str, text: str, *, wanted: bool) -> None:
        Path(name).write_bytes(text.encode().replace(b"\\n", b"\r\n"))

    def do_shorten(self, name: str, percent: str, *, wanted: bool) -> None:
        data = Path(name).read_bytes()
        Path(name).write_bytes(data[: len(data) * int(percent) // 100])

    def do_damage(self, name: str, octets: str, *, wanted: bool) -> None:
        data = bytearray(Path(name).read_bytes())
        at = len(data) - int(octets)
        while not chr(data[at]).isalnum():
            at -= 1
        data[at] = ord("B") if data[at] != ord("B") else ord("C")
        Path(name).write_bytes(data)

    def do_swap(self, one: str, other: str, *, wanted: bool) -> None:
        data, taken = Path(one).read_bytes(), _signature(Path(other).read_bytes())
        assert _signature(data) != taken
        Path(one).write_bytes(data.replace(_signature(data), taken))

    def do_copy(self, one: str, other: str, *, wanted: bool) -> None:
        Path(other).write_bytes(Path(one).read_bytes())

    def do_mkdir(self, name: str, *, wanted: bool) -> None:
        Path(name).mkdir()

    def do_env(self, assignment: str, *, wanted: bool) -> None:
        name, _, value = assignment.partition("=")
        self.env[name] = value


def _signature(mail: bytes) -> bytes:
    """Return the last part's body: the signature."""
    start = mail.index(b"\r\n\r\n", mail.rindex(b"smime.p7s")) + 4
    return mail[start : mail.index(b"\r\n--", start)]


def _said(data: bytes, text: str, wanted: bool) -> None:
    if text == "":
        assert (data == b"") is wanted
    else:
        assert (text in data.decode(errors="backslashreplace")) is wanted, f"about {text!r}"
