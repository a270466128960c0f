"""FastAPI or Flask: raw mail arrives; who signed it?"""

import asyncio
from functools import partial

import smime

PARTNERS = smime.Anchors.load("partners-ca.pem")  # shared by threads, caches chains


def who(raw: bytes) -> str | None:  # Flask: request.get_data()
    return smime.open(raw, trust=PARTNERS).signer  # None: unsigned, forged, expired ...


def order(raw: bytes) -> tuple[int, str]:  # one partner only: name it
    try:
        opened = smime.verify(raw, trust=PARTNERS, sender="orders@partner.example")
    except smime.SignatureRejected as refused:
        return 403, str(refused.report.to_dict())
    except smime.MalformedMail as broken:
        return 400, f"{broken} ({broken.hint})"
    return 200, opened.message["Subject"]


async def order_async(raw: bytes) -> smime.Opened:  # FastAPI: await request.body()
    return await asyncio.to_thread(
        partial(smime.verify, raw, trust=PARTNERS, sender="orders@partner.example")
    )
