"""Certificates out of files: PEM, DER or PKCS#7, alone or in folders.

Floor:  trust (uses errors and source)
Source: RFC 7468 for PEM, RFC 5652 §5 for the certs-only form of PKCS#7
"""

from __future__ import annotations

import os
import warnings
from typing import TYPE_CHECKING

from cryptography import x509

from smime.errors import KeyProblem, LimitExceeded
from smime.source import read_at_most
from smime.trust.facts import UNREADABLE

if TYPE_CHECKING:
    from collections.abc import Iterable
    from os import PathLike

__all__ = ["load_certificates", "parse_certificates"]

MAX_FILE_OCTETS = 16 * 1024 * 1024  # the roots of all browsers together are 0.3 MiB
_SUFFIXES = (".pem", ".crt", ".cer", ".der", ".p7b", ".p7c")
_HINT = "certificates are read as PEM, DER or PKCS#7, not out of PKCS#12 files"


def load_certificates(paths: Iterable[PathLike[str] | str]) -> list[x509.Certificate]:
    """Return all certificates of these files and folders, in the order of names."""
    found: list[x509.Certificate] = []
    for path in paths:
        if not os.path.isdir(path):
            found += _load(path)
            continue
        inside = []
        for name in sorted(os.listdir(path)):
            file = os.path.join(path, name)
            if name.startswith(".") or not os.path.isfile(file):
                continue
            try:
                inside += _load(file)
            except KeyProblem:
                # A README beside the certificates is no mistake; a broken .pem is one.
                if name.lower().endswith(_SUFFIXES):
                    raise
        if not inside:
            raise KeyProblem(f"{os.fspath(path)}: no certificate in this folder")
        found += inside
    return found


def _load(path: PathLike[str] | str) -> list[x509.Certificate]:
    with open(path, "rb") as file:
        data = read_at_most(file, MAX_FILE_OCTETS + 1)
    if len(data) > MAX_FILE_OCTETS:
        raise LimitExceeded(f"{os.fspath(path)}: more than {MAX_FILE_OCTETS} octets")
    try:
        return parse_certificates(data)
    except KeyProblem as error:
        raise KeyProblem(f"{os.fspath(path)}: {error}", hint=error.hint) from error


def parse_certificates(data: bytes) -> list[x509.Certificate]:
    """Return the certificates in ``data``; raises ``KeyProblem`` if there are none."""
    if not isinstance(data, (bytes, bytearray, memoryview)):
        raise TypeError(f"certificates are parsed from bytes, not from {type(data).__name__}")
    data = bytes(data)
    from cryptography.hazmat.primitives.serialization import pkcs7

    if b"-----BEGIN " in data:
        kinds = (
            (b"CERTIFICATE-----", x509.load_pem_x509_certificates),
            (b"PKCS7-----", pkcs7.load_pem_pkcs7_certificates),
        )
        readers = [read for mark, read in kinds if b"-----BEGIN " + mark in data]
    else:
        readers = [_one_der, pkcs7.load_der_pkcs7_certificates]
    found: list[x509.Certificate] = []
    problem: Exception | None = None
    with warnings.catch_warnings():
        # Of serial numbers below one, which some old roots have.
        warnings.simplefilter("ignore")
        for read in readers:
            try:
                found += read(data)
            except UNREADABLE as error:
                problem = problem or error
    if problem and b"-----BEGIN " in data:
        raise KeyProblem(f"a certificate cannot be read: {problem}", hint=_HINT) from problem
    if not found:
        raise KeyProblem("there is no certificate in it", hint=_HINT) from problem
    return found


def _one_der(data: bytes) -> list[x509.Certificate]:
    return [x509.load_der_x509_certificate(data)]
