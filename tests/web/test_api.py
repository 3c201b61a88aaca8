"""The API asked over real connections, about galleries whose answers can be worked out by hand."""

from __future__ import annotations

import base64
import io
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from conftest import ROOT, SHIPPED_INDEX
from PIL import Image
from servers import running
from toys import quadrant_image, toy_split

from simsearch.encode.model_folder import Model
from simsearch.index.build import build_index
from simsearch.prepare.prepare import png_bytes
from simsearch.web.problems import PROBLEM

DIGIT = (ROOT / "docs" / "digit.png").read_bytes()
PNG = {"Content-Type": "image/png"}
GALLERY = [
    ((100, 0, 0, 0), 0),
    ((200, 0, 0, 0), 0),
    ((60, 80, 0, 0), 0),
    ((0, 100, 0, 0), 1),
    ((0, 0, 100, 0), 1),
    ((0, 0, 60, 80), 2),
]
NONE = {"preprocess": "none"}
FORM = "multipart/form-data; boundary=b"
MOST = "input should be less than or equal to"
NO_FORM = "the form cannot be parsed:"
NO_BOUNDARY = f"{NO_FORM} missing boundary in multipart"
NO_LABLE = "there is no parameter 'lable' here"
KNOWN = "there are: index, pictures, k, label, min_score, min_probability, unknown_below, exact"
NO_NAME = 'the Content-Disposition header field "name" must be provided'
FIELD = "the form has a field that is no file"
PART = b"Content-Disposition: form-data"


@pytest.fixture(scope="module")
def toys(tmp_path_factory: pytest.TempPathFactory, toy_model: Model) -> dict[str, Path]:
    """Two toy indexes: `toy` with labels, `plain` without."""
    folder = tmp_path_factory.mktemp("indexes")
    build_index(toy_split(GALLERY), toy_model, folder / "toy")
    plain = toy_split([((9, 0, 0, 0), None), ((0, 9, 0, 0), None)], classes=())
    build_index(plain, toy_model, folder / "plain")
    return {"toy": folder / "toy", "plain": folder / "plain"}


@pytest.fixture(scope="module")
def client(toys: dict[str, Path]) -> Iterator[httpx.Client]:
    with (
        running({**toys, "mnist-test": SHIPPED_INDEX}) as url,
        httpx.Client(base_url=url, timeout=60) as client,
    ):
        yield client


def quadrants(*grays: int) -> bytes:
    return png_bytes(quadrant_image(*grays))


def assert_problem(response: httpx.Response, status: int, detail: str, hint: str | None = None) -> None:
    assert response.headers["content-type"] == PROBLEM
    document = response.json()
    title = document.pop("title")
    assert title
    expected = {"type": "about:blank", "status": status, "detail": detail}
    assert document == (expected if hint is None else {**expected, "hint": hint})
    assert response.status_code == status


# --- answers


def test_an_answer_is_the_document_that_the_command_prints(client: httpx.Client) -> None:
    command = [sys.executable, "-m", "simsearch", "query", "docs/digit.png", "--json", "-k", "3"]
    printed = subprocess.run(
        [*command, "--index", SHIPPED_INDEX], cwd=ROOT, capture_output=True, check=True, text=True
    ).stdout
    expected = json.loads(printed)
    expected["queries"][0]["query"] = "image"  # instead of the file's name
    answer = client.post("/api/search?k=3&index=mnist-test", content=DIGIT, headers=PNG)
    assert answer.json() == expected


def test_a_search_worked_by_hand(client: httpx.Client) -> None:
    # The query's vector is (.6, .8, 0, 0).
    answer = client.post("/api/search", params=NONE, content=quadrants(30, 40, 0, 0), headers=PNG).json()
    assert answer["index"]["name"] == "toy"
    (entry,) = answer["queries"]
    assert [hit["id"] for hit in entry["hits"]] == [2, 3, 0, 1, 4, 5]
    assert [hit["score"] for hit in entry["hits"]] == pytest.approx([1.0, 0.8, 0.6, 0.6, 0, 0])
    assert [row["label"] for row in entry["classes"]] == ["a", "b", "c"]


def test_a_form_gives_the_answer_of_its_file_whatever_the_name(client: httpx.Client) -> None:
    raw = client.post("/api/search?k=2", params={"k": 2, **NONE}, content=quadrants(0, 90, 0, 0), headers=PNG)
    for name in ("x.png", "../../etc/passwd", "", "a\nb", "é" * 300):
        form = client.post(
            "/api/search", params={"k": 2, **NONE}, files={"image": (name, quadrants(0, 90, 0, 0))}
        )
        if name:
            assert form.json() == raw.json()
            assert name not in form.text
        else:  # httpx sends a part without a file name: it is no file
            assert_problem(
                form,
                422,
                "the form has a field that is no file",
                "k and the other settings go into the address",
            )


