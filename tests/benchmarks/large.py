"""A cold query of a large index beside one of the shipped 10,000: whole processes, in turn.

python tests/benchmarks/large.py --items 1000000 --rounds 5
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

from galleries import SHIPPED, make_gallery
from start import DIGIT, Spent, run


def measure(indexes: dict[str, Path], rounds: int) -> dict[str, Spent]:
    """The medians of some rounds, of a query of each index."""
    found: dict[str, list[Spent]] = {name: [] for name in indexes}
    for _ in range(rounds):
        for name, folder in indexes.items():
            found[name].append(run(("-m", "simsearch", "query", str(DIGIT), "--index", str(folder))))
    return {
        name: Spent(*(statistics.median(column) for column in zip(*spent, strict=True)))
        for name, spent in found.items()
    }


def bytes_of(folder: Path) -> dict[str, int]:
    """The bytes of an index's files by role."""
    return {path.name.partition("-")[0]: path.stat().st_size for path in folder.iterdir()}


def show(indexes: dict[str, Path], spent: dict[str, Spent]) -> None:
    """Print a line an index, and its size without pictures and encoder."""
    base = next(iter(spent.values())).cpu
    for name, (cpu, wall, peak) in spent.items():
        sizes = bytes_of(indexes[name])
        size = sum(size for role, size in sizes.items() if role not in ("thumbnails", "encoder")) / 1e6
        print(
            f"{name:28s} {cpu:6.2f} s CPU {cpu / base:6.2f} x {wall:7.2f} s wall {peak:6.0f} MB peak"
            f" {size:8.1f} MB of files without pictures"
        )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--items", type=int, nargs="+", default=[1_000_000])
    parser.add_argument("--factories", nargs="+", default=["Flat", "IVF512,SQ8"])
    parser.add_argument("--rounds", type=int, default=5)
    settings = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        indexes = {"10,000 Flat": SHIPPED}
        for count in settings.items:
            for factory in settings.factories:
                name = f"{count:,} {factory}"
                indexes[name] = Path(folder) / f"{count}-{factory.replace(',', '-')}"
                make_gallery(indexes[name], count, factory)
        show(indexes, measure(indexes, settings.rounds))


if __name__ == "__main__":
    main()
