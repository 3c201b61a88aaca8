"""The part of the HTTP API about known mistakes: items whose nearest image is of another class."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from fastapi import APIRouter, Response

from simsearch.errors import BadInputError
from simsearch.evaluate.mistakes import misplaced_items, saved_misplaced_items
from simsearch.evaluate.saved_report import SavedReport
from simsearch.index.bundle import Bundle
from simsearch.index.stores.base import Ids
from simsearch.web.openapi import answer, failures
from simsearch.web.parameters import IndexParameter
from simsearch.web.problems import NotFoundError
from simsearch.web.registry import OpenIndex, Registry
from simsearch.web.room import Kept, Room
from simsearch.web.vectors import json_response

MOST_ITEMS = 20_000  # of a gallery that is evaluated while somebody waits: a second or two a core
MOST_SHOWN = 1_000  # mistakes, of the most frequent pairs of classes

_TEXT = {"type": "string"}
_ID = {"type": "integer", "minimum": 0}
_MISTAKES = {
    "type": "object",
    "properties": {
        "items": {"type": "integer", "description": "Of the gallery, each asked about once."},
        "mistakes": {"type": "integer", "description": "Of all items; fewer may be listed."},
        "stored": {"type": "boolean", "description": "Whether they are from a stored evaluation."},
        "pairs": {
            "type": "array",
            "description": "The most frequent first.",
            "items": {
                "type": "object",
                "properties": {
                    "label": {**_TEXT, "description": "Class of the items."},
                    "nearest": {**_TEXT, "description": "Class of their nearest images."},
                    "items": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "properties": {"id": _ID, "nearest": _ID},
                            "required": ["id", "nearest"],
                        },
                    },
                },
                "required": ["label", "nearest", "items"],
            },
        },
    },
    "required": ["items", "mistakes", "stored", "pairs"],
}

MISTAKE_SCHEMAS = {"Mistakes": _MISTAKES}


def add_mistakes(router: APIRouter, registry: Registry, room: Room, reports: Sequence[SavedReport]) -> None:
    """Add this route to those of the API.

    :param reports: Stored evaluations; of an index without one the mistakes are found when they are asked
        for.
    """
    kept: Kept[dict[str, Any]] = Kept()

    @router.get(
        "/mistakes",
        summary="Items whose nearest image is of another class, by pair of classes",
        tags=["items"],
        responses={**answer("Mistakes"), **failures(404, 422)},
    )
    async def known_mistakes(index: IndexParameter = None) -> Response:
        opened = registry[index]
        return json_response(await room.run(lambda: kept.of(opened, lambda: _mistakes_of(opened, reports))))


def check_evaluations(reports: Sequence[SavedReport], bundles: Sequence[Bundle]) -> None:
    """Check that each evaluation is the leave-one-out evaluation of one of the indexes.

    :raises BadInputError: If one is not.
    """
    for report in reports:
        complaints = [why for bundle in bundles if (why := _complaint(report, bundle)) is not None]
        if len(complaints) == len(bundles):
            raise complaints[0]


def group_mistakes(bundle: Bundle, items: Ids, nearest: Ids) -> list[dict[str, Any]]:
    """Mistakes by pair of classes, the most frequent first, in plain values for JSON.

    :param items: Ids of items, int64 (M,).
    :param nearest: Ids of their nearest images, int64 (M,).
    """
    assert bundle.labels is not None
    names = bundle.manifest.classes
    pairs: dict[tuple[int, int], list[dict[str, int]]] = {}
    labels = zip(
        bundle.labels[bundle.rows(items)].tolist(), bundle.labels[bundle.rows(nearest)].tolist(), strict=True
    )
    for pair, item, other in zip(labels, items.tolist(), nearest.tolist(), strict=True):
        pairs.setdefault(pair, []).append({"id": item, "nearest": other})
    ordered = sorted(pairs.items(), key=lambda entry: (-len(entry[1]), entry[0]))
    listed, room = [], MOST_SHOWN
    for (label, other), found in ordered:
        if room:
            listed.append({"label": names[label], "nearest": names[other], "items": found[:room]})
        room -= len(found[:room])
    return listed


def _mistakes_of(opened: OpenIndex, reports: Sequence[SavedReport]) -> dict[str, Any]:
    bundle = opened.searcher.bundle
    if bundle.labels is None:
        raise NotFoundError(f"{opened.name} has no labels, so no image of it is misplaced")
    stored = next((report for report in reports if _complaint(report, bundle) is None), None)
    if stored is None and len(bundle.ids) > MOST_ITEMS:
        raise NotFoundError(
            f"{opened.name} is too large to be evaluated while you wait",
            hint="store one with `simsearch evaluate --json > FILE`, and serve it with --evaluation FILE",
        )
    items, nearest = misplaced_items(bundle) if stored is None else saved_misplaced_items(stored, bundle)
    return {
        "items": len(bundle.ids),
        "mistakes": len(items),
        "stored": stored is not None,
        "pairs": group_mistakes(bundle, items, nearest),
    }


def _complaint(report: SavedReport, bundle: Bundle) -> BadInputError | None:
    """Why an evaluation is not that of an index; None if it is."""
    try:
        saved_misplaced_items(report, bundle)
    except BadInputError as error:
        return error
    return None
