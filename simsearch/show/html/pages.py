"""Templates -> documents: self-contained, with every text from data escaped."""

from __future__ import annotations

import re
from importlib import resources
from typing import Any

import jinja2

from simsearch.show.html.tables import as_text, data_uri

# What HTML or UTF-8 cannot hold, and what would turn the order of the text round.
_FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff\u202a-\u202e\u2066-\u2069]")


def render_page(template: str, **values: Any) -> str:
    """One HTML5 document by a template of this folder, in the style of the reports."""
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(read_part),
        autoescape=True,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        undefined=jinja2.StrictUndefined,
        finalize=lambda value: value if hasattr(value, "__html__") else _FORBIDDEN.sub("\ufffd", str(value)),
    )
    environment.filters.update(
        value=as_text, data_uri=data_uri, anchor=lambda title: title.lower().replace(" ", "-")
    )
    style = read_part("palette.css") + read_part("report.css")
    return environment.get_template(template).render(style=style, **values)


def read_part(name: str) -> str:
    """The text of a file of this folder."""
    return resources.files("simsearch.show.html").joinpath(name).read_text("utf-8")
