"""Roots that the system trusts for e-mail, told from those for web servers.

Most systems keep one heap of roots, and a certification authority in it may
vouch for web servers alone. What each root is trusted for is known to p11-kit
(the store of Fedora and its like) and to NSS (Mozilla's own list, in a module
of the same make), as trust objects behind PKCS#11. They are read from there by
``ctypes``: no program is started, and ``python-pkcs11`` does not know these
objects. Where p11-kit cannot tell mail from the web, as on Debian, whose store
has no purposes, a root must be in it and be one of NSS's for e-mail.

Floor:  trust (uses errors)
Source: PKCS#11 2.40 for the calls; NSS's pkcs11n.h for trust objects
"""

from __future__ import annotations

import ctypes
import glob
import hashlib
import os
import threading
from typing import TYPE_CHECKING

from smime.errors import KeyProblem

if TYPE_CHECKING:
    from collections.abc import Iterator
    from ctypes import Array
    from datetime import datetime
    from typing import Any

__all__ = ["SystemRoot", "email_roots", "read_module"]

_FOLDERS = ("/usr/lib/*", "/usr/lib64", "/usr/lib", "/usr/local/lib", "/lib64")
P11_KIT = tuple(f"{one}/pkcs11/p11-kit-trust.so" for one in _FOLDERS)
NSS = tuple(
    f"{one}/{more}libnssckbi.so" for one in _FOLDERS for more in ("", "nss/", "nss/3.*/", "nss-*/")
)
MAX_OBJECTS = 4096  # of a module; Mozilla's list has some 350
MAX_VALUE_OCTETS = 64 * 1024
_HINT = (
    "Debian: apt install p11-kit-modules libnss3; Fedora has it; else give the roots yourself: "
    "Anchors.load('roots/')"
)

# --- PKCS#11, as far as it is needed -----------------------------------------------

_OK, _ALREADY = 0x000, 0x191
_SERIAL_SESSION, _OS_LOCKING = 0x4, 0x2
_CLASS, _VALUE = 0x00, 0x11
_CERTIFICATE = 0x1
_NSS_BASE = 0x80000000 | 0x4E534350
_NSS_TRUST = _NSS_BASE + 3  # an object class
_EMAIL_DISTRUST_AFTER = _NSS_BASE + 36
_TRUST = _NSS_BASE + 0x2000
_SERVER_AUTH, _EMAIL_PROTECTION, _SHA1_HASH = _TRUST + 8, _TRUST + 11, _TRUST + 100
_TRUSTED_DELEGATOR = _NSS_BASE + 2  # it may vouch for others
_NOT_THERE = ctypes.c_ulong(-1).value

# Their places in the list of functions.
_INITIALIZE, _FINALIZE, _SLOT_LIST, _OPEN, _CLOSE = 0, 1, 4, 12, 13
_GET_ATTRIBUTE, _FIND_INIT, _FIND, _FIND_FINAL = 24, 26, 27, 28
_FUNCTIONS = 29

_Ulong = ctypes.c_ulong
_LOCK = threading.Lock()  # a module starts and ends for the whole process


class _Attribute(ctypes.Structure):
    _fields_ = (("type", _Ulong), ("value", ctypes.c_void_p), ("length", _Ulong))


class _FunctionList(ctypes.Structure):
    _fields_ = (
        ("version", ctypes.c_ubyte * 2),
        ("functions", ctypes.c_void_p * _FUNCTIONS),
    )


class _InitializeArguments(ctypes.Structure):
    _fields_ = (
        ("mutexes", ctypes.c_void_p * 4),
        ("flags", _Ulong),
        ("reserved", ctypes.c_void_p),
    )


class _ModuleProblem(Exception):
    """A module does not do what it should; never leaves this file."""


