"""The programs here that run in another environment are not collected."""

collect_ignore = ["pyhanko_seal.py"]
