"""The page at / in a real browser, with a real server and a real daemon."""
