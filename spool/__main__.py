"""`python -m spool` is genzo."""

from spool.cli.main import main

if __name__ == "__main__":
    main()
