"""Requests made up from the OpenAPI document: the server answers all of them as it says, and never 5xx."""

from __future__ import annotations

import importlib
import io
import json
import subprocess
import sys
from collections.abc import Iterator
from typing import Any

import httpx
import jsonschema
import pytest
import schemathesis
from conftest import ROOT, SHIPPED_INDEX
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from servers import running

from simsearch.web.settings import Settings

DIGIT = (ROOT / "docs" / "digit.png").read_bytes()
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
OPERATIONS = {
    "POST /api/search": 60,
    "POST /api/search/batch": 30,
    "GET /api/indexes": 5,
    "GET /api/items/{item}.png": 30,
    "GET /api/items/{item}": 30,
    "GET /api/items/{item}/original": 10,
    "GET /api/items/{item}/neighbors": 40,
    "GET /api/items/{item}/vector": 20,
    "POST /api/vectors": 20,
    "GET /api/map": 3,
    "GET /api/mistakes": 5,
    "POST /api/nearest": 20,
    "POST /api/activations": 10,
    "POST /api/steps": 10,
    "GET /api/items/{item}/activations": 10,
    "GET /healthz": 2,
    "GET /readyz": 2,
    "GET /metrics": 5,
}


@pytest.fixture(scope="module")
def described() -> Iterator[schemathesis.BaseSchema]:
    with running({"mnist-test": SHIPPED_INDEX}) as url:
        yield schemathesis.openapi.from_url(f"{url}/openapi.json")


def test_every_operation_is_asked(described: schemathesis.BaseSchema) -> None:
    assert {result.ok().label for result in described.get_all_operations()} == set(OPERATIONS)


@pytest.mark.parametrize("label", OPERATIONS)
def test_whatever_is_asked_is_answered_as_described(described: schemathesis.BaseSchema, label: str) -> None:
    method, path = label.split()
    operation = described[path][method]

    @settings(
        max_examples=OPERATIONS[label],
        deadline=None,
        derandomize=True,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy())
    def ask(case: schemathesis.Case) -> None:
        case.call_and_validate(checks=CHECKS)

    ask()


# --- the document itself


@pytest.fixture(scope="module")
def document() -> Iterator[dict[str, Any]]:
    with running({"mnist-test": SHIPPED_INDEX}, Settings(workers=1, token="secret")) as url:
        yield httpx.get(f"{url}/openapi.json", headers={"Authorization": "Bearer secret"}).json()


def operations(document: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield f"{method.upper()} {path}", operation


def test_every_example_fits_its_schema(document: dict[str, Any]) -> None:
    components, seen = document["components"], 0
    for name, operation in operations(document):
        for status, response in operation["responses"].items():
            for content in response.get("content", {}).values():
                if "example" in content:
                    schema = {**content["schema"], "components": components}
                    jsonschema.Draft202012Validator(schema).validate(content["example"])
                    seen += 1
                elif status != "200":
                    pytest.fail(f"{name} has no example of {status}")
        for parameter in operation.get("parameters", ()):
            for example in parameter["schema"].get("examples", ()):
                jsonschema.Draft202012Validator(parameter["schema"]).validate(example)
                seen += 1
    assert seen > 60


def test_every_refusal_is_described_and_no_schema_is_empty(document: dict[str, Any]) -> None:
    for name, operation in operations(document):
        closed = name not in ("GET /healthz", "GET /readyz")
        expected = {"400", "403", "421", "431", "503"} | ({"401"} if closed else set())
        assert expected <= set(operation["responses"]), name
        assert operation["responses"]["503"]["headers"]["Retry-After"]["schema"]["type"] == "integer"
        assert operation.get("security") == ([{"token": []}] if closed else None)
        assert len(operation["tags"]) == 1
        for response in operation["responses"].values():
            assert all(content.get("schema") for content in response["content"].values()), name
    assert document["components"]["securitySchemes"] == {"token": {"type": "http", "scheme": "bearer"}}
    assert {tag["name"] for tag in document["tags"]} == {
        "search",
        "vectors",
        "items",
        "indexes",
        "operations",
    }


def test_a_refusal_looks_as_it_is_described(document: dict[str, Any]) -> None:
    schema = {"$ref": "#/components/schemas/Problem", "components": document["components"]}
    with running({"mnist-test": SHIPPED_INDEX}, Settings(workers=1, token="secret")) as url:
        answer = httpx.get(f"{url}/api/indexes")
    assert answer.headers["www-authenticate"]
    jsonschema.Draft202012Validator(schema).validate(answer.json())


# --- a client that was generated from it


@pytest.fixture(scope="module")
def generated(document: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The name of a package made from the document, which can be imported."""
    folder = tmp_path_factory.mktemp("generated")
    (folder / "openapi.json").write_text(json.dumps(document))
    (folder / "config.yml").write_text("post_hooks: []\n")
    command = [sys.executable, "-m", "openapi_python_client", "generate", "--meta", "none"]
    where = ["--path", "openapi.json", "--config", "config.yml", "--output-path", "made_client"]
    subprocess.run([*command, *where], cwd=folder, check=True, capture_output=True, timeout=600)
    sys.path.insert(0, str(folder))
    yield "made_client"
    sys.path.remove(str(folder))
    for name in [name for name in sys.modules if name.startswith("made_client")]:
        del sys.modules[name]


def test_a_generated_client_finds_its_way_through_the_api(generated: str) -> None:
    def function(name: str) -> Any:
        return importlib.import_module(f"{generated}.api.{name}").sync

    made = importlib.import_module(generated)
    with (
        running({"mnist-test": SHIPPED_INDEX}, Settings(workers=1, token="secret")) as url,
        made.AuthenticatedClient(base_url=url, token="secret", raise_on_unexpected_status=True) as client,
        made.AuthenticatedClient(base_url=url, token="wrong") as stranger,
    ):
        assert function("operations.healthz")(client=client).status == "ok"
        assert function("operations.readyz")(client=client).indexes == ["mnist-test"]
        (index,) = function("indexes.list_indexes")(client=client).indexes
        assert (index.name, index.items, index.classes) == ("mnist-test", 10_000, list("0123456789"))
        example = index.examples[0]
        assert example.picture.startswith("data:image/png;base64,")
        item = function("items.get_item")(example.id, client=client, index=index.name)
        assert (item.id, item.label, item.source) == (3, "0", "mnist/test/3")
        found = function("search.neighbors")(example.id, client=client, k=3, label=["0"])
        assert [hit["label"] for hit in found.to_dict()["queries"][0]["hits"]] == ["0"] * 3
        types, models = (importlib.import_module(f"{generated}.{name}") for name in ("types", "models"))
        pictures = [types.File(io.BytesIO(DIGIT), name) for name in ("1.png", "2.png")]
        body = models.SearchBatchBody(images=pictures)
        answered = function("search.search_batch")(client=client, body=body, k=2).to_dict()
        assert [entry["verdict"]["label"] for entry in answered["queries"]] == ["5", "5"]
        lost = function("items.get_item")(10_000, client=client)
        assert (lost.status, lost.detail) == (404, "there is no item 10000 in mnist-test")
        assert function("indexes.list_indexes")(client=stranger).status == 401
