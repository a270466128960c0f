"""Where mail meets a protocol.

Floor:  formats (uses mime, cms)
"""
