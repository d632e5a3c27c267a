"""`genzo install` and `genzo uninstall`: units, user, spool and configuration of a service."""
