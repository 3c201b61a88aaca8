"""What it costs to look through a whole gallery: `audit` and `duplicates`, each a process of its own.

The galleries are seeded noise under the shipped encoder, as those of `change.py`; of each hundred items the
second is a copy of the first, vector and picture, so that one in a hundred must be found. Both commands ask
for the neighbors of every item, so that their time grows with the square of the size; the ratio is to what
the square predicts from the smallest.

    OMP_NUM_THREADS=1 python tests/benchmarks/audit.py --sizes 10000 100000
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
import tempfile
from pathlib import Path

from change import cost_of, make_gallery

COPIED = 100


def found(folder: Path) -> int:
    """How many groups of copies `duplicates` finds."""
    command = [sys.executable, "-m", "simsearch", "duplicates", str(folder), "--json", "--count", "100000"]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    return len(json.loads(done.stdout)["groups"])


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=[10_000, 100_000])
    arguments = parser.parse_args()
    print(f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print(f"{'items':>10}  {'command':12}  {'cpu s':>8}  {'wall s':>8}  {'peak MB':>8}  {'to square':>9}")
    smallest: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as top:
        for size in sorted(arguments.sizes):
            folder = Path(top) / f"noise-{size}"
            make_gallery(folder, size, copied=COPIED)
            for name in ("audit", "duplicates"):
                cost = cost_of(name, str(folder))
                ratio = cost.cpu / size**2 / smallest.setdefault(name, cost.cpu / size**2)
                figures = f"{cost.cpu:8.1f}  {cost.wall:8.1f}  {cost.memory:8.0f}  {ratio:9.2f}"
                print(f"{size:10,}  {name:12}  {figures}", flush=True)
            if size == min(arguments.sizes):
                print(f"{size:10,}  {found(folder):,} groups of copies were found, of {size // COPIED:,}")


if __name__ == "__main__":
    main()
