"""`make stress`: daemons, a submitter and an operator on one spool, killed at random moments.

Two witnesses that share nothing with the protocol tell what went wrong: the board, on which each
process says what it is at, and the ledger, to which each adds what it has done.
"""
