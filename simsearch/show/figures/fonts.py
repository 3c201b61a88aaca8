"""Which fonts write names, and what stands for characters that none of them has."""

from __future__ import annotations

import unicodedata
from functools import cache

from matplotlib import font_manager
from matplotlib.ft2font import FT2Font

# DejaVu Sans comes with matplotlib; the others, where they are installed, write more scripts.
_FALLBACKS = (
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "Source Han Sans SC",
    "Noto Sans SC",
    "Noto Sans JP",
    "Noto Sans KR",
    "PingFang SC",
    "Hiragino Sans",
    "Microsoft YaHei",
    "Yu Gothic",
    "Malgun Gothic",
    "WenQuanYi Zen Hei",
    "Droid Sans Fallback",
    "Noto Sans",
    "Noto Sans Arabic",
    "Noto Sans Hebrew",
    "Noto Sans Devanagari",
    "Noto Sans Thai",
    "Arial Unicode MS",
)


@cache
def families() -> tuple[str, ...]:
    """The installed families, in the order in which a character is looked for."""
    installed = {entry.name for entry in font_manager.fontManager.ttflist}
    return ("DejaVu Sans", *(name for name in _FALLBACKS if name in installed))


def readable(name: str) -> str:
    """A name as it can be drawn: other characters are escaped as `U+6771`, so that names stay distinct."""
    return "".join(char if _can_draw(char) else f"U+{ord(char):04X}" for char in name)


def _can_draw(char: str) -> bool:
    if unicodedata.category(char) in ("Cc", "Cs", "Zl", "Zp", "Co", "Cn"):
        return False
    return any(ord(char) in covered for covered in _coverage())


@cache
def _coverage() -> tuple[frozenset[int], ...]:
    """The characters that a family has both as regular and as bold."""
    return tuple(
        frozenset.intersection(*(_characters(family, weight) for weight in ("normal", "bold")))
        for family in families()
    )


def _characters(family: str, weight: str) -> frozenset[int]:
    font = font_manager.FontProperties(family=[family], weight=weight)
    return frozenset(FT2Font(font_manager.findfont(font)).get_charmap())
