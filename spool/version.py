"""Which genzo this is."""

from importlib.metadata import PackageNotFoundError, version

try:
    VERSION = version("genzo")
except PackageNotFoundError:  # run from a source tree that was never installed
    VERSION = "0"