class _Module:
    """A PKCS#11 module with one session on each of its slots, opened for reading."""

    def __init__(self, path: str, store: str) -> None:
        try:
            library = ctypes.CDLL(path)
            get_list = library.C_GetFunctionList
        except (OSError, AttributeError) as error:
            raise _ModuleProblem(f"{path}: {error}") from error
        found = ctypes.POINTER(_FunctionList)()
        if get_list(ctypes.byref(found)) != _OK:
            raise _ModuleProblem(f"{path} names no functions")
        self._functions = found.contents.functions
        self._library = library  # unloaded with its last user
        named = ctypes.create_string_buffer(f"paths='{store}'".encode())
        options = _InitializeArguments(flags=_OS_LOCKING, reserved=ctypes.addressof(named))
        given = ctypes.byref(options) if store else None
        status = self._call(_INITIALIZE, (ctypes.c_void_p,), given)
        if status not in (_OK, _ALREADY):
            raise _ModuleProblem(f"{path} does not start (0x{status:x})")
        self._ours = status == _OK

    def close(self) -> None:
        # Who had it open before us goes on using it.
        if self._ours:
            self._call(_FINALIZE, (ctypes.c_void_p,), None)

    def _call(self, place: int, kinds: tuple[Any, ...], *given: Any) -> int:
        function = ctypes.CFUNCTYPE(_Ulong, *kinds)(self._functions[place])
        return int(function(*given))

    def _need(self, place: int, kinds: tuple[Any, ...], *given: Any) -> None:
        status = self._call(place, kinds, *given)
        if status != _OK:
            raise _ModuleProblem(f"function {place} failed (0x{status:x})")

    def objects(self, kind: int, *attributes: int) -> Iterator[dict[int, bytes]]:
        """Return what each object of a class says; what it does not say is left out."""
        count = _Ulong()
        pointers = (ctypes.c_ubyte, ctypes.c_void_p, ctypes.c_void_p)
        self._need(_SLOT_LIST, pointers, 1, None, ctypes.byref(count))
        slots = (_Ulong * max(1, count.value))()
        self._need(_SLOT_LIST, pointers, 1, slots, ctypes.byref(count))
        for slot in slots[: count.value]:
            session = _Ulong()
            self._need(
                _OPEN,
                (_Ulong, _Ulong, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p),
                slot, _SERIAL_SESSION, None, None, ctypes.byref(session),
            )  # fmt: skip
            try:
                for handle in self._handles(session.value, kind):
                    yield self._read(session.value, handle, attributes)
            finally:
                self._call(_CLOSE, (_Ulong,), session.value)

    def _handles(self, session: int, kind: int) -> list[int]:
        wanted = _Ulong(kind)
        template = _Attribute(_CLASS, ctypes.addressof(wanted), ctypes.sizeof(wanted))
        self._need(
            _FIND_INIT, (_Ulong, ctypes.c_void_p, _Ulong), session, ctypes.byref(template), 1
        )
        found: Array[ctypes.c_ulong] = (_Ulong * MAX_OBJECTS)()
        count = _Ulong()
        handles: list[int] = []
        kinds = (_Ulong, ctypes.c_void_p, _Ulong, ctypes.c_void_p)
        try:
            while len(handles) < MAX_OBJECTS:
                self._need(_FIND, kinds, session, found, MAX_OBJECTS, ctypes.byref(count))
                if not count.value:
                    break
                handles += found[: count.value]
        finally:
            self._call(_FIND_FINAL, (_Ulong,), session)
        return handles

    def _read(self, session: int, handle: int, attributes: tuple[int, ...]) -> dict[int, bytes]:
        said = {}
        for attribute in attributes:
            # One by one: a module may answer for none if it lacks one of several.
            template = _Attribute(attribute, None, 0)
            kinds = (_Ulong, _Ulong, ctypes.c_void_p, _Ulong)
            asked = (_GET_ATTRIBUTE, kinds, session, handle, ctypes.byref(template), 1)
            if self._call(*asked) != _OK or template.length in (0, _NOT_THERE):
                continue
            if template.length > MAX_VALUE_OCTETS:
                continue
            room = ctypes.create_string_buffer(template.length)
            template.value = ctypes.addressof(room)
            if self._call(*asked) == _OK:
                said[attribute] = room.raw[: template.length]
        return said


# --- roots and what they are trusted for --------------------------------------------


class SystemRoot:
    """A certificate of a module's list, and what it is trusted for."""

    __slots__ = ("der", "distrust_after", "email", "server")

    def __init__(self, der: bytes, said: dict[int, bytes], distrust_after: datetime | None) -> None:
        self.der = der
        self.email = _number(said.get(_EMAIL_PROTECTION)) == _TRUSTED_DELEGATOR
        self.server = _number(said.get(_SERVER_AUTH)) == _TRUSTED_DELEGATOR
        self.distrust_after = distrust_after
        """Certificates for mail that it issued after this moment are not trusted."""


