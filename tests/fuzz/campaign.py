"""Case after case through a worker; what is not right is a finding."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fuzz.cases import KINDS, Case, intact, make_case
from fuzz.materials import Materials
from fuzz.worker import Outcome, Worker


@dataclass(frozen=True)
class Finding:
    """A case that was handled wrongly."""

    case: Case
    outcome: Outcome

    def __str__(self) -> str:
        about = f"{self.case.kind} {self.case.origin}, {self.case.change}"
        measured = f"{self.outcome.seconds:.2f} s, {self.outcome.megabytes:.0f} MB"
        return f"{self.outcome.what}: seed {self.case.seed}: {about} ({measured}) {self.outcome.detail}"


@dataclass(frozen=True)
class Judged:
    """What became of a case."""

    outcome: Outcome
    finding: Finding | None


@dataclass
class Tally:
    """What became of the cases so far."""

    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)  # kind, outcome
    slowest: float = 0.0  # seconds
    largest: float = 0.0  # megabytes
    findings: list[Finding] = field(default_factory=list)


class Campaign:
    """A worker that has learnt the right answers from the intact materials."""

    def __init__(self, materials: Materials, folder: Path) -> None:
        """Work in an empty folder."""
        self.materials, self.worker, self.tally = materials, Worker(), Tally()
        self._places = {kind: folder / kind for kind in (*KINDS, "photo")}
        self._right: dict[tuple[str, str], Any] = {}
        for place in self._places.values():
            place.mkdir()
        for case in intact(materials):
            outcome = self._ask(case, limited=False)
            if outcome.what != "answered":
                raise RuntimeError(f"{case.kind} {case.origin} is intact, and: {outcome}")
            self._right[case.kind, case.origin] = _comparable(outcome.detail)

    def try_case(self, kind: str, seed: tuple[int, ...]) -> Finding | None:
        """Try one case; what goes wrong is tried once more, in a new process, before it counts."""
        return self.judge(make_case(kind, seed, self.materials)).finding

    def judge(self, case: Case) -> Judged:
        """What becomes of a case, and whether that is wrong."""
        kind, outcome = case.kind, self._judged(case)
        if outcome.what not in ("answered", "refused"):
            self.worker.close()
            self._ask(next(known for known in intact(self.materials) if known.kind == kind), limited=False)
            outcome = self._judged(case)
        tally = self.tally
        tally.outcomes[kind, outcome.what] += 1
        if outcome.what in ("answered", "refused"):
            tally.slowest = max(tally.slowest, outcome.seconds)
            tally.largest = max(tally.largest, outcome.megabytes)
            return Judged(outcome, None)
        finding = Finding(case, outcome)
        tally.findings.append(finding)
        return Judged(outcome, finding)

    def close(self) -> None:
        """End the worker."""
        self.worker.close()

    def _ask(self, case: Case, limited: bool = True) -> Outcome:
        place = self._places[case.kind]
        case.write(place)
        return self.worker.ask(case.kind, place, limited=limited)

    def _judged(self, case: Case) -> Outcome:
        outcome = self._ask(case)
        if outcome.what == "answered" and not case.sealed:
            right = self._right[case.kind, case.origin]
            if _comparable(outcome.detail) != right:
                return Outcome("wrong", outcome.detail, outcome.seconds, outcome.megabytes)
        return outcome


def _comparable(detail: Any) -> str:
    return json.dumps(detail, sort_keys=True)
