"""Names that are cut to a width: the middle is left out, and two different ones never look alike."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

_LEADS = (2, 0)  # characters to keep before the first in which alike names differ, if there is room


def without_middle(name: str, fits: Callable[[str], bool]) -> str:
    """The name, its middle left out where it does not fit; both ends tell names apart."""
    if fits(name):
        return name
    low, high = 0, len(name) - 1
    while low < high:
        kept = (low + high + 1) // 2
        if fits(_without(name, kept)):
            low = kept
        else:
            high = kept - 1
    return _without(name, low)


def distinct(names: Mapping[str, str], cut: Callable[[str], str]) -> dict[str, str]:
    """Names as they are shown, by key: where cutting makes two alike, what tells them apart is kept.

    :param names: What each key is called.
    :param cut: Shortens a name to the room there is.
    """
    shown = {key: cut(name) for key, name in names.items()}
    for alike in _alike(names, shown):
        same = _common([names[key] for key in alike])
        others = {text for key, text in shown.items() if key not in alike}
        for lead in _LEADS:
            again = {key: cut(f"…{names[key][max(0, same - lead) :]}") for key in alike}
            if len(set(again.values()) - others) == len({names[key] for key in alike}):
                break
        else:
            again = {key: cut(f"{number}:{names[key]}") for number, key in enumerate(alike, 1)}
        shown |= again
    return shown


def _alike(names: Mapping[str, str], shown: Mapping[str, str]) -> list[list[str]]:
    """Groups of keys that are shown as the same though their names differ."""
    groups: dict[str, list[str]] = {}
    for key, text in shown.items():
        groups.setdefault(text, []).append(key)
    return [keys for keys in groups.values() if len({names[key] for key in keys}) > 1]


def _common(names: Sequence[str]) -> int:
    """How many characters all names begin with."""
    steps = zip(*names, strict=False)
    return next((place for place, step in enumerate(steps) if len(set(step)) > 1), min(map(len, names)))


def _without(name: str, kept: int) -> str:
    head = (kept + 1) // 2
    return f"{name[:head]}…{name[len(name) - (kept - head) :]}"