def _number(value: bytes | None) -> int:
    if value is None or len(value) != ctypes.sizeof(_Ulong):
        return 0
    return int(_Ulong.from_buffer_copy(value).value)


def read_module(path: str, store: str = "") -> list[SystemRoot]:
    """Return the roots that a module of trust knows; raises ``KeyProblem`` if it has none.

    ``store`` is a folder that p11-kit's module reads instead of the system's.
    """
    try:
        with _LOCK:
            trust, certificates = _read(path, store)
    except _ModuleProblem as problem:
        raise KeyProblem(f"the system's roots cannot be read: {problem}", hint=_HINT) from problem
    found = []
    for one in certificates:
        der = one.get(_VALUE, b"")
        # Not a signature: SHA-1 is how NSS names the certificate that a trust object is about.
        known = trust.get(hashlib.sha1(der).digest(), [])  # noqa: S324
        # Of what is said twice, and perhaps differently, nothing counts.
        if der and len(known) == 1:
            found.append(SystemRoot(der, known[0], _distrusted(one.get(_EMAIL_DISTRUST_AFTER))))
    if not found:
        raise KeyProblem(f"{path} knows no roots", hint=_HINT)
    return found


def _read(
    path: str, store: str
) -> tuple[dict[bytes, list[dict[int, bytes]]], list[dict[int, bytes]]]:
    """Return trust objects by the hash of their certificate, and certificates."""
    module = _Module(path, store)
    try:
        trust: dict[bytes, list[dict[int, bytes]]] = {}
        for said in module.objects(_NSS_TRUST, _SHA1_HASH, _SERVER_AUTH, _EMAIL_PROTECTION):
            trust.setdefault(said.get(_SHA1_HASH, b""), []).append(said)
        return trust, list(module.objects(_CERTIFICATE, _VALUE, _EMAIL_DISTRUST_AFTER))
    finally:
        module.close()


def _distrusted(value: bytes | None) -> datetime | None:
    """Read a UTCTime without a tag; one octet, false, is that there is no such moment."""
    from datetime import UTC, datetime

    if value is None or len(value) <= 1:
        return None
    text = value.decode("ascii", "replace").rstrip("\0")
    try:
        return datetime.strptime(text, "%y%m%d%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return datetime.min.replace(tzinfo=UTC)  # not to be read, so nothing is trusted


def email_roots() -> list[SystemRoot]:
    """Return the roots trusted for e-mail, at least one.

    Raises ``KeyProblem`` where p11-kit is not there, or where nothing on the
    system tells roots for e-mail from those for web servers.
    """
    if os.name != "posix":
        raise KeyProblem(
            "which roots this system trusts for e-mail cannot be read here",
            hint="give the roots yourself: Anchors.load('roots/')",
        )
    place = _first(P11_KIT)
    if place is None:
        raise KeyProblem("p11-kit's list of roots is not on this system", hint=_HINT)
    roots = read_module(place)
    if not _tells_apart(roots):
        nss = _first(NSS)
        known = read_module(nss) if nss is not None and not _same(nss, place) else []
        if not _tells_apart(known):
            raise KeyProblem(
                "nothing on this system tells roots for e-mail from roots for web servers",
                hint=_HINT,
            )
        here = {one.der for one in roots if one.email}
        roots = [one for one in known if one.der in here]
    found = [one for one in roots if one.email]
    if not found:
        raise KeyProblem("this system trusts no root for e-mail", hint=_HINT)
    return found


def _tells_apart(roots: list[SystemRoot]) -> bool:
    """Some root is trusted for one and not for the other: else all are thrown together."""
    return any(one.email != one.server for one in roots)


def _same(a: str, b: str) -> bool:
    """On Fedora NSS's module is p11-kit's under another name."""
    return os.path.realpath(a) == os.path.realpath(b)


def _first(patterns: tuple[str, ...]) -> str | None:
    return next((path for one in patterns for path in sorted(glob.glob(one))), None)
