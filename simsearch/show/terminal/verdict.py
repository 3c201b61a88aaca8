"""What an answer comes to, in words: long for the head of an answer, one line for its end."""

from __future__ import annotations

from rich.text import Text

from simsearch.search.answers import Answer, ClassRank, Verdict
from simsearch.search.batch import Outcome
from simsearch.text import percent, printable

_APPROXIMATE = "ranked by an approximate index's candidates; --exact looks at all"
_LEAST_NAME = 8  # cells of a query's name that say anything


def verdict_lines(outcome: Outcome, answer: Answer, *, brief: bool = False) -> list[Text]:
    """The class, or that it is none; the truth, where it is known; what the verdict rests on."""
    lines = _judgment(answer.classes[0], answer.verdict, outcome.truth, brief) if answer.classes else []
    if outcome.truth is not None:
        lines.append(Text(f"its class is {printable(outcome.truth)}"))
    if answer.approximate:
        lines.append(Text("ranked by candidates" if brief else _APPROXIMATE, "dim"))
    return lines + [Text(reason, "dim") for reason in _reasons(answer.verdict, brief)]


def head_lines(outcome: Outcome, answer: Answer, *, brief: bool = False) -> list[Text]:
    """The query's name and the verdict."""
    name = Text(printable(outcome.name), "bold", overflow="fold")
    return [name, *verdict_lines(outcome, answer, brief=brief)]


def verdict_line(outcome: Outcome, answer: Answer, width: int) -> Text:
    """The class, or that it is none, in one line, after as much of the query's name as there is room for."""
    if answer.classes:
        short = _judgment(answer.classes[0], answer.verdict, outcome.truth, brief=True)
        verdict = Text("; ").join(short)
    else:
        verdict = Text(f"best score {answer.hits[0].score:.4f}" if answer.hits else "nothing found")
    room = width - verdict.cell_len - len(": ")
    if room >= min(_LEAST_NAME, len(outcome.name)):
        verdict = Text.assemble(tail(outcome.name, room, "bold"), ": ", verdict)
    verdict.truncate(width, overflow="ellipsis")
    return verdict


def tail(name: str, width: int, style: str = "dim") -> Text:
    """The end of a name, which tells more than its start."""
    text = printable(name)
    while Text(text).cell_len > width:
        text = "…" + text.removeprefix("…")[1:]
    return Text(text, style)


def mark(label: str | None, truth: str | None) -> Text:
    """A tick or a cross, in color too, or nothing where the truth is not known."""
    if truth is None or label is None:
        return Text()
    return Text("✓", "bold green") if label == truth else Text("✗", "bold red")


def spaced(text: Text) -> list[str | Text]:
    """A mark after a space, or nothing."""
    return [" ", text] if text else []


def _judgment(top: ClassRank, verdict: Verdict | None, truth: str | None, brief: bool) -> list[Text]:
    label, tick = (printable(top.label), "bold"), spaced(mark(top.label, truth))
    if verdict is None:
        return [Text.assemble("most like class ", label, *tick)]
    posterior = percent(verdict.probability)
    if verdict.known:
        return [Text.assemble("class ", label, f", {posterior}", *tick)]
    if brief:
        return [Text("unknown", "bold"), Text.assemble("if any, class ", label, f", {posterior}", *tick)]
    return [
        Text.assemble(("unknown", "bold"), ": it resembles nothing in the gallery enough"),
        Text.assemble("nearest class ", label, f", {posterior} if it is any of them", *tick),
    ]


def _reasons(verdict: Verdict | None, brief: bool) -> list[str]:
    if verdict is None:
        return []
    match = "no match" if verdict.best < verdict.min_score else "a match"
    image, limit = ("", "") if brief else (" image", f" (from {verdict.min_score:.4f} on)")
    return [
        f"nearest{image} {verdict.best:.4f}: {match}{limit}",
        f"more typical than {percent(verdict.familiarity)} of known images"
        f" (unknown below {percent(verdict.unknown_below)})",
    ]
