"""Galleries in units of work: planned, encoded by the plainest engine, loaded; as by the plain way."""

from __future__ import annotations

import io

import numpy as np
import pytest
from msgspec import structs
from numpy.testing import assert_array_equal
from PIL import Image
from toys import TOY_CALIBRATION

from simsearch.data.folders import load_image_folder
from simsearch.errors import BadDatasetError, BadInputError, BrokenBundleError
from simsearch.index.build import build_index
from simsearch.index.bundle import open_bundle
from simsearch.index.reading import hash_of
from simsearch.index.shards import plan as planning
from simsearch.index.shards.building import build_from_shards
from simsearch.index.shards.engines import one_by_one
from simsearch.index.shards.plan import plan
from simsearch.index.update import Index

parquet = pytest.importorskip("pyarrow.parquet")
COUNT = 40


def png(row: int) -> bytes:
    """A hook whose sides depend on the row."""
    pixels, file = np.zeros((28, 28), np.uint8), io.BytesIO()
    pixels[4:24, 12:15] = 255
    pixels[4 + row % 17 : 7 + row % 17, 12 : 18 + row % 5] = 255
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


@pytest.fixture(autouse=True)
def _small_units(monkeypatch):
    monkeypatch.setattr(planning, "UNIT", 16)


@pytest.fixture
def pictures(tmp_path):
    """Pictures of two classes in natural order, of which one cannot be read."""
    for row in range(COUNT):
        file = tmp_path / "pictures" / "ab"[row >= 20] / f"{row}.png"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(png(row) if row != 7 else b"junk")
    return tmp_path / "pictures"


def test_a_folder_in_shards_is_the_index_of_the_plain_way(tmp_path, pictures, toy_model):
    split = load_image_folder(pictures)
    build_index(split, toy_model, tmp_path / "plain")
    seen: list[int] = []
    manifest, done = build_from_shards(
        plan(str(pictures)),
        toy_model,
        tmp_path / "sharded",
        shards=str(tmp_path / "shards"),
        engine=one_by_one,
        on_progress=seen.append,
    )
    plain, sharded = open_bundle(tmp_path / "plain"), open_bundle(tmp_path / "sharded")
    assert seen == [16, 16, 8]
    assert [(one.shard, one.count) for one in done] == [
        ("part-000000000000.parquet", 15),
        ("part-000000000016.parquet", 16),
        ("part-000000000032.parquet", 8),
    ]
    assert [name for name, _ in done[0].skipped] == ["a/7.png"]
    kept = [row for row in range(COUNT) if row != 7]
    assert_array_equal(sharded.ids, kept)  # an id is a place in the listing, whatever can be read
    assert_array_equal(sharded.store.vectors(sharded.ids), plain.store.vectors(plain.ids))
    assert_array_equal(sharded.labels, plain.labels)
    assert_array_equal(sharded.thumbnails, plain.thumbnails)
    assert list(sharded.sources) == list(plain.sources)
    assert (manifest.classes, manifest.dataset, manifest.count) == (("a", "b"), "pictures", 39)


def test_an_index_from_shards_knows_its_files_and_where_classes_come_from(tmp_path, pictures, toy_model):
    (pictures / "a" / "7.png").unlink()
    (tmp_path / "own.csv").write_text(
        "path,label\n"
        + "".join(f"{path.relative_to(pictures)},{path.stem[-1]}\n" for path in pictures.rglob("*.png"))
    )
    planned = plan(str(pictures), str(tmp_path / "own.csv"))
    shards = str(tmp_path / "shards")
    build_from_shards(planned, toy_model, tmp_path / "sharded", shards=shards, engine=one_by_one)
    index = Index.open(tmp_path / "sharded", threads=1)
    assert (index.manifest.root, index.manifest.labeling) == (str(pictures), str(tmp_path / "own.csv"))
    known = next(index.items())
    status = (pictures / "a" / "0.png").stat()
    assert known.stamp == (status.st_size, status.st_mtime_ns, hash_of(png(0)))
    assert not index.plan()
    (pictures / "b" / "30.png").rename(pictures / "b" / "z.png")
    renamed = index.plan(labels="folder").renamed
    assert [revision.source for revision in renamed.values()] == ["b/z.png"]


