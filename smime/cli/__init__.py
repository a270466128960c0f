"""The command ``smimetool``: reads, calls the library once, writes, says; no cryptography.

Floor:  cli (above everything else)
"""
