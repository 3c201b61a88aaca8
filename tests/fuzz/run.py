"""Open broken and hostile indexes, models, checkpoints and pictures for as long as you like.

    python tests/fuzz/run.py --minutes 5 --seed 1

Each must be answered correctly or refused with an error of simsearch's own, in 2 s and 300 MB. Anything
else is a finding: it is printed with its seed, kept under tests/fuzz/findings/ if you say --keep, and the
run ends with exit code 1. `--only KIND --case N` repeats one case of a seed.
"""

from __future__ import annotations

import argparse
import platform
import secrets
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from fuzz.campaign import Campaign, Finding
from fuzz.cases import KINDS
from fuzz.materials import make_materials

LIBRARIES = ("numpy", "faiss-cpu", "onnxruntime", "pillow")
FINDINGS = Path(__file__).parent / "findings"


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=None, help="a random one by default; it is printed")
    parser.add_argument("--only", choices=KINDS, action="append", help="only cases of this kind")
    parser.add_argument("--case", type=int, help="only the case of this number")
    parser.add_argument("--keep", action="store_true", help=f"keep findings in {FINDINGS.name}/")
    arguments = parser.parse_args()
    seed = secrets.randbelow(2**32) if arguments.seed is None else arguments.seed
    versions = ", ".join(f"{name} {metadata.version(name)}" for name in LIBRARIES)
    print(f"seed {seed}; {platform.platform()}, Python {platform.python_version()}, {versions}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        return run(arguments, seed, Path(folder))


def run(arguments: argparse.Namespace, seed: int, folder: Path) -> int:
    (folder / "made").mkdir()
    (folder / "cases").mkdir()
    materials = make_materials(folder / "made")
    kinds = [kind for kind in KINDS if not arguments.only or kind in arguments.only]
    if materials.checkpoint is None and "checkpoint" in kinds:
        print("torch is not installed: no checkpoints")
        kinds.remove("checkpoint")
    campaign = Campaign(materials, folder / "cases")
    numbers = range(10**9) if arguments.case is None else range(arguments.case, arguments.case + 1)
    until = time.monotonic() + 60 * arguments.minutes
    for number in numbers:
        for kind in kinds:
            if finding := campaign.try_case(kind, (seed, number)):
                print(finding, flush=True)
                if arguments.keep:
                    keep(finding)
        if time.monotonic() > until:
            break
    campaign.close()
    tally = campaign.tally
    for (kind, what), count in sorted(tally.outcomes.items()):
        print(f"{kind:10s} {what:8s} {count:7,}")
    print(
        f"slowest {tally.slowest:.2f} s, most memory {tally.largest:.0f} MB, findings {len(tally.findings)}"
    )
    return 1 if tally.findings else 0


def keep(finding: Finding) -> None:
    """Write a finding's files into a folder named after its seed."""
    case = finding.case
    folder = FINDINGS / f"{case.kind}-{'-'.join(map(str, case.seed))}"
    folder.mkdir(parents=True, exist_ok=True)
    case.write(folder)


if __name__ == "__main__":
    sys.exit(main())
