"""Where plaintext appears: whole, at once, and only when it is good."""

from __future__ import annotations

import io
import os
import stat
from pathlib import Path

import pytest

from smime import release


def write(out: object, pieces: list[bytes], *, wait: bool = True, private: bool = True) -> None:
    with release.to(out, private=private, wait=wait) as target:  # type: ignore[arg-type]
        for piece in pieces:
            target.write(piece)
        target.publish()


@pytest.fixture(params=["unnamed", "named"])
def kind(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Files without a name first, and as on systems that have none."""
    if request.param == "named":
        monkeypatch.setattr(release, "_UNNAMED", 0)
    return str(request.param)


def test_a_path_is_there_when_all_is_good(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "out"
    with release.to(path, private=True, wait=True) as target:
        target.write(b"ab")
        target.write(bytearray(b"c"))
        assert not path.exists()
        names = os.listdir(tmp_path)
        assert len(names) == (0 if kind == "unnamed" and release._UNNAMED else 1)
        target.publish()
        assert path.read_bytes() == b"abc"

    assert os.listdir(tmp_path) == ["out"]


def test_without_publish_nothing_is_left(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "out"
    path.write_bytes(b"former")

    def interrupted() -> None:
        with release.to(path, private=True, wait=True) as target:
            target.write(b"secret")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()

    assert os.listdir(tmp_path) == ["out"]
    assert path.read_bytes() == b"former"


@pytest.mark.parametrize(("private", "mode"), [(True, 0o600), (False, 0o644)])
def test_plaintext_is_for_its_owner_alone(
    kind: str, tmp_path: Path, private: bool, mode: int
) -> None:
    before = os.umask(0o022)
    try:
        write(tmp_path / "out", [b"x"], private=private)
    finally:
        os.umask(before)

    assert stat.S_IMODE((tmp_path / "out").stat().st_mode) == mode


def test_a_link_keeps_pointing(kind: str, tmp_path: Path) -> None:
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to("folder/target")

    write(tmp_path / "link", [b"x"])

    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "folder/target").read_bytes() == b"x"


def test_a_device_is_written_through(tmp_path: Path) -> None:
    """A rename would replace the device, as root even /dev/null."""
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    reading = os.open(fifo, os.O_RDONLY | os.O_NONBLOCK)
    try:
        with release.to(fifo, private=True, wait=True) as target:
            target.write(b"abc")
            with pytest.raises(BlockingIOError):
                os.read(reading, 10)
            target.publish()
        assert os.read(reading, 10) == b"abc"
    finally:
        os.close(reading)
    assert stat.S_ISFIFO(fifo.stat().st_mode)


def test_an_open_file_waits_or_does_not(tmp_path: Path) -> None:
    for wait in (True, False):
        file = io.BytesIO()
        with release.to(file, private=True, wait=wait) as target:
            target.write(b"abc")
            assert file.getvalue() == (b"" if wait else b"abc")
            target.publish()
        assert file.getvalue() == b"abc"


def test_what_waits_is_on_disk_without_a_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Above 8 MiB it is in an unlinked file where TMPDIR says."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    file = io.BytesIO()
    piece = os.urandom(1 << 20)
    with release.to(file, private=True, wait=True) as target:
        for _ in range(release.SPOOL_OCTETS // len(piece) + 2):
            target.write(piece)
        assert os.listdir(tmp_path) == []
        target.publish()

    assert file.getvalue() == piece * (release.SPOOL_OCTETS // len(piece) + 2)


class Slow(io.RawIOBase):
    """Takes a few octets at a time, as a pipe may."""

    def __init__(self) -> None:
        self.taken = b""

    def write(self, data: object) -> int:
        part = bytes(data)[:3]  # type: ignore[call-overload]
        self.taken += part
        return len(part)


def test_a_file_that_takes_little_gets_all() -> None:
    slow = Slow()
    write(slow, [b"abcdefgh", b"ij"])

    assert slow.taken == b"abcdefghij"


def test_memory() -> None:
    with release.to(None, private=True, wait=True) as target:
        target.write(b"a")
        assert target.value is None
        target.publish()

    assert target.value == b"a"


def test_a_str_is_refused() -> None:
    for out in ("out.bin", 3):
        with pytest.raises(TypeError):
            release.to(out, private=True, wait=True)  # type: ignore[arg-type]


def test_a_folder_that_is_not_there(kind: str, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        release.to(tmp_path / "none" / "out", private=True, wait=True)
