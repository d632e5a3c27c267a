"""The GPU daemon: claims jobs from the spool, renders them, publishes the pictures."""
