"""OCSP over HTTP: what a web program hands to ``Responder.answer``, and how long it may be kept.

The program itself is anybody's: these are the two ends that are easily got wrong.

Floor:  ocsp_http (uses no other file of pki)
Source: RFC 6960 §A.1 for the forms of a request, RFC 9919 for what caches may keep
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from email.utils import format_datetime
from typing import TYPE_CHECKING
from urllib.parse import unquote

from cryptography import x509
from cryptography.x509 import ocsp

if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["headers", "request_in"]

MAX_PATH_CHARACTERS = 4_000  # a request for one certificate has 150; clients send up to 255 so


def request_in(path: str) -> bytes:
    """Give the request in the path of a GET, which begins after the responder's own address.

    It is base64, each of ``+ / =`` written as it is or as ``%2B %2F %3D``. What is no base64
    gives no octets; ``Responder.answer`` says of them that they are no request.

    >>> request_in("/MAA%3D")
    b'0\\x00'
    """
    if len(path) > MAX_PATH_CHARACTERS:
        return b""
    try:
        return base64.b64decode(unquote(path.removeprefix("/")), validate=True)
    except (binascii.Error, ValueError):
        return b""


def headers(answer: bytes, *, at: datetime) -> dict[str, str]:
    """Give the header fields that go with an answer of ``Responder`` at that moment.

    An answer without a nonce may be kept by every cache until its time is over; one
    with a nonce, or a refusal, by none.
    """
    fields = {"Content-Type": "application/ocsp-response", "Content-Length": str(len(answer))}
    read = ocsp.load_der_ocsp_response(answer)
    if read.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL or _nonce(read):
        return fields | {"Cache-Control": "no-store"}
    ends = [one.next_update_utc for one in read.responses]
    until = min((end for end in ends if end is not None), default=at)
    left = max(0, int((until - at).total_seconds()))
    return fields | {
        "Last-Modified": format_datetime(read.produced_at_utc, usegmt=True),
        "Expires": format_datetime(until, usegmt=True),
        "ETag": f'"{hashlib.sha256(answer).hexdigest()}"',
        # A second less, so that nobody is handed it when its time is over.
        "Cache-Control": f"max-age={max(0, left - 1)}, public, no-transform, must-revalidate",
    }


def _nonce(read: ocsp.OCSPResponse) -> bool:
    try:
        read.extensions.get_extension_for_class(x509.OCSPNonce)
    except x509.ExtensionNotFound:
        return False
    return True
