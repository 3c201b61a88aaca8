"""Draw what `simsearch query ARGUMENTS` prints on a terminal as an SVG that needs no font of its own.

    python docs/terminal_picture.py OUTPUT.svg docs/digit.png --k 6

The command really runs; its colors and characters are read back. Block characters are drawn as rectangles,
because fonts leave gaps between them.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import shlex
import struct
import subprocess
import sys
import termios
from itertools import groupby
from pathlib import Path
from xml.sax.saxutils import escape

from rich.ansi import AnsiDecoder
from rich.color import ColorType
from rich.console import Console
from rich.style import Style
from rich.terminal_theme import TerminalTheme

COLUMNS, ROWS = 100, 36
WIDE, HIGH = 8.4, 18.0  # pixels of a cell
MARGIN = 18
THEME = TerminalTheme(
    (21, 24, 29),
    (232, 234, 238),
    [(54, 60, 71), (240, 120, 110), (120, 200, 140), (243, 166, 97), (130, 182, 242), (200, 150, 230),
     (110, 200, 205), (200, 204, 212)],
)  # fmt: skip
# Quarters of a cell that a character fills: upper left, upper right, lower left, lower right.
QUADRANTS = dict(zip("▗▖▄▝▐▞▟▘▚▌▙▀▜▛█", (f"{number:04b}" for number in range(1, 16)), strict=True))
EIGHTHS = {char: number for number, char in enumerate("▏▎▍▌▋▊▉", start=1)}

Cell = tuple[str, Style]


def main(output: Path, arguments: list[str]) -> None:
    command = [sys.executable, "-m", "simsearch", "query", *arguments, "--images", "blocks"]
    settings = {
        "COLUMNS": str(COLUMNS),
        "FORCE_COLOR": "1",
        "COLORTERM": "truecolor",
        "TERM": "xterm-256color",
    }
    printed = in_a_window(command, {**os.environ, **settings})
    shown = f"$ {shlex.join(['simsearch', 'query', *arguments])}\n{printed.rstrip()}"
    output.write_text(draw(screen(shown)), encoding="utf-8")


def in_a_window(command: list[str], environment: dict[str, str]) -> str:
    """What a command prints to a terminal of this size."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    with subprocess.Popen(command, env=environment, stdout=theirs, stderr=subprocess.DEVNULL) as process:
        os.close(theirs)
        printed = b""
        with contextlib.suppress(OSError):  # Linux's end of a terminal
            while part := os.read(ours, 65_536):
                printed += part
    os.close(ours)
    assert process.returncode == 0, printed
    return printed.decode().replace("\r\n", "\n")


def screen(text: str) -> list[list[Cell]]:
    """The cells of each line."""
    console = Console(width=COLUMNS, color_system="truecolor")
    rows = []
    for line in AnsiDecoder().decode(text):
        segments = [segment for segment in console.render(line) if segment.text != "\n"]
        rows.append([(char, part.style or Style()) for part in segments for char in part.text])
    return rows


def draw(rows: list[list[Cell]]) -> str:
    width, height = COLUMNS * WIDE + 2 * MARGIN, len(rows) * HIGH + 2 * MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}">',
        f'<rect width="100%" height="100%" rx="8" fill="{THEME.background_color.hex}"/>',
        f'<g transform="translate({MARGIN} {MARGIN})" font-size="14" xml:space="preserve"',
        " font-family=\"ui-monospace,Menlo,Consolas,'DejaVu Sans Mono',monospace\">",
    ]
    for number, row in enumerate(rows):
        column = 0
        for style, run in groupby(row, key=lambda cell: cell[1]):
            text = "".join(char for char, _ in run)
            parts += draw_run(column * WIDE, number * HIGH, text, style)
            column += len(text)
    return "\n".join([*parts, "</g>", "</svg>\n"])


def draw_run(x: float, y: float, text: str, style: Style) -> list[str]:
    """One run of cells of one style: its background, its blocks, its letters."""
    ink, paper = (color(style, name) for name in ("color", "bgcolor"))
    parts = []
    if paper != THEME.background_color.hex:
        parts.append(rectangle(x, y, len(text) * WIDE, HIGH, paper))
    faint = ' opacity=".65"' if style.dim else ""
    for place, char in enumerate(text):
        parts += [rectangle(x + place * WIDE + a, y + b, w, h, ink) for a, b, w, h in block(char)]
    for blank, run in groupby(enumerate(text), key=lambda entry: entry[1] == " " or bool(block(entry[1]))):
        if blank:
            continue
        letters = list(run)
        word = "".join(char for _, char in letters)
        bold = ' font-weight="bold"' if style.bold else ""
        parts.append(
            f'<text x="{x + letters[0][0] * WIDE:.1f}" y="{y + 0.74 * HIGH:.1f}" fill="{ink}"{bold}{faint}'
            f' textLength="{len(word) * WIDE:.1f}" lengthAdjust="spacingAndGlyphs">{escape(word)}</text>'
        )
    return parts


def block(char: str) -> list[tuple[float, float, float, float]]:
    """The rectangles (x, y, width, height) of a block character; none for a letter."""
    if char == "─":
        return [(0, HIGH / 2, WIDE, 1)]
    if char in QUADRANTS:
        filled = QUADRANTS[char]
        return [
            (place % 2 * WIDE / 2, place // 2 * HIGH / 2, WIDE / 2, HIGH / 2)
            for place, bit in enumerate(filled)
            if bit == "1"
        ]
    return [(0, 0, WIDE * EIGHTHS[char] / 8, HIGH)] if char in EIGHTHS else []


def color(style: Style, name: str) -> str:
    value = getattr(style, name)
    own = THEME.foreground_color if name == "color" else THEME.background_color
    if value is None or value.type is ColorType.DEFAULT:
        return own.hex
    return value.get_truecolor(THEME, foreground=name == "color").hex


def rectangle(x: float, y: float, width: float, height: float, fill: str) -> str:
    place = f'x="{x:.2f}" y="{y:.2f}" width="{width:.2f}" height="{height:.2f}"'
    return f'<rect {place} fill="{fill}" shape-rendering="crispEdges"/>'


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2:])
