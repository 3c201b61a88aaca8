"""The pieces an HTML report is made of: tables, lists, pictures, and the escaping of what comes from data."""

from __future__ import annotations

import base64
import html
import re
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from simsearch.prepare.prepare import png_bytes

_FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff\u202a-\u202e\u2066-\u2069]")


def html_table(
    caption: str, columns: Sequence[str], rows: Iterable[tuple[str, Sequence[str]]], css: str = "figures"
) -> str:
    """A table in a box that scrolls by itself; the first cell of a row is its header."""
    head = "".join(f'<th scope="col"><span>{column}</span></th>' for column in columns)
    body = "".join(
        f'<tr><th scope="row"><span>{name}</span></th>{"".join(cells)}</tr>\n' for name, cells in rows
    )
    return (
        f'<div class="scroll" role="region" aria-label="{caption}" tabindex="0"><table class="{css}">\n'
        f"<caption><span>{caption}</span></caption>\n<thead><tr>{head}</tr></thead>\n"
        f"<tbody>\n{body}</tbody>\n</table></div>\n"
    )


def cell(content: str | float, css: str = "") -> str:
    """A cell of HTML, of a count or of a rate."""
    kind = f' class="{css}"' if css else ""
    text = f"{content:,}" if isinstance(content, int) else content
    return f"<td{kind}>{f'{text:.4f}' if isinstance(text, float) else text}</td>"


def facts_list(facts: Mapping[str, str]) -> str:
    """Names and values as a description list."""
    lines = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>\n" for name, value in facts.items())
    return f'<dl class="facts">\n{lines}</dl>\n'


def picture(pixels: NDArray[np.uint8], size: int, alt: str, css: str = "asked") -> str:
    """Gray pixels, uint8 (H, W), as an image that is part of the document."""
    data = base64.b64encode(png_bytes(pixels)).decode()
    return (
        f'<img class="{css}" src="data:image/png;base64,{data}" width="{size}" height="{size}" '
        f'alt="{escape(alt)}">'
    )


def escape(text: str) -> str:
    """A text from data as HTML, in tags or attributes; what HTML or UTF-8 cannot hold is replaced."""
    return html.escape(_FORBIDDEN.sub("\ufffd", text))
