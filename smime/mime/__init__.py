"""Bytes that are mail: entities, parts, canonical form and header fields.

Everything works on positions in the bytes that arrived. Knows no cryptography
and no trust.

Floor:  mime (uses errors)
Source: RFC 5322, RFC 2045 to 2047, RFC 2231, RFC 9788
"""
