"""A map of a gallery: every item a point of the color and shape of its class, some with their picture."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from simsearch.errors import BadInputError
from simsearch.index.bundle import Bundle
from simsearch.show.figures.plane import Plane, project
from simsearch.show.figures.sheet import HEADER, MARGIN, PLAIN, Sheet, Style

MOST_ITEMS = 2_000
_MARKERS = "oosD^vPX"  # one more for each time round the colors
_PICTURE = 0.3  # inches
_PICTURES = 60
_NAMED = 20  # classes that get their name on the map


@dataclass(frozen=True, eq=False)
class Map:
    """N items on a plane."""

    points: Plane  # (N, 2)
    pixels: NDArray[np.uint8]  # (N, H, W)
    labels: NDArray[np.int64] | None  # (N,)
    classes: tuple[str, ...]
    about: str  # how the points came to lie where they do


def map_gallery(bundle: Bundle, method: str = "pca", *, count: int = MOST_ITEMS, seed: int = 0) -> Map:
    """Lay out a gallery, or `count` random items of a larger one.

    :raises BadInputError: If there are too few items.
    """
    total = len(bundle.ids)
    rows = np.arange(total)
    if total > count:
        rows = np.sort(np.random.default_rng(seed).choice(total, count, replace=False))
    try:
        points, how = project(bundle.store.vectors(bundle.ids[rows]), method, seed=seed)
    except ValueError as error:
        raise BadInputError(f"the index {bundle.manifest.name} cannot be mapped: {error}") from None
    items = f"{total:,} items" if len(rows) == total else f"{len(rows):,} of {total:,} items"
    return Map(
        points=points,
        pixels=bundle.thumbnails[rows],
        labels=None if bundle.labels is None else bundle.labels[rows],
        classes=bundle.manifest.classes,
        about=f"{bundle.manifest.name}, {items}: {how}",
    )


def embedding_figure(drawn: Map, style: Style = PLAIN, *, pictures: int = _PICTURES) -> Figure:
    """The points, `pictures` example images where there is room for them, and the classes' names."""
    sheet = Sheet(style, 8.0, 8.0)
    sheet.header("Where the network puts the images", drawn.about)
    axes = sheet.chart(MARGIN, HEADER + 0.1, MARGIN, MARGIN)
    axes.set(xticks=[], yticks=[])
    for spine in axes.spines.values():
        spine.set(visible=True, color=sheet.theme.rule)
    _limit(axes, drawn.points, sheet)
    groups = [np.arange(len(drawn.points))]
    if drawn.labels is not None:
        groups = [np.flatnonzero(drawn.labels == label) for label in range(len(drawn.classes))]
    for number, rows in enumerate(groups):
        color, marker = _style(sheet, number, labeled=drawn.labels is not None)
        axes.scatter(
            drawn.points[rows, 0],
            drawn.points[rows, 1],
            s=16 * sheet.scale**2,
            c=color,
            marker=marker,
            alpha=0.75,
            linewidths=0,
        )
    taken = _name_classes(axes, drawn, groups, sheet) if drawn.labels is not None else []
    _place_pictures(axes, drawn, pictures, taken, sheet)
    return sheet.figure


def _limit(axes: Axes, points: Plane, sheet: Sheet) -> None:
    """Room for a picture round the outermost points."""
    low, high = points.min(axis=0), points.max(axis=0)
    reach = np.where(high > low, high - low, 1.0)
    room = reach * _PICTURE / (sheet.width - 2 * MARGIN)
    axes.set_xlim(low[0] - room[0], high[0] + room[0])
    axes.set_ylim(low[1] - room[1], high[1] + room[1])