def test_of_pictures_that_the_model_was_trained_on_nothing_is_claimed_anew(tmp_path, pictures, toy_model):
    card = structs.replace(toy_model.card, calibration=TOY_CALIBRATION, training={"root": str(pictures)})
    trained = toy_model._replace(card=card)
    shards = str(tmp_path / "shards")
    manifest, _ = build_from_shards(
        plan(str(pictures)), trained, tmp_path / "i", shards=shards, engine=one_by_one
    )
    assert manifest.calibration is not None
    assert manifest.calibration.gallery == "not checked: the model was trained on these images"
    assert manifest.calibration.pairs == TOY_CALIBRATION.pairs


def test_what_is_encoded_is_not_encoded_again(tmp_path, pictures, toy_model):
    def build(engine):
        shards = str(tmp_path / "shards")
        return build_from_shards(plan(str(pictures)), toy_model, tmp_path / "i", shards=shards, engine=engine)

    def stopped(job, units):
        yield next(iter(one_by_one(job, units)))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        build(stopped)
    asked: list[str] = []

    def going_on(job, units):
        asked.extend(unit.shard for unit in units)
        return one_by_one(job, units)

    first = build(going_on)
    assert asked == ["part-000000000016.parquet", "part-000000000032.parquet"]
    assert build(lambda *_: pytest.fail("nothing is left"))[1] == first[1]
    (pictures / "b" / "100.png").write_bytes(png(100))  # another listing: other shards
    assert build(one_by_one)[0].count == 40


def test_a_damaged_shard_is_refused_in_words(tmp_path, pictures, toy_model):
    shard = tmp_path / "shards" / "part-000000000016.parquet"

    def damaging(job, units):
        yield from one_by_one(job, units)
        content = bytearray(shard.read_bytes())
        content[len(content) // 4] ^= 1
        shard.write_bytes(content)

    with pytest.raises(
        BrokenBundleError, match=r"part-000000000016\.parquet is missing, damaged or of another"
    ):
        build_from_shards(
            plan(str(pictures)), toy_model, tmp_path / "i", shards=str(tmp_path / "shards"), engine=damaging
        )


@pytest.mark.parametrize("rows_a_group", [7, 1000])
def test_parquet_files_hold_pictures_classes_and_names(tmp_path, toy_model, rows_a_group):
    import pyarrow as pa

    (tmp_path / "in").mkdir()
    for file, rows in (("2.parquet", range(20)), ("10.parquet", range(20, COUNT))):
        columns = {
            "picture": [png(row) for row in rows],
            "label": ["xy"[row % 2] for row in rows],
            "source": [f"cat-{row}" for row in rows],
        }
        parquet.write_table(pa.table(columns), tmp_path / "in" / file, row_group_size=rows_a_group)
    build_from_shards(
        plan((tmp_path / "in").as_uri()),
        toy_model,
        tmp_path / "i",
        shards=(tmp_path / "s").as_uri(),
        engine=one_by_one,
    )
    bundle = open_bundle(tmp_path / "i")
    assert_array_equal(bundle.ids, np.arange(COUNT))
    assert list(bundle.sources) == [f"cat-{row}" for row in range(COUNT)]
    assert_array_equal(bundle.labels, np.arange(COUNT) % 2)
    assert bundle.manifest.classes == ("x", "y")
    images = np.stack([np.asarray(Image.open(io.BytesIO(png(row)))) for row in range(COUNT)])
    assert_array_equal(
        bundle.store.vectors(bundle.ids), toy_model.encoder.encode(bundle.pictures(bundle.ids))
    )
    assert images.shape == bundle.thumbnails.shape


@pytest.mark.parametrize(
    ("source", "labels", "error", "message"),
    [
        ("nosuch://bucket/x", "auto", BadDatasetError, "cannot be reached"),
        ("missing", "auto", BadDatasetError, "cannot be read"),
        ("empty", "auto", BadDatasetError, "holds no pictures"),
        ("tables", "auto", BadDatasetError, "has no column `picture`, but other"),
        ("tables", "folder", BadInputError, "classes are in the column `label`"),
    ],
)
def test_what_cannot_be_planned_is_one_line(tmp_path, source, labels, error, message):
    import pyarrow as pa

    (tmp_path / "empty").mkdir()
    (tmp_path / "tables").mkdir()
    parquet.write_table(pa.table({"other": [1]}), tmp_path / "tables" / "a.parquet")
    with pytest.raises(error, match=message) as caught:
        plan(source if "://" in source else str(tmp_path / source), labels)
    assert "\n" not in caught.value.message