def test_k_beyond_the_gallery_answers_with_all_of_it(client: httpx.Client) -> None:
    answer = client.post(
        "/api/search?k=1000", params={"k": 1000, **NONE}, content=quadrants(90, 0, 0, 0), headers=PNG
    )
    assert len(answer.json()["queries"][0]["hits"]) == 6


def test_limits_reach_the_search(client: httpx.Client) -> None:
    question = {"min_score": 0.7, **NONE}
    answer = client.post("/api/search", params=question, content=quadrants(30, 40, 0, 0), headers=PNG).json()
    assert [hit["match"] for hit in answer["queries"][0]["hits"]] == [True, True, False, False, False, False]


def test_labels_restrict_the_hits_and_nothing_else(client: httpx.Client) -> None:
    question = {"label": ["b", "c"], **NONE}
    answer = client.post("/api/search", params=question, content=quadrants(30, 40, 0, 0), headers=PNG).json()
    assert [hit["id"] for hit in answer["queries"][0]["hits"]] == [3, 4, 5]
    assert [row["label"] for row in answer["queries"][0]["classes"]] == ["a", "b", "c"]
    wrong = client.post("/api/search?label=x", content=quadrants(30, 40, 0, 0), headers=PNG)
    assert_problem(wrong, 422, "there is no class 'x' in toy", "its classes: a, b, c")


def test_a_batch_answers_what_it_can_and_says_what_it_cannot(client: httpx.Client) -> None:
    files = [
        ("images", ("1", quadrants(90, 0, 0, 0))),
        ("images", ("2", b"junk")),
        ("images", ("3", quadrants(0, 90, 0, 0))),
    ]
    document = client.post("/api/search/batch", params={"k": 1, **NONE}, files=files).json()
    assert [entry["query"] for entry in document["queries"]] == ["image 1", "image 2", "image 3"]
    assert [entry.get("error") for entry in document["queries"]] == [
        None,
        "cannot decode the picture: not a picture, or damaged",
        None,
    ]
    assert [entry["hits"][0]["id"] for entry in document["queries"][::2]] == [0, 3]


def test_pictures_are_those_of_the_query_and_of_every_item_named(client: httpx.Client) -> None:
    question = {"k": 2, "pictures": True, **NONE}
    entry = client.post("/api/search", params=question, content=quadrants(30, 40, 0, 0), headers=PNG).json()[
        "queries"
    ][0]
    pictures = entry["pictures"]
    assert set(pictures["items"]) == {"2", "3", "5"}  # two hits and the best of each class

    def pixels(address: str) -> np.ndarray:
        kind, _, data = address.partition(";base64,")
        assert kind == "data:image/png"
        return np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))

    np.testing.assert_array_equal(pixels(pictures["query"]), quadrant_image(30, 40, 0, 0))
    np.testing.assert_array_equal(pixels(pictures["items"]["2"]), quadrant_image(60, 80, 0, 0))


def test_a_gallery_without_labels_is_answered(client: httpx.Client) -> None:
    answer = client.post(
        "/api/search", params={"index": "plain", **NONE}, content=quadrants(50, 0, 0, 0), headers=PNG
    )
    entry = answer.json()["queries"][0]
    assert [(hit["id"], hit["label"]) for hit in entry["hits"]] == [(0, None), (1, None)]
    assert entry["classes"] == []


# --- items and indexes


def test_an_item(client: httpx.Client) -> None:
    item = {"index": "toy", "id": 3, "label": "b", "source": "toy/3", "original": False}
    assert client.get("/api/items/3").json() == item
    plain = client.get("/api/items/1?index=plain").json()
    assert plain == {"index": "plain", "id": 1, "label": None, "source": "toy/1", "original": False}


def test_an_items_picture(client: httpx.Client) -> None:
    response = client.get("/api/items/2.png")
    assert response.headers["content-type"] == "image/png"
    np.testing.assert_array_equal(
        np.asarray(Image.open(io.BytesIO(response.content))), quadrant_image(60, 80, 0, 0)
    )


def test_an_item_is_not_among_its_neighbors(client: httpx.Client) -> None:
    document = client.get("/api/items/0/neighbors?k=3").json()
    entry = document["queries"][0]
    assert (entry["query"], entry["kind"], entry["id"], entry["truth"]) == ("id 0", "item", 0, "a")
    assert [hit["id"] for hit in document["queries"][0]["hits"]] == [1, 2, 3]
    assert [hit["score"] for hit in document["queries"][0]["hits"]] == pytest.approx([1.0, 0.6, 0.0])