def _style(sheet: Sheet, number: int, *, labeled: bool) -> tuple[str, str]:
    colors = sheet.theme.classes
    if not labeled:
        return sheet.theme.blue, "o"
    marker = _MARKERS[(number // len(colors) * 2 + number % 2 * 2) % len(_MARKERS)]
    return colors[number % len(colors)], marker


def _name_classes(
    axes: Axes, drawn: Map, groups: Sequence[NDArray[np.int64]], sheet: Sheet
) -> list[NDArray[np.float64]]:
    """Write the names of the largest classes at their middles; where two would meet, the later moves away."""
    taken: list[NDArray[np.float64]] = []
    largest = sorted((n for n, rows in enumerate(groups) if len(rows)), key=lambda n: -len(groups[n]))
    named = sorted(largest[:_NAMED])
    names = sheet.fit_apart({str(number): drawn.classes[number] for number in named}, 1.4, 13, "bold")
    for number in named:
        name = names[str(number)]
        half = np.array([sheet.text_width(name, 13, "bold") / 2 + 0.1, 0.17])
        middle = _inches(axes, sheet, np.median(drawn.points[groups[number]], axis=0))
        at = next((spot for spot in _spiral(middle) if _free(spot, half, taken, axes, sheet)), None)
        if at is None:
            continue
        taken.append(np.array([*at, *half]))
        color, _ = _style(sheet, number, labeled=True)
        sheet.text(
            *_on_page(axes, sheet, at), name, size=13, weight="bold", ha="center", va="center"
        ).set_bbox(
            {
                "boxstyle": f"round,pad={0.25}",
                "facecolor": sheet.theme.page,
                "edgecolor": color,
                "linewidth": 2 * sheet.scale,
            }
        )
    return taken


def _place_pictures(
    axes: Axes, drawn: Map, count: int, taken: list[NDArray[np.float64]], sheet: Sheet
) -> None:
    """Show items' pictures at their points, in a fixed random order, where nothing else lies yet."""
    half = np.full(2, _PICTURE / 2 + 0.02)
    places = _inches(axes, sheet, drawn.points)  # (N, 2)
    placed = 0
    for row in np.random.default_rng(0).permutation(len(places)):
        if placed == count:
            return
        if not _free(places[row], half, taken, axes, sheet):
            continue
        taken.append(np.array([*places[row], *half]))
        placed += 1
        number = 0 if drawn.labels is None else int(drawn.labels[row])
        color, _ = _style(sheet, number, labeled=drawn.labels is not None)
        x, y = _on_page(axes, sheet, places[row])
        sheet.picture(x - _PICTURE / 2, y - _PICTURE / 2, _PICTURE, drawn.pixels[row])
        sheet.box(x - _PICTURE / 2, y - _PICTURE / 2, _PICTURE, _PICTURE, edge=color, line=1.5)


def _inches(axes: Axes, sheet: Sheet, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Points of the data as inches from the lower left corner of the axes."""
    corner = axes.transData.transform(points) - axes.transAxes.transform((0, 0))
    return np.asarray(corner) / sheet.figure.dpi / sheet.scale


def _on_page(axes: Axes, sheet: Sheet, at: NDArray[np.float64]) -> tuple[float, float]:
    """Inches from the axes' lower left corner as inches from the page's upper left one."""
    box = axes.get_position()
    return float(box.x0 * sheet.width + at[0]), float((1 - box.y0) * sheet.height - at[1])


def _free(
    at: NDArray[np.float64],
    half: NDArray[np.float64],
    taken: Sequence[NDArray[np.float64]],
    axes: Axes,
    sheet: Sheet,
) -> bool:
    """Whether a box of these half sides fits at this point: inside the axes, and on nothing."""
    box = axes.get_position()
    size = np.array([box.width * sheet.width, box.height * sheet.height])
    if (at - half < 0).any() or (at + half > size).any():
        return False
    return not any((np.abs(at - other[:2]) < half + other[2:]).all() for other in taken)


def _spiral(start: NDArray[np.float64]) -> Iterator[NDArray[np.float64]]:
    """Points further and further from a start."""
    for step in range(400):
        angle, reach = step * 2.399963, 0.06 * np.sqrt(step)  # the golden angle covers a disc evenly
        yield start + reach * np.array([np.cos(angle), np.sin(angle)])
