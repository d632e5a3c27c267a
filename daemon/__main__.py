"""`python -m daemon` is genzod."""

from daemon.service import main

if __name__ == "__main__":
    main()
