"""Django: every message of one class is signed; the view does not know."""
# mypy: allow-untyped-calls
# Django has no types of its own.

from functools import cache
from typing import Any

from django.conf import settings
from django.core.mail import EmailMessage
from django.http import HttpRequest, HttpResponse

import smime


@cache
def identity() -> smime.Identity:  # parsed once per process
    return smime.Identity.load(settings.SHOP_IDENTITY, passphrase=settings.SHOP_PASSPHRASE)


class SignedEmail(EmailMessage):
    def message(self, **more: Any) -> Any:
        return smime.sign(super().message(**more), by=identity()).message


def confirm(request: HttpRequest) -> HttpResponse:
    mail = SignedEmail(
        "Bestellung 7 ist bestätigt",
        "Vielen Dank für Ihre Bestellung.\n\nFrom the shop\n",
        "orders@shop.example",
        ["kim@example.org"],
        bcc=["archive@shop.example"],
    )
    mail.attach("Rechnung für Kim.csv", "Teil;Preis\nÄpfel;7\n", "text/csv")
    mail.send()
    return HttpResponse(status=202)
