"""The recipes in docs/scale.md: documents that a YAML parser takes, and whose parts know of each other."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml
from conftest import ROOT

RECIPES = re.findall(r"```yaml\n(.*?)```", (ROOT / "docs" / "scale.md").read_text(), re.DOTALL)


@pytest.fixture(scope="module")
def compose() -> dict[str, Any]:
    [found] = [recipe for recipe in map(yaml.safe_load, RECIPES) if "services" in recipe]
    return found


@pytest.fixture(scope="module")
def cluster() -> dict[str, Any]:
    [found] = [recipe for recipe in map(yaml.safe_load, RECIPES) if "kind" in recipe]
    return found


def test_every_recipe_is_one_of_these(compose: dict[str, Any], cluster: dict[str, Any]) -> None:
    assert [*map(yaml.safe_load, RECIPES)] == [compose, cluster]


def test_services_depend_on_services_and_mount_volumes_that_are_declared(compose: dict[str, Any]) -> None:
    services = compose["services"]
    assert services.keys() == {"etcd", "minio", "milvus"}
    assert {
        name for service in services.values() for name in service.get("depends_on", ())
    } <= services.keys()
    mounted = [mount.split(":") for service in services.values() for mount in service["volumes"]]
    assert {name for name, _ in mounted} == compose["volumes"].keys()
    assert all(folder.startswith("/") for _, folder in mounted)
    for service in services.values():  # a version that stays: no `latest`
        assert re.fullmatch(r"[\w.-]+(/[\w.-]+)+:[\w.-]*\d[\w.-]*", service["image"])
    environment = services["milvus"]["environment"]
    for address in (environment["ETCD_ENDPOINTS"], environment["MINIO_ADDRESS"]):
        host, port = address.split(":")
        assert host in services
        assert port.isdigit()


def test_no_recipe_holds_a_password_and_every_server_asks_for_one(
    compose: dict[str, Any], cluster: dict[str, Any]
) -> None:
    services = compose["services"]
    secrets = [
        value
        for service in services.values()
        for name, value in service["environment"].items()
        if re.search("USER|PASSWORD|KEY|SECRET", name)
    ]
    assert len(secrets) == 4
    assert all(re.fullmatch(r"\$\{\w+:\?\}", value) for value in secrets)  # refused where it is not set
    assert services["milvus"]["environment"]["COMMON_SECURITY_AUTHORIZATIONENABLED"] == "true"
    assert services["milvus"]["ports"] == ["127.0.0.1:19530:19530"]
    assert cluster["spec"]["config"]["common"]["security"]["authorizationEnabled"] is True


def test_the_cluster_never_answers_partly_and_keeps_its_log_in_object_storage(
    cluster: dict[str, Any],
) -> None:
    assert (cluster["apiVersion"], cluster["kind"]) == ("milvus.io/v1beta1", "Milvus")
    assert re.fullmatch(r"[a-z0-9]([a-z0-9-]*[a-z0-9])?", cluster["metadata"]["name"])
    spec = cluster["spec"]
    assert spec["mode"] == "cluster"
    assert spec["config"]["proxy"]["partialResultRequiredDataRatio"] == 1
    assert spec["config"]["queryNode"]["segcore"]["interimIndex"]["enableIndex"] is False
    assert re.fullmatch(r"\d+Gi", spec["components"]["queryNode"]["resources"]["requests"]["memory"])
    assert spec["dependencies"]["msgStreamType"] == "woodpecker"
    assert spec["dependencies"]["storage"]["external"] is True
