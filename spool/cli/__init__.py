"""The `genzo` command: the spool by hand, over ssh, with no HTTP and no torch."""