def test_the_indexes(client: httpx.Client) -> None:
    indexes = client.get("/api/indexes").json()["indexes"]
    assert [(index["name"], index["items"], index["classes"][:3]) for index in indexes] == [
        ("toy", 6, ["a", "b", "c"]),
        ("plain", 2, []),
        ("mnist-test", 10_000, ["0", "1", "2"]),
    ]
    assert [example["id"] for example in indexes[0]["examples"]] == [0, 3, 5]


# --- errors in the words of the command line


@pytest.mark.parametrize(
    ("path", "status", "detail", "hint"),
    [
        ("/nothing", 404, "there is nothing at this address", None),
        ("/api/items/6", 404, "there is no item 6 in toy", "ids are 0 to 5"),
        ("/api/items/6.png", 404, "there is no item 6 in toy", "ids are 0 to 5"),
        ("/api/items/6/neighbors", 404, "there is no item 6 in toy", "ids are 0 to 5"),
        ("/api/items/1?index=x", 404, "there is no index 'x'", "choose one of: toy, plain, mnist-test"),
        (f"/api/items/{2**63}", 422, f"item: {MOST} {2**63 - 1}", None),
        ("/api/items/1/neighbors?k=0", 422, "k: input should be greater than or equal to 1", None),
        ("/api/items/1/neighbors?k=1001", 422, f"k: {MOST} 1000", None),
        ("/api/items/1/neighbors?min_score=2", 422, f"min_score: {MOST} 1", None),
        (
            "/api/items/1/neighbors?K=5",
            400,
            "there is no parameter 'K' here",
            f"did you mean 'k'? {KNOWN}",
        ),
        ("/api/items/1/neighbors?lable=a", 400, NO_LABLE, f"did you mean 'label'? {KNOWN}"),
        ("/api/items/1/neighbors?k=1&k=2", 400, "k is given more than once", None),
        ("/api/items/1?k=1", 400, "there is no parameter 'k' here", "there are: index"),
        ("/api/indexes?index=toy", 400, "there is no parameter 'index' here", "leave it out"),
        ("/api/search", 405, "this address does not know that method", None),
        ("/static/..%2f..%2f..%2fpyproject.toml", 404, "there is nothing at this address", None),
        ("/static/%2e%2e/api.py", 404, "there is nothing at this address", None),
    ],
)
def test_a_wrong_address_is_a_problem(
    client: httpx.Client, path: str, status: int, detail: str, hint: str | None
) -> None:
    assert_problem(client.get(path), status, detail, hint)


def test_a_picture_that_cannot_be_used_is_a_problem_in_the_commands_words(client: httpx.Client) -> None:
    bad = client.post("/api/search", content=b"junk", headers=PNG)
    words = (
        "cannot decode the picture: not a picture, or damaged",
        "pass a PNG, JPEG, WebP, BMP, GIF, AVIF or TIFF",
    )
    assert_problem(bad, 422, *words)
    blank = client.post("/api/search", content=quadrants(0, 0, 0, 0), headers=PNG)
    hint = "pass one digit with a margin around it, clearly darker or lighter than its paper"
    assert_problem(blank, 422, "no digit found in the picture", hint)
    assert_problem(client.post("/api/search", content=b"", headers=PNG), 422, *words)


@pytest.mark.parametrize("said", ["image/jpeg", "image/tiff", "image/x-none", "application/octet-stream"])
def test_what_a_picture_is_its_bytes_say(client: httpx.Client, said: str) -> None:
    picture = quadrants(180, 60, 20, 140)  # a PNG
    found = client.post("/api/search", params=NONE, content=picture, headers={"Content-Type": said})
    assert found.json() == client.post("/api/search", params=NONE, content=picture, headers=PNG).json()
    assert found.status_code == 200


