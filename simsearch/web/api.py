"""The HTTP API: pictures and items in, the documents of `query --json` out."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any

from fastapi import APIRouter, Depends, Query, Request, Response
from starlette.concurrency import run_in_threadpool

from simsearch.errors import BadInputError
from simsearch.evaluate.saved_report import SavedReport
from simsearch.prepare.prepare import PreparedImage, Preprocess, png_bytes
from simsearch.search.answers import Answer, Limits
from simsearch.search.batch import Outcome
from simsearch.search.formats import ANSWER_VERSION, index_to_dict, outcome_to_dict
from simsearch.search.queries import Query as Asked
from simsearch.search.queries import items
from simsearch.web.activations import add_activations
from simsearch.web.addresses import AddressRoute, remembered
from simsearch.web.engine import Engine, Question, answered
from simsearch.web.mistakes import add_mistakes
from simsearch.web.openapi import answer, failures
from simsearch.web.originals import add_originals
from simsearch.web.parameters import IndexParameter, ItemParameter, refuse_unknown_parameters
from simsearch.web.registry import OpenIndex, Registry, data_uri
from simsearch.web.room import Room
from simsearch.web.settings import MAX_K, Settings
from simsearch.web.steps import add_steps
from simsearch.web.uploads import FORM, RAW, read_pictures
from simsearch.web.vectors import add_vectors

PicturesParameter = Annotated[
    bool, Query(description="Add `pictures`: what the network saw, and each item named, as data: PNGs.")
]

_PICTURE = {kind: {"schema": {"type": "string", "format": "binary"}} for kind in RAW}
_FEW_HITS = 100  # whose document is put together in less than a millisecond or two
_FILE = {"type": "string", "format": "binary"}


def _form(schema: Mapping[str, Any]) -> dict[str, Any]:
    return {FORM: {"schema": {"type": "object", "properties": schema, "required": list(schema)}}}


def _body(content: Mapping[str, Any]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": dict(content)}}


@dataclass(frozen=True)
class Preparation:
    """How uploaded pictures of digits are prepared."""

    preprocess: Preprocess = Preprocess.AUTO
    invert: bool | None = None


@dataclass(frozen=True)
class Wishes:
    """The parameters that every search has."""

    k: int
    labels: tuple[str, ...]
    limits: Limits
    exact: bool

    def of(self, opened: OpenIndex, how: Preparation = Preparation()) -> Question:
        """The question to one version of an index."""
        searcher, preprocess, invert = opened.searcher, how.preprocess, how.invert
        return Question(searcher, self.k, self.labels, self.limits, preprocess, invert, self.exact)


async def wishes(
    k: Annotated[int, Query(ge=1, le=MAX_K, description="How many nearest images.", examples=[5])] = 10,
    label: Annotated[
        list[str] | None,
        Query(max_length=100, description="Only images of this class; repeatable.", examples=[["5", "6"]]),
    ] = None,
    min_score: Annotated[
        float | None, Query(ge=-1, le=1, description="Count an image as a match from this score on.")
    ] = None,
    min_probability: Annotated[
        float | None, Query(ge=0, le=1, description="And from this probability on.")
    ] = None,
    unknown_below: Annotated[
        float | None, Query(ge=0, le=1, description="Call a picture less familiar than this unknown.")
    ] = None,
    exact: Annotated[
        bool, Query(description="Compare with every image, though the index is approximate.")
    ] = False,
) -> Wishes:
    """Read the parameters that every search has."""
    return Wishes(k, tuple(label or ()), Limits(min_score, min_probability, unknown_below), exact)


async def preparation(
    preprocess: Annotated[
        Preprocess,
        Query(description="auto: leave images alone that are like MNIST, prepare all others as MNIST was."),
    ] = Preprocess.AUTO,
    invert: Annotated[
        bool | None,
        Query(description="Whether the ink is dark on light; decided from the border by default."),
    ] = None,
) -> Preparation:
    """Read the parameters of searches for uploaded pictures."""
    return Preparation(preprocess, invert)


WishesParameter = Annotated[Wishes, Depends(wishes)]
PreparationParameter = Annotated[Preparation, Depends(preparation)]


def make_router(
    registry: Registry, engine: Engine, settings: Settings, reports: Sequence[SavedReport] = ()
) -> APIRouter:
    """The routes below `/api`.

    :param reports: Stored evaluations, for what is known of mistakes.
    """
    router = APIRouter(
        prefix="/api",
        dependencies=[Depends(refuse_unknown_parameters)],
        generate_unique_id_function=lambda route: route.name,
        route_class=AddressRoute,
    )
    responder = Responder(settings.workers)
    _add_searches(router, registry, engine, settings, responder)
    _add_items(router, registry, engine, responder)
    room = Room(settings.workers, settings.queue)
    add_vectors(router, registry, engine, room)
    add_originals(router, registry, room)
    add_activations(router, registry, engine, room)
    add_mistakes(router, registry, room, reports)
    add_steps(router, registry, engine)

    @router.get(
        "/indexes",
        summary="The indexes that can be asked",
        tags=["indexes"],
        responses=answer("Indexes"),
    )
    async def list_indexes() -> Response:
        return _json(json.dumps({"indexes": [registry[name].describe() for name in registry.names]}))

    return router


def _add_searches(
    router: APIRouter, registry: Registry, engine: Engine, settings: Settings, responder: Responder
) -> None:
    async def ask(
        request: Request, opened: OpenIndex, wanted: Wishes, how: Preparation, most: int
    ) -> list[Outcome]:
        kind = request.headers.get("content-type", "")
        images = await read_pictures(await request.body(), kind, most=most)
        names = ["image"] if most == 1 else [f"image {number}" for number in range(1, len(images) + 1)]
        if wanted.k * len(images) > settings.max_hits:
            raise BadInputError(
                f"{len(images)} pictures with {wanted.k:,} hits each are too many for one answer",
                hint=f"ask for at most {settings.max_hits:,} hits at once",
            )
        queries = [Asked(name, image) for name, image in zip(names, images, strict=True)]
        return await engine.ask(wanted.of(opened, how), queries)

    @router.post(
        "/search",
        summary="The nearest images to a picture, and the class ranking",
        tags=["search"],
        responses={**answer("document"), **failures(404, 408, 413, 415, 422)},
        openapi_extra=_body({**_PICTURE, **_form({"image": _FILE})}),
    )
    @remembered
    async def search(
        request: Request,
        wanted: WishesParameter,
        how: PreparationParameter,
        index: IndexParameter = None,
        pictures: PicturesParameter = False,
    ) -> Response:
        opened = registry[index]
        (outcome,) = await ask(request, opened, wanted, how, 1)
        return await responder.respond(opened, [answered(outcome)], pictures)

    @router.post(
        "/search/batch",
        summary="The same for several pictures; one that cannot be used does not stop the rest",
        tags=["search"],
        responses={**answer("document"), **failures(404, 408, 413, 415, 422)},
        openapi_extra=_body(_form({"images": {"type": "array", "minItems": 1, "items": _FILE}})),
    )
    async def search_batch(
        request: Request,
        wanted: WishesParameter,
        how: PreparationParameter,
        index: IndexParameter = None,
        pictures: PicturesParameter = False,
    ) -> Response:
        opened = registry[index]
        outcomes = await ask(request, opened, wanted, how, settings.max_pictures)
        return await responder.respond(opened, outcomes, pictures)


def _add_items(router: APIRouter, registry: Registry, engine: Engine, responder: Responder) -> None:
    @router.get(
        "/items/{item}.png",
        summary="An item's picture",
        tags=["items"],
        response_class=Response,
        responses={200: {"content": {"image/png": {"schema": _FILE}}}, **failures(404, 422)},
    )
    async def item_picture(item: ItemParameter, index: IndexParameter = None) -> Response:
        return Response(registry[index].png(item), media_type="image/png")

    @router.get(
        "/items/{item}",
        summary="An item",
        tags=["items"],
        responses={**answer("Item"), **failures(404, 422)},
    )
    async def get_item(item: ItemParameter, index: IndexParameter = None) -> Response:
        return _json(json.dumps(registry[index].describe_item(item)))

    @router.get(
        "/items/{item}/neighbors",
        summary="The nearest images to an item, without itself",
        tags=["search"],
        responses={**answer("document"), **failures(404, 422)},
    )
    async def neighbors(
        item: ItemParameter,
        wanted: WishesParameter,
        index: IndexParameter = None,
        pictures: PicturesParameter = False,
    ) -> Response:
        opened = registry[index]
        opened.thumbnail(item)  # a 404 where there is none
        (outcome,) = await engine.ask(wanted.of(opened), [*items([item])])
        return await responder.respond(opened, [answered(outcome)], pictures)


class Responder:
    """Turns outcomes into responses; large ones off the event loop, and only a few at once."""

    def __init__(self, most: int) -> None:
        """Put at most so many large documents together at once."""
        self._turn = asyncio.Semaphore(most)

    async def respond(self, opened: OpenIndex, outcomes: Sequence[Outcome], pictures: bool) -> Response:
        """The document of these outcomes as a response."""
        if sum(len(outcome.answer.hits) for outcome in outcomes if outcome.answer) <= _FEW_HITS:
            return _json(_document(opened, outcomes, pictures))
        async with self._turn:
            return _json(await run_in_threadpool(_document, opened, outcomes, pictures))


def _document(opened: OpenIndex, outcomes: Sequence[Outcome], pictures: bool) -> str:
    """The answers as `query --json` prints them, with pictures where they are wanted."""
    entries = [outcome_to_dict(outcome) for outcome in outcomes]
    if pictures:
        for entry, outcome in zip(entries, outcomes, strict=True):
            if outcome.answer is not None and outcome.image is not None:
                entry["pictures"] = _pictures(opened, outcome.image, outcome.answer)
    document = {"schema": ANSWER_VERSION, "index": index_to_dict(opened.searcher), "queries": entries}
    return json.dumps(document)


def _pictures(opened: OpenIndex, image: PreparedImage, answer: Answer) -> dict[str, Any]:
    named = dict.fromkeys([hit.id for hit in answer.hits] + [row.example for row in answer.classes])
    return {
        "query": data_uri(png_bytes(image.pixels)),
        "items": {str(item): opened.picture(item) for item in named},
    }


def _json(text: str) -> Response:
    return Response(text, media_type="application/json")
