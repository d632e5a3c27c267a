"""The script genzo-httpd, also `python -m httpd`."""

from __future__ import annotations

import sys

from spool.exits import Exit


def main() -> int:
    """Serve a spool; says which extra is missing where this genzo was installed without it."""
    try:
        from httpd import service  # noqa: PLC0415
    except ModuleNotFoundError as error:
        print(f"genzo-httpd: {error}; pip install 'genzo[http]'", file=sys.stderr)  # noqa: T201
        return Exit.CONFIGURATION
    return service.main()


if __name__ == "__main__":
    sys.exit(main())
