"""Look for what costs the most: the dearest cases so far are made to ask for more, again and again.

    python tests/fuzz/seek.py --minutes 5 --seed 1 --only photo

A case that takes more than the worker's 2 s or 300 MB, or ends it, is a finding, as in `run.py`. At the end
it prints the dearest cases that were within them.
"""

from __future__ import annotations

import argparse
import secrets
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1]))

from fuzz.campaign import Campaign
from fuzz.cases import GROWN_KINDS, Case, grow, grown_case
from fuzz.materials import make_materials
from fuzz.mutate import choose
from fuzz.run import keep
from fuzz.worker import LIMIT_MB, LIMIT_S, Outcome

_ELITE = 12
_FRESH = 0.3  # of the cases begin at something intact


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=secrets.randbelow(2**32))
    parser.add_argument("--only", choices=GROWN_KINDS, action="append")
    parser.add_argument("--keep", action="store_true", help="keep findings in findings/")
    arguments = parser.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        return seek(arguments, Path(folder))


def seek(arguments: argparse.Namespace, folder: Path) -> int:
    for name in ("made", "cases"):
        (folder / name).mkdir()
    campaign = Campaign(make_materials(folder / "made"), folder / "cases")
    random = np.random.default_rng(arguments.seed)
    kinds = arguments.only or list(GROWN_KINDS)
    elite: dict[str, list[tuple[float, Case, Outcome]]] = {kind: [] for kind in kinds}
    until, number = time.monotonic() + 60 * arguments.minutes, 0
    while time.monotonic() < until:
        number += 1
        kind = kinds[number % len(kinds)]
        best = elite[kind]
        if best and random.random() > _FRESH:
            case = grow(random, choose(random, best)[1])
        else:
            case = grown_case(kind, (arguments.seed, number), campaign.materials)
        judged = campaign.judge(case)
        if judged.finding:
            print(judged.finding, flush=True)
            if arguments.keep:
                keep(judged.finding)
            continue
        dear = max(judged.outcome.seconds / LIMIT_S, judged.outcome.megabytes / LIMIT_MB)
        best.append((dear, case, judged.outcome))
        best.sort(key=lambda entry: -entry[0])
        del best[_ELITE:]
    campaign.close()
    for kind, best in elite.items():
        for _, case, outcome in best[:3]:
            cost = f"{outcome.seconds:.2f} s, {outcome.megabytes:.0f} MB"
            size = sum(map(len, case.files.values()))
            print(f"{kind} {case.origin},{case.change}: {size:,} bytes, {cost}, {outcome.what}")
    tally = campaign.tally
    for (kind, what), count in sorted(tally.outcomes.items()):
        print(f"{kind:10s} {what:8s} {count:7,}")
    print(
        f"slowest {tally.slowest:.2f} s, most memory {tally.largest:.0f} MB, {len(tally.findings)} findings"
    )
    return 1 if tally.findings else 0


if __name__ == "__main__":
    sys.exit(main())
