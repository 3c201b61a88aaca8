"""Encoding by Ray: two nodes, one of them killed, and the index is that of the plain way bit for bit."""

from __future__ import annotations

import io
import os
import threading
import time

import numpy as np
import pytest
from conftest import SHIPPED_INDEX
from engines.nodes import ADDRESS, Nodes
from numpy.testing import assert_array_equal
from PIL import Image

from simsearch.encode.ray import in_units
from simsearch.errors import UnavailableError
from simsearch.index.bundle import open_bundle
from simsearch.index.shards.engines import by_ray, one_by_one
from simsearch.index.shards.loading import encode_shards, read_loads
from simsearch.index.shards.plan import UNIT, plan
from simsearch.index.shards.step import Job, start

pytestmark = [pytest.mark.engine, pytest.mark.filterwarnings("default")]  # Ray warns of itself
parquet = pytest.importorskip("pyarrow.parquet")
COUNT = int(os.environ.get("SIMSEARCH_TEST_PICTURES", "50000"))


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Parquet files of pictures that are prepared as they are."""
    import pyarrow as pa

    folder = tmp_path_factory.mktemp("pictures")
    shipped = np.asarray(open_bundle(SHIPPED_INDEX).thumbnails)
    for number in range(8):
        rows = range(number * COUNT // 8, (number + 1) * COUNT // 8)
        content = [png(shipped[row % len(shipped)], row // len(shipped)) for row in rows]
        parquet.write_table(pa.table({"picture": content}), folder / f"{number}.parquet")
    return folder


def png(pixels: np.ndarray, shift: int) -> bytes:
    changed, file = pixels.copy(), io.BytesIO()
    changed[0, :shift] = 1
    Image.fromarray(changed).save(file, "PNG", compress_level=1)
    return file.getvalue()


@pytest.fixture
def nodes(tmp_path, monkeypatch):
    cluster = Nodes(tmp_path)
    for name, value in cluster.environment.items():
        monkeypatch.setenv(name, value)
    cluster.start(2)
    cluster.start(2)
    yield cluster
    cluster.stop()


def job_for(planned, shards) -> Job:
    encoder = open_bundle(SHIPPED_INDEX).encoder
    return Job(
        root=planned.root,
        shards=str(shards),
        encoder=encoder.model,
        input=encoder.input,
        output=encoder.output,
        classes=planned.classes,
        fingerprint=planned.fingerprint(encoder.fingerprint),
    )


def test_a_node_is_killed_midway_and_every_picture_is_there_once_as_by_the_plain_way(
    tmp_path, pictures, nodes
):
    planned = plan(str(pictures))
    encoder = open_bundle(SHIPPED_INDEX).encoder
    job, plain = job_for(planned, tmp_path / "ray"), job_for(planned, tmp_path / "plain")
    killed_at: list[int] = []

    def kill_midway() -> None:
        while (there := len(list((tmp_path / "ray").glob("*.parquet")))) < len(planned.units) // 5:
            time.sleep(0.05)
        nodes.kill(1)
        killed_at.append(there)

    def on_two_nodes(job, units):
        threading.Thread(target=kill_midway, daemon=True).start()
        return by_ray(ADDRESS)(job, units)

    began = time.monotonic()
    done = encode_shards(job, planned, on_two_nodes, lambda _: None)
    print(f"{COUNT:,} pictures in {time.monotonic() - began:.1f} s, node killed after {killed_at} units")
    assert killed_at
    assert killed_at[0] < len(planned.units)
    assert sum(one.count for one in done) == COUNT
    began = time.monotonic()
    encode_shards(plain, planned, one_by_one, lambda _: None)
    print(f"plain, one thread: {time.monotonic() - began:.1f} s")
    ids = []
    for by_nodes, alone in zip(
        read_loads(job, planned, encoder), read_loads(plain, planned, encoder), strict=True
    ):
        ids.append(by_nodes.ids)
        assert_array_equal(by_nodes.vectors, alone.vectors)
        assert by_nodes.pictures == alone.pictures
        assert by_nodes.sources == alone.sources
    assert_array_equal(np.concatenate(ids), np.arange(COUNT))
    assert UNIT % 64 == 0  # whole batches: the same as without units


@pytest.mark.usefixtures("nodes")
def test_a_wrong_token_is_refused(monkeypatch, tmp_path):
    (tmp_path / "wrong").write_text("0" * 64)
    monkeypatch.setenv("RAY_AUTH_TOKEN_PATH", str(tmp_path / "wrong"))
    with pytest.raises(UnavailableError, match=f"the Ray cluster at {ADDRESS} cannot be used") as caught:
        list(in_units(start, None, [b"{}"], address=ADDRESS))
    assert "\n" not in caught.value.message
