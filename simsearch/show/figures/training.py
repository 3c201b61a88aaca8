"""A training run's figures, epoch by epoch."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator, NullLocator

from simsearch.encode.history import EpochRecord, chosen_epoch
from simsearch.show.figures.sheet import HEADER, LINE_STYLES, MARGIN, PLAIN, LineStyle, Sheet, Style

_LEFT, _RIGHT, _BOTTOM = 1.05, 0.5, 1.12
_PANELS = (2.1, 2.1, 1.1)  # inches of loss, accuracy, learning rate
_GAP = 0.3
_KEY = 0.55  # two rows of keys
_WHY = (  # the loss on held-out pairs can lie below that on training pairs
    "Training pairs: mean over an epoch, while the weights change, with the recipe's distortions.",
    "Held-out pairs: after the epoch, as they are.",
)


def history_figure(history: Sequence[EpochRecord], style: Style = PLAIN, *, about: str = "") -> Figure:
    """Loss, accuracy and learning rate over the epochs; a line marks the epoch whose weights were kept.

    :raises ValueError: If the history is empty.
    """
    chosen = chosen_epoch(history)
    natural = HEADER + _KEY + sum(_PANELS) + 2 * _GAP + 0.1 + _BOTTOM
    sheet = Sheet(style, 8.0, natural)
    sheet.header("Training, epoch by epoch", about)
    theme = sheet.theme
    best = f"kept: epoch {chosen.epoch}, loss {chosen.val_loss:.4f}, accuracy {chosen.val_accuracy:.4f}"
    sheet.legend(
        HEADER + 0.08,
        [
            ("training pairs", theme.orange, "dashed"),
            ("validation pairs", theme.blue, "solid"),
            (best, theme.ink, "dotted"),
        ],
    )
    _draw_panels(sheet, history, chosen.epoch, (sheet.height - natural) / sum(_PANELS) + 1)
    for number, line in enumerate(_WHY):
        y = sheet.height - 0.35 + 0.18 * number
        sheet.text(MARGIN, y, sheet.fit(line, sheet.width - 2 * MARGIN, 9), size=9, color=theme.muted)
    return sheet.figure


def _draw_panels(sheet: Sheet, history: Sequence[EpochRecord], chosen: int, stretch: float) -> None:
    theme, epochs = sheet.theme, [record.epoch for record in history]
    columns: tuple[tuple[str, list[float], list[float]], ...] = (
        ("loss", [r.train_loss for r in history], [r.val_loss for r in history]),
        ("accuracy", [r.train_accuracy for r in history], [r.val_accuracy for r in history]),
        ("learning rate", [], [r.learning_rate for r in history]),
    )
    top = HEADER + _KEY + 0.1
    for place, ((name, training, validation), own) in enumerate(zip(columns, _PANELS, strict=True)):
        height = own * stretch
        last = place == len(_PANELS) - 1
        axes = sheet.chart(_LEFT, top, _RIGHT, sheet.height - top - height, x="epoch" if last else "", y=name)
        if training:
            _plot(axes, epochs, training, theme.orange, "dashed", sheet.scale)
        _plot(axes, epochs, validation, theme.blue if training else theme.ink, "solid", sheet.scale)
        _scale(axes, name, epochs, most=round(4 * own))
        axes.axvline(chosen, color=theme.ink, linewidth=1.5 * sheet.scale, linestyle=LINE_STYLES["dotted"])
        if not last:
            axes.tick_params(labelbottom=False)
        top += height + _GAP


def _plot(
    axes: Axes, epochs: Sequence[int], values: Sequence[float], color: str, style: LineStyle, scale: float
) -> None:
    marker = "o" if len(epochs) < 3 else ""
    axes.plot(epochs, values, color=color, linestyle=LINE_STYLES[style], linewidth=2 * scale, marker=marker)


def _scale(axes: Axes, name: str, epochs: Sequence[int], *, most: int) -> None:
    """Scales with at most so many numbers upwards."""
    axes.set_xlim(epochs[0] - 0.5, epochs[-1] + 0.5)
    axes.xaxis.set_major_locator(MaxNLocator(10, integer=True, min_n_ticks=1))
    if name == "accuracy":
        low = max(0.0, min(axes.get_ylim()[0], 0.99))
        axes.set_ylim(low, 1 + (1 - low) / 20)  # a tick at 1, the best there is
        axes.set_yticks(ticks_below_one(low))
        axes.yaxis.set_major_formatter("{x:.3g}")
        return
    axes.set_yscale("log")
    low, high = axes.get_ylim()
    axes.yaxis.set_minor_locator(NullLocator())
    axes.set_yticks(log_ticks(low, high, most))
    axes.yaxis.set_major_formatter("{x:g}")


def ticks_below_one(low: float) -> list[float]:
    """At most six round numbers from 1 down to `low`, evenly apart."""
    step = next(step for step in (0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2) if (1 - low) / step <= 5)
    return [1 - number * step for number in range(int((1 - low) / step) + 1)]


def log_ticks(low: float, high: float, most: int) -> list[float]:
    """Round numbers from `low` to `high`, at most so many: 1, 2 and 5 times powers of ten, or only powers."""
    for digits, step in (((1, 2, 5), 1), *(((1,), step) for step in range(1, 7))):
        powers = range(-12, 7, step)
        ticks = [float(f"{digit}e{power}") for power in powers for digit in digits]
        within = [tick for tick in ticks if low <= tick <= high]
        if len(within) <= most:
            return within
    return within[:most]
