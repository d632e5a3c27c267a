"""`python -m tests.stress`: let a storm loose, print its figures, and fail if anything is wrong."""

from __future__ import annotations

import argparse
import secrets
import sys
import tempfile
from pathlib import Path

from tests.stress.storm import Plan, run


def main() -> None:
    """Run one storm; exit status 1 if a job was lost, doubled, or published twice."""
    plan = _plan()
    print(f"seed {plan.seed}", flush=True)
    with tempfile.TemporaryDirectory(prefix="genzo-stress-") as home:
        result = run(plan, Path(home))
    print(result)
    sys.exit(not result.is_clean)


def _plan() -> Plan:
    parser = argparse.ArgumentParser(prog="python -m tests.stress", allow_abbrev=False)
    parser.add_argument("--claimers", type=int, default=Plan.claimers, metavar="N")
    parser.add_argument("--jobs", type=int, default=Plan.jobs, metavar="N")
    parser.add_argument("--kills", type=int, default=Plan.kills, metavar="N")
    parser.add_argument("--seconds", type=float, default=Plan.seconds, help="stop killing then")
    parser.add_argument("--seed", type=int, default=secrets.randbelow(1_000_000))
    return Plan(**vars(parser.parse_args()))


if __name__ == "__main__":
    main()
