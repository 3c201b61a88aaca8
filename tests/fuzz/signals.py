"""The tests of signals again and again while other processes keep the cores busy: none may depend on luck.

    python tests/fuzz/signals.py --rounds 200 --load 2

Every round runs each test once; at the end, or when it is interrupted, it prints how often each passed.
It takes the tests marked `signals`; `--only WORDS` chooses among them as pytest's `-k` does. Several of
these at once are a load too: `--load 0` adds none. Commands are forks of a process that has loaded simsearch
already (`warm.py`), which makes a round three times as cheap; `--fresh` starts Python for each, as the suite
does.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import sys
import time
from collections import Counter
from collections.abc import Generator
from contextlib import nullcontext
from copy import copy
from pathlib import Path

import pytest
from warm import warmed

TESTS = Path(__file__).parents[1]


class Repeated:
    """A plug-in of pytest that runs every test in each round, and counts."""

    def __init__(self, rounds: int) -> None:
        """Count nothing yet."""
        self.rounds = rounds
        self.passed: Counter[str] = Counter()
        self.failed: Counter[str] = Counter()
        self.seconds: Counter[str] = Counter()

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, items: list[pytest.Item]) -> None:
        """Round by round, so that an interrupted run has tried all of them."""
        items[:] = [_again(item) for _ in range(self.rounds) for item in items]

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Generator[None, object, object]:
        """Count the processor time that a test and its processes take."""
        before = _processor_s()
        found = yield
        self.seconds[_name(item.nodeid)] += _processor_s() - before
        return found

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Count a test by its name."""
        name = _name(report.nodeid)
        if report.failed:
            self.failed[name] += 1
            print(f"\n{report.nodeid}\n{report.longreprtext}", flush=True)  # a long run may be interrupted
        elif report.when == "call" and report.passed:
            self.passed[name] += 1


def _again(item: pytest.Item) -> pytest.Item:
    """The same test with fixtures of its own."""
    other = copy(item)
    other._initrequest()  # type: ignore[attr-defined]
    return other


def _name(node: str) -> str:
    """A test's name without its parameters."""
    return node.rpartition("::")[2].partition("[")[0]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--load", type=int, default=2, help="processes that compute nothing beside the tests")
    parser.add_argument("--only", default="")
    parser.add_argument("--fresh", action="store_true", help="load simsearch anew for each command")
    arguments = parser.parse_args()
    busy = [multiprocessing.Process(target=_spin, daemon=True) for _ in range(arguments.load)]
    for process in busy:
        process.start()
    repeated, started = Repeated(arguments.rounds), time.monotonic()
    options = ["-q", "--no-header", "--tb=short", "-p", "no:cacheprovider", "-m", "signals and not engine"]
    options += ["-k", arguments.only, f"--rootdir={TESTS.parent}"]
    marked = [str(path) for path in TESTS.rglob("test_*.py") if "mark.signals" in path.read_text()]
    with nullcontext() if arguments.fresh else warmed():
        code = pytest.main([*options, *marked], [repeated])
    for process in busy:
        process.kill()
    for name in sorted(repeated.passed | repeated.failed):
        runs = repeated.passed[name] + repeated.failed[name]
        cost = f"{repeated.seconds[name] / runs:5.2f} s each"
        print(f"{repeated.passed[name]:5d} passed {repeated.failed[name]:3d} failed {cost}  {name}")
    print(f"{time.monotonic() - started:.0f} s, load {', '.join(f'{load:.1f}' for load in os.getloadavg())}")
    sys.stdout.flush()
    os._exit(code)  # threads may still listen to a command amid which the run was interrupted


def _processor_s() -> float:
    """Seconds of the processor that this process and those it has waited for took."""
    own, children = resource.getrusage(resource.RUSAGE_SELF), resource.getrusage(resource.RUSAGE_CHILDREN)
    return own.ru_utime + own.ru_stime + children.ru_utime + children.ru_stime


def _spin() -> None:
    while True:
        pass


if __name__ == "__main__":
    main()
