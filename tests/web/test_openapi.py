"""Requests made up from the OpenAPI document: the server answers all of them as it says, and never 5xx."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import schemathesis
from conftest import SHIPPED_INDEX
from hypothesis import HealthCheck, given, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from servers import running

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
OPERATIONS = {
    "POST /api/search": 60,
    "POST /api/search/batch": 30,
    "GET /api/indexes": 5,
    "GET /api/items/{item}.png": 30,
    "GET /api/items/{item}": 30,
    "GET /api/items/{item}/neighbors": 40,
    "GET /api/items/{item}/vector": 20,
    "POST /api/vectors": 20,
    "GET /api/map": 3,
    "POST /api/activations": 10,
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
