"""The network as blocks in space, with the sizes and values of a real run: nothing here knows the network."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from numpy.typing import NDArray

from simsearch.index.bundle import Bundle
from simsearch.prepare.inputs import ImageInput
from simsearch.prepare.pictures import prepare_picture
from simsearch.show.figures.sheet import HEADER, MARGIN, PLAIN, Sheet, Style
from simsearch.stats.calibration import PlattScaling
from simsearch.text import percent
from simsearch.train.anatomy import Anatomy, Block, Step, blocks

PIXEL, CHANNEL = 0.05, 0.0125  # inches of one pixel of height or width, and of one channel of depth
_ANGLE = math.radians(38)  # at which depth is drawn
_GAP = 0.42
_LABEL = 10.0  # points
_LINE = 0.2  # inches from line to line of a label
_LEAST_WIDTH = 11.9  # that the lower half needs
_TOWERS = 3.15  # inches of the lower half
_PLAIN_NAMES = {
    "relu": "ReLU",
    "max_pool2d": "max pool",
    "normalize": "to length 1",
    "flatten": "flatten",
    "cosine_similarity": "cosine",
    "add": "+ what went in",
}


def architecture_figure(anatomy: Anatomy, style: Style = PLAIN, *, about: str = "") -> Figure:
    """The first tower's blocks to one scale, and below it both towers as they meet.

    :param about: Which model it is, for the line under the title.
    """
    drawn = (_input_block(anatomy.images[0]), *blocks(anatomy.towers[0]))
    probe = Sheet(style, 10, 10)
    labels = [_label(block) for block in drawn]
    widths = [
        max(_extent(block.shape)[0], *(probe.text_width(line, _LABEL) for line in label))
        for block, label in zip(drawn, labels, strict=True)
    ]
    tallest = max(_extent(block.shape)[1] for block in drawn)
    lines = max(map(len, labels))
    width = max(2 * MARGIN + sum(widths) + (len(widths) - 1) * _GAP, _LEAST_WIDTH)
    blocks_height = tallest + lines * _LINE + 0.55
    sheet = Sheet(style, width, HEADER + blocks_height + _TOWERS)
    sheet.header(f"{anatomy.network}: {anatomy.parameters:,} parameters", about)
    middle = HEADER + 0.1 + tallest / 2
    gap = (sheet.width - 2 * MARGIN - sum(widths)) / (len(widths) - 1)
    x = end = MARGIN
    for place, (block, label, own) in enumerate(zip(drawn, labels, widths, strict=True)):
        wide, _ = _extent(block.shape)
        left = x + (own - wide) / 2
        _draw_block(sheet, left, middle, block)
        for number, line in enumerate(label):
            y = HEADER + 0.1 + tallest + 0.32 + number * _LINE
            last = number == len(label) - 1
            color = sheet.theme.muted if last else sheet.theme.ink
            sheet.text(x + own / 2, y, line, size=_LABEL, color=color, ha="center")
        if place:
            sheet.arrow((end + 0.06, middle), (left - 0.06, middle))
        end = left + wide
        x += own + gap
    _draw_towers(sheet, HEADER + blocks_height, anatomy)
    return sheet.figure


def example_images(bundle: Bundle, input: ImageInput) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """The first item of a gallery and the next one of its class, or the first again if it has no other.

    :param input: What a network takes: small pictures of another gallery are prepared for it.
    """
    other = 0
    if bundle.labels is not None:
        others = np.flatnonzero(bundle.labels[1:] == bundle.labels[0]) + 1
        other = int(others[0]) if len(others) else 0
    found = [np.array(bundle.thumbnails[row]) for row in (0, other)]
    if bundle.manifest.input != input or not bundle.keeps_input:
        found = [prepare_picture(pixels, input).pixels for pixels in found]
    return found[0], found[1]


def _input_block(pixels: NDArray[np.uint8]) -> Block:
    """The picture as a block of its channels."""
    values = np.atleast_3d(pixels).transpose(2, 0, 1).astype(np.float32)  # (C, H, W)
    return Block((Step("image", "", "", 0, values.shape, values),))


def _label(block: Block) -> tuple[str, ...]:
    """A line a step, and the shape of what comes out."""
    size = " x ".join(str(side) for side in block.shape)
    return (*(_words(step) for step in block.steps), size if len(block.shape) > 1 else f"{size} values")


def _words(step: Step) -> str:
    operation = _PLAIN_NAMES.get(step.operation, step.operation)
    return " ".join(part for part in (step.name or operation, step.detail) if part)


def _in_space(shape: tuple[int, ...]) -> tuple[float, float, float]:
    """Inches of width, height and depth; a vector is as deep as it is long, of one pixel each."""
    channels, high, wide = shape if len(shape) == 3 else (math.prod(shape), 1, 1)
    return wide * PIXEL, high * PIXEL, channels * CHANNEL


def _extent(shape: tuple[int, ...]) -> tuple[float, float]:
    """Inches that a block takes on the sheet."""
    wide, high, deep = _in_space(shape)
    return wide + deep * math.cos(_ANGLE), high + deep * math.sin(_ANGLE)


def _draw_block(sheet: Sheet, left: float, middle: float, block: Block) -> None:
    """A box whose front shows the channel of most contrast; a vector shows all of its values."""
    wide, high, deep = _in_space(block.shape)
    _, full = _extent(block.shape)
    top = middle + full / 2 - high  # of the front face
    if len(block.shape) != 3:
        _draw_vector(sheet, left, top, block.output)
        return
    right, up = deep * math.cos(_ANGLE), deep * math.sin(_ANGLE)
    front = [(left, top), (left + wide, top), (left + wide, top + high), (left, top + high)]
    lid = [front[0], (left + right, top - up), (left + wide + right, top - up), front[1]]
    side = [front[1], lid[2], (left + wide + right, top + high - up), front[2]]
    colors = _shades(sheet)
    edge = sheet.theme.ink
    sheet.polygon(lid, colors(0.35), edge)
    sheet.polygon(side, colors(0.55), edge)
    channel = block.output[block.output.std(axis=(1, 2)).argmax()]  # (H, W)
    _draw_map(sheet, left, top, wide, high, channel)
    sheet.polygon(front, "none", edge)


def _draw_map(
    sheet: Sheet, x: float, y: float, wide: float, high: float, values: NDArray[np.float32]
) -> None:
    low, most = float(values.min()), float(values.max())
    image = sheet.picture(x, y, 1, (values - low) / (most - low if most > low else 1), most=1)
    image.set_extent((x, x + wide, y + high, y))


def _draw_vector(sheet: Sheet, left: float, top: float, values: NDArray[np.float32]) -> None:
    """A row of cells that recedes like the channels of a block, each colored by its value."""
    cells = values.ravel()
    step = np.array([math.cos(_ANGLE), -math.sin(_ANGLE)]) * CHANNEL
    start = np.array([left, top]) + np.arange(len(cells))[:, None] * step  # (N, 2)
    corners = np.array([[0, 0], [PIXEL, 0], [PIXEL, PIXEL], [0, PIXEL]])
    shapes = start[::-1, None] + corners  # the furthest first
    colors = _shades(sheet)(cells[::-1] / max(float(np.abs(cells).max()), 1e-12))
    sheet.cells(shapes, colors)
    near, far = corners + start[0], corners + start[-1]
    outline = [near[3], near[0], far[0], far[1], far[2], near[2]]
    sheet.polygon([(float(x), float(y)) for x, y in outline], "none", sheet.theme.ink, 0.6)


def _shades(sheet: Sheet) -> LinearSegmentedColormap:
    """From almost the page to blue: 0 to 1."""
    return LinearSegmentedColormap.from_list("value", (sheet.theme.rule, sheet.theme.blue))


def _draw_towers(sheet: Sheet, top: float, anatomy: Anatomy) -> None:
    """Both images, the shared net, their vectors, and what is made of them."""
    theme = sheet.theme
    sheet.line([MARGIN, sheet.width - MARGIN], [top, top], theme.rule, 1)
    weights = "the same weights" if anatomy.shared else "different weights"
    sheet.text(
        MARGIN, top + 0.36, f"SimilarityModel: two images, {weights}, one cosine", size=13, weight="bold"
    )
    side, net, strip = 0.95, 1.75, 2.0
    rows = (top + 1.1, top + 2.4)
    spare = max(sheet.width - _LEAST_WIDTH, 0) / 4
    at_net = MARGIN + side + 0.45 + spare
    at_strip = at_net + net + 0.45 + spare
    at_cosine = at_strip + strip + 0.55 + spare
    meet = sum(rows) / 2
    for y, pixels, tower in zip(rows, anatomy.images, anatomy.towers, strict=True):
        sheet.picture(MARGIN, y - side / 2, side, pixels)
        sheet.arrow((MARGIN + side + 0.06, y), (at_net - 0.05, y))
        sheet.box(at_net, y - 0.3, net, 0.6, fill=theme.panel, edge=theme.blue, line=1.6, rounding=0.08)
        sheet.text(at_net + net / 2, y, anatomy.network, weight="bold", ha="center", va="center")
        sheet.arrow((at_net + net + 0.05, y), (at_strip - 0.05, y))
        _draw_strip(sheet, at_strip, y, strip, tower[-1].output)
        sheet.arrow((at_strip + strip + 0.06, y), (at_cosine - 0.05, meet + (0.12 if y > meet else -0.12)))
    sheet.line([at_net + net / 2] * 2, [rows[0] + 0.32, rows[1] - 0.32], theme.blue, 1.6, "dashed")
    sheet.text(at_net + net / 2 + 0.12, meet, weights, color=theme.blue, va="center")
    projection = PlattScaling(anatomy.weight, anatomy.bias)
    logit = f"{anatomy.weight:.2f} x cosine {'-' if anatomy.bias < 0 else '+'} {abs(anatomy.bias):.2f}"
    results: Sequence[tuple[str, str, float]] = (
        (_words(anatomy.head[0]), f"{anatomy.cosine:.3f}", 0.95),
        (logit, f"logit {anatomy.logit:+.2f}", 2.1),
        ("sigmoid", percent(float(projection.probability(anatomy.cosine))), 1.05),
    )
    x = at_cosine
    for place, (above, inside, width) in enumerate(results):
        if place:
            sheet.arrow((x - 0.4, meet), (x - 0.05, meet))
        sheet.box(x, meet - 0.3, width, 0.6, fill=theme.panel, edge=theme.ink, line=1.2, rounding=0.08)
        sheet.text(
            x + width / 2, meet - 0.42, sheet.fit(above, width + 0.3, _LABEL), size=_LABEL, ha="center"
        )
        sheet.text(x + width / 2, meet, inside, weight="bold", ha="center", va="center")
        x += width + 0.45
    sheet.text(x - 0.45, meet + 0.55, "that both show one class", size=_LABEL, color=theme.muted, ha="right")


def _draw_strip(sheet: Sheet, x: float, y: float, width: float, values: NDArray[np.float32]) -> None:
    """A vector's values side by side."""
    shown = values.ravel()
    cells = sheet.picture(x, y, 1, np.zeros((1, 1)))
    cells.set_data(_shades(sheet)(shown / max(float(np.abs(shown).max()), 1e-12))[None, :, :3])
    cells.set_extent((x, x + width, y + 0.14, y - 0.14))
    sheet.box(x, y - 0.14, width, 0.28, edge=sheet.theme.muted, line=0.8)
    sheet.text(
        x + width / 2,
        y + 0.36,
        f"{shown.size} values, length 1",
        size=_LABEL,
        color=sheet.theme.muted,
        ha="center",
    )
