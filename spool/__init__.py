"""The spool protocol: everything the daemon and the HTTP layer know of each other.

PROTOCOL.md, beside this file, describes every file of a spool.
"""
