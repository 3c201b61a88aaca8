"""What every command that draws a figure does before and after it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from simsearch.cli.options import FigureStyle
from simsearch.cli.targets import check_targets
from simsearch.errors import BadInputError, require

if TYPE_CHECKING:
    from simsearch.show.figures.sheet import Style

OutputOption = Annotated[Path, typer.Option("--output", "-o", help="The file: .png, .svg or .pdf.")]
_SUFFIXES = (".png", ".svg", ".pdf")


@dataclass(frozen=True)
class Drawing:
    """A figure that can be drawn and written; see `start_figure`."""

    style: Style
    output: Path
    dpi: int

    def save(self, figure: Any) -> None:
        """Write a matplotlib figure, and say where it is.

        :raises BadInputError: If it cannot be written.
        """
        from simsearch.show.figures.files import save

        save(figure, self.output, dpi=self.dpi)
        typer.echo(self.output)


def start_figure(output: Path, options: FigureStyle) -> Drawing:
    """Refuse what could not be written or drawn, before any work is spent on it.

    :raises BadInputError: If the file's ending is unknown or its folder does not exist.
    :raises MissingExtraError: Without matplotlib.
    """
    if output.suffix.lower() not in _SUFFIXES:
        raise BadInputError(
            f"cannot write {output}: the name must end in .png, .svg or .pdf",
            hint="for example: -o figure.png",
        )
    check_targets(output, pictures=True)
    require("matplotlib", "figures")
    from simsearch.show.figures.sheet import Style
    from simsearch.show.figures.theme import THEMES

    style = Style(THEMES[options.theme], options.width, options.height)
    return Drawing(style, output, options.dpi)