@pytest.mark.parametrize(
    ("content_type", "body", "status", "detail"),
    [
        ("text/plain", b"x", 415, "a body of type 'text/plain' cannot be searched for"),
        ("", b"x", 415, "the body has no type"),
        ("multipart/form-data", b"x", 422, NO_BOUNDARY),
        (FORM + "b" * 2_000, b"x", 422, NO_BOUNDARY),
        ("multipart/form-data; boundary=a%00\xe9", b"x", 422, NO_BOUNDARY),
        (FORM, b"x", 422, f"{NO_FORM} invalid multipart data"),
        (FORM, b"--b\r\nA: b\r\n\r\nx", 422, f"{NO_FORM} {NO_NAME}"),
        (FORM, b'--b\r\n%s; name="k"\r\n\r\n5\r\n--b--\r\n' % PART, 422, FIELD),
        (FORM, b'--b\r\n%s; name="a"; filename="b"\r\n\r\nhalf' % PART, 422, f"{NO_FORM} it is cut off"),
        (FORM, b"--b\r\n" + b"A: b\r\n" * 1_000 + b"\r\nx", 422, f"{NO_FORM} invalid multipart data"),
        (FORM, b"--b\r\nA: " + b"b" * 20_000 + b"\r\n\r\nx", 422, f"{NO_FORM} invalid multipart data"),
        (FORM, b"--b--\r\n", 422, "the form holds no file"),
    ],
)
def test_a_body_that_holds_no_picture_is_a_problem(
    client: httpx.Client, content_type: str, body: bytes, status: int, detail: str
) -> None:
    headers = {"Content-Type": content_type.encode("latin-1")} if content_type else {}
    response = client.post("/api/search", content=body, headers=headers)
    assert (response.status_code, response.json()["detail"]) == (status, detail)


def test_a_form_has_a_limit_of_files(client: httpx.Client) -> None:
    two = [("image", ("1", DIGIT)), ("image", ("2", DIGIT))]
    assert_problem(client.post("/api/search", files=two), 422, "the form has more than 1 files")
    many = [("images", (str(n), b"x")) for n in range(65)]
    assert_problem(client.post("/api/search/batch", files=many), 422, "the form has more than 64 files")


def test_an_answer_has_a_limit_of_hits(client: httpx.Client) -> None:
    many = [("images", (str(n), DIGIT)) for n in range(11)]
    refused = client.post("/api/search/batch?k=1000&index=mnist-test", files=many)
    words = "11 pictures with 1,000 hits each are too many for one answer"
    assert_problem(refused, 422, words, "ask for at most 10,000 hits at once")


def test_a_large_answer_has_all_its_pictures(client: httpx.Client) -> None:
    two = [("images", (str(n), DIGIT)) for n in range(2)]
    document = client.post("/api/search/batch?k=200&pictures=true&index=mnist-test", files=two).json()
    for entry in document["queries"]:
        named = {hit["id"] for hit in entry["hits"]} | {row["example"] for row in entry["classes"]}
        assert len(entry["hits"]) == 200
        assert set(entry["pictures"]["items"]) == {str(item) for item in named}


# --- operations


def test_the_page_and_the_probes_can_be_asked_for_their_headers_alone(client: httpx.Client) -> None:
    for path in ("/", "/static/page.js", "/healthz", "/readyz"):
        head, whole = client.head(path), client.get(path)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-length"] == str(len(whole.content))


def test_a_current_copy_of_the_page_is_not_sent_again(client: httpx.Client) -> None:
    tag = client.get("/").headers["etag"]
    again = client.get("/", headers={"If-None-Match": tag})
    assert (again.status_code, again.content) == (304, b"")


def test_probes_answer(client: httpx.Client) -> None:
    assert client.get("/healthz").json() == {"status": "ok"}
    assert client.get("/readyz").json() == {"status": "ok", "indexes": ["toy", "plain", "mnist-test"]}


def test_metrics_count_requests_by_route_and_never_by_address(client: httpx.Client) -> None:
    client.get("/api/items/4")
    for name in ("a", "b"):
        client.get(f"/not-there-{name}")
    response = client.get("/metrics")
    assert response.headers["content-type"].startswith("text/plain; version=")
    text = response.text
    assert 'simsearch_items{index="toy"} 6.0' in text
    assert 'simsearch_requests_total{method="GET",route="/api/items/{item}",status="200"}' in text
    assert "not-there" not in text
    for name in ("simsearch_batch_size_count", "simsearch_waiting", "simsearch_request_seconds_bucket"):
        assert name in text


def test_the_openapi_document_names_every_route(client: httpx.Client) -> None:
    document = client.get("/openapi.json").json()
    assert set(document["paths"]) == {
        "/api/search",
        "/api/search/batch",
        "/api/indexes",
        "/api/items/{item}",
        "/api/items/{item}/original",
        "/api/items/{item}.png",
        "/api/items/{item}/neighbors",
        "/api/items/{item}/vector",
        "/api/vectors",
        "/api/map",
        "/api/mistakes",
        "/api/nearest",
        "/api/activations",
        "/api/steps",
        "/api/items/{item}/activations",
        "/healthz",
        "/readyz",
        "/metrics",
    }
    assert "http" not in json.dumps(document["paths"])
