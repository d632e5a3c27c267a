"""`python -m httpd` is genzo-httpd."""

import sys

from httpd.service import main

sys.exit(main())
