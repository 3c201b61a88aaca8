"""A manifest is believed field by field, and nothing but ValueError leaves its parser."""

from __future__ import annotations

import hashlib
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from toys import TOY_CALIBRATION

from simsearch.index.manifest import ROLES, FileEntry, Manifest, Segment, StoreRecord, is_data_file
from simsearch.stats.calibration import PlattScaling

FILES = [
    role for role in ROLES if not role.startswith(("picture", "stamps", "removed", "revised", "blocks"))
]  # of an index that keeps exact pixels
MANIFEST = Manifest(
    name="toy",
    created="2026-01-02T03:04:05+00:00",
    count=6,
    dim=4,
    factory="HNSW32",
    model="toy",
    encoder="e" * 64,
    preprocessing=1,
    projection=PlattScaling(10.5, -5.25),
    dataset="toy-test",
    data_sha256={"images": "d" * 64},
    classes=("a", "ö\n", ""),
    versions={"numpy": "2.4"},
    files={role: FileEntry.of(role, 100 + row, f"{row:032x}") for row, role in enumerate(FILES)},
)
DELETE = object()
NAN, INF = float("nan"), float("inf")
A_FILE = {"name": f"ids-{'0' * 32}.npy", "size": 1, "xxh3_128": "0" * 32}


def unsealed() -> dict:
    """The manifest's JSON without its own checksum, so that what is edited is believed."""
    raw = json.loads(MANIFEST.to_json())
    del raw["sha256"]
    return raw


def edited(*path_and_value) -> bytes:
    """The manifest's JSON, without its own checksum, with the value at a path replaced, or deleted."""
    *path, last, value = path_and_value
    raw = unsealed()
    at = raw
    for key in path:
        at = at[key]
    if value is DELETE:
        del at[last]
    else:
        at[last] = value
    return json.dumps(raw).encode()


def malformed(what: str) -> str:
    return f"it is incomplete or malformed ({what})"


def refusal(data: bytes) -> str:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the caller compares the message
        Manifest.from_json(data)
    return str(caught.value)


def test_a_manifest_read_back_is_equal():
    assert Manifest.from_json(MANIFEST.to_json()) == MANIFEST


def test_a_manifest_of_before_manifests_had_checksums_is_read():
    assert Manifest.from_json(json.dumps(unsealed()).encode()) == MANIFEST


def test_the_layout_of_the_json_does_not_matter():
    assert Manifest.from_json(json.dumps(json.loads(MANIFEST.to_json()), sort_keys=True).encode()) == MANIFEST


def test_one_changed_digit_of_the_projection_is_noticed():
    assert refusal(MANIFEST.to_json().replace(b"10.5", b"11.5")) == "it is damaged: its checksum is wrong"


def test_a_manifest_of_before_there_were_calibrations_is_read():
    assert Manifest.from_json(edited("calibration", DELETE)) == MANIFEST
    assert MANIFEST.pair_scaling is None  # what was not calibrated is not shown


def test_a_calibration_survives_the_round_trip():
    manifest = replace(MANIFEST, calibration=TOY_CALIBRATION)
    assert Manifest.from_json(manifest.to_json()) == manifest
    assert manifest.pair_scaling == TOY_CALIBRATION.pairs


def test_a_broken_calibration_is_refused():
    assert refusal(edited("calibration", {"pairs": {}})) == (
        "it is incomplete or malformed (calibration.pairs lacks 'weight')"
    )


def test_optional_files_may_be_absent():
    required = {role: MANIFEST.files[role] for role in FILES if role not in ("labels", "vectors")}
    manifest = replace(MANIFEST, files=required, classes=())
    assert Manifest.from_json(manifest.to_json()) == manifest


def test_a_manifest_that_names_its_root_is_of_the_second_format():
    rooted = replace(MANIFEST, root="/photos")
    assert json.loads(rooted.to_json())["format"] == 2
    assert Manifest.from_json(rooted.to_json()) == rooted
    assert "root" not in json.loads(MANIFEST.to_json())


def entries(first: int, *roles: str) -> dict[str, FileEntry]:
    return {role: FileEntry.of(role, 90, f"{first + row:032x}") for row, role in enumerate(roles)}


TAIL = ("index", "ids", "labels", "thumbnails", "sources", "source_ends", "stamps")
CHANGED = replace(
    MANIFEST,
    count=7,
    rows=6,
    files={**MANIFEST.files, **entries(100, "removed", "stamps")},
    segments=(Segment(2, "Flat", entries(200, *TAIL)), Segment(1, "Flat", entries(300, *TAIL))),
    next_id=20,
    class_numbers=(4, 0, 7),
    labeling="folder",
    changed=3,
    calibration=TOY_CALIBRATION,
    model_calibration=TOY_CALIBRATION,
)


def changed(*path_and_value) -> bytes:
    """The JSON of an index that has changed, with the value at a path replaced, or deleted."""
    *path, last, value = path_and_value
    raw = json.loads(CHANGED.to_json())
    del raw["sha256"]
    at = raw
    for key in path:
        at = at[key]
    if value is DELETE:
        del at[last]
    else:
        at[last] = value
    return json.dumps(raw).encode()


def test_a_manifest_of_an_index_that_has_changed_is_of_the_third_format_and_read_back_equal():
    assert json.loads(CHANGED.to_json())["format"] == 3
    assert Manifest.from_json(CHANGED.to_json()) == CHANGED
    assert [part.count for part in CHANGED.parts] == [6, 2, 1]
    assert CHANGED.shared.keys() == {"encoder", "removed"}
    assert len(CHANGED.all_files) == len(FILES) + 2 + 2 * len(TAIL)


@pytest.mark.parametrize(
    "change",
    [
        {"next_id": 9},
        {"labeling": "none"},
        {"changed": 1},
        {"class_numbers": (0, 1, 5)},
        {"effort": 8},
        {"files": {**MANIFEST.files, "blocks": FileEntry.of("blocks", 200, "7" * 32)}},
    ],
)
def test_what_the_earlier_formats_cannot_say_is_said_in_the_third(change):
    manifest = replace(MANIFEST, **change)
    assert json.loads(manifest.to_json())["format"] == 3
    assert Manifest.from_json(manifest.to_json()) == manifest


def test_an_earlier_format_has_no_segments():
    assert refusal(edited("segments", [])) == malformed("it has the unknown field 'segments'")


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (changed("count", 10), "its counts do not fit each other"),
        (changed("count", 9), "its counts do not fit what was removed"),
        (changed("rows", 0), "its counts do not fit each other"),
        (changed("effort", 0), "effort is 0"),
        (changed("effort", 2**16 + 1), "effort is 65537"),
        (changed("segments", 0, "count", 0), "its counts do not fit each other"),
        (
            changed("segments", 0, "count", "2"),
            malformed("segments.count: expected a whole number, got text"),
        ),
        (changed("segments", 1, "files", "labels", DELETE), "it does not name the files that a bundle has"),
        (changed("segments", 1, "files", "index", DELETE), "it does not name the files that a bundle has"),
        (changed("segments", 1, "files", "encoder", A_FILE), "it does not name the files that a bundle has"),
        (changed("segments", 1, "files", "ids", A_FILE), Manifest),
        (changed("segments", 1, "files", "ids", "name", "../x"), "the file name of ids is '../x'"),
        (changed("segments", 1, "files", "ids", "size", 2**20), f"the size of ids is {2**20}"),
        (changed("files", "removed", "size", 2**20), f"the size of removed is {2**20}"),
        (changed("segments", {}), malformed("segments: expected a list, got an object")),
        (changed("segments", [5]), malformed("segments: expected an object, got a whole number")),
        (changed("class_numbers", [0, 1]), "it does not number its classes"),
        (changed("class_numbers", [0, 1, 1]), "it does not number its classes"),
        (changed("class_numbers", [0, 1, -1]), "it does not number its classes"),
        (changed("changed", -1), "it counts below nothing"),
        (changed("next_id", 0), "it counts below nothing"),
        (changed("next_id", 2**62), "it counts below nothing"),
        (changed("model_calibration", {"pairs": {}}), malformed("calibration.pairs lacks 'weight'")),
    ],
)
def test_each_of_these_changed_indexes_is_refused_with_this_message(data, message):
    if message is Manifest:
        assert isinstance(Manifest.from_json(data), Manifest)
    else:
        assert refusal(data) == message


def test_the_json_is_this():
    raw = json.loads(MANIFEST.to_json())
    assert raw.pop("sha256") == hashlib.sha256(json.dumps(raw, sort_keys=True).encode()).hexdigest()
    files = raw.pop("files")
    assert files["ids"] == {"name": f"ids-{2:032x}.npy", "size": 102, "xxh3_128": f"{2:032x}"}
    assert raw == {
        "format": 1,
        "name": "toy",
        "created": "2026-01-02T03:04:05+00:00",
        "count": 6,
        "dim": 4,
        "factory": "HNSW32",
        "model": "toy",
        "encoder": "e" * 64,
        "preprocessing": 1,
        "projection": {"weight": 10.5, "bias": -5.25},
        "dataset": "toy-test",
        "data_sha256": {"images": "d" * 64},
        "classes": ["a", "ö\n", ""],
        "versions": {"numpy": "2.4"},
        "dtype": "float32",
        "metric": "inner_product",
        "calibration": None,
    }


IN_WORDS = {
    bool: "true or false",
    dict: "an object",
    float: "a number",
    int: "a whole number",
    list: "a list",
    str: "text",
    type(None): "null",
}
TEXTS = ("name", "created", "factory", "model", "encoder", "dataset", "dtype", "metric")
REQUIRED_FIELDS = sorted({*unsealed()} - {"calibration", "format", "dtype", "metric"})


@pytest.mark.parametrize("field", REQUIRED_FIELDS)
def test_a_missing_field_is_named(field):
    assert refusal(edited(field, DELETE)) == malformed(f"it lacks '{field}'")


@pytest.mark.parametrize("value", [None, 5, ["toy"], {"a": "b"}, True])
@pytest.mark.parametrize("field", TEXTS)
def test_a_text_that_is_none_is_named(field, value):
    assert refusal(edited(field, value)) == malformed(f"{field}: expected text, got {IN_WORDS[type(value)]}")


@pytest.mark.parametrize("value", [0, -1, 2**40, 10**400])
@pytest.mark.parametrize("field", ["count", "dim", "preprocessing"])
def test_a_number_out_of_range_is_named(field, value):
    assert refusal(edited(field, value)) == f"{field} is {value!r}"


@pytest.mark.parametrize("value", [6.0, "6", True, None, [6]])
@pytest.mark.parametrize("field", ["count", "dim", "preprocessing"])
def test_a_number_that_is_not_whole_is_named(field, value):
    assert refusal(edited(field, value)) == malformed(
        f"{field}: expected a whole number, got {IN_WORDS[type(value)]}"
    )


@pytest.mark.parametrize("value", [None, 5, "text", ["a"]])
@pytest.mark.parametrize("field", ["data_sha256", "versions"])
def test_a_table_that_is_none_is_named(field, value):
    assert refusal(edited(field, value)) == malformed(
        f"{field}: expected an object, got {IN_WORDS[type(value)]}"
    )


@pytest.mark.parametrize("value", [1, None])
@pytest.mark.parametrize("field", ["data_sha256", "versions"])
def test_a_table_of_something_else_than_texts_is_named(field, value):
    assert refusal(edited(field, {"a": value})) == malformed(
        f"{field}.*: expected text, got {IN_WORDS[type(value)]}"
    )


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (edited("format", 4), "it has format 4; this simsearch reads the formats 1, 2 and 3"),
        (edited("format", DELETE), "it has format None; this simsearch reads the formats 1, 2 and 3"),
        (edited("format", True), "it has format True; this simsearch reads the formats 1, 2 and 3"),
        (edited("format", "1"), "it has format '1'; this simsearch reads the formats 1, 2 and 3"),
        (edited("dtype", "float64"), "it holds float64 vectors under inner_product"),
        (edited("metric", "l2"), "it holds float32 vectors under l2"),
        (edited("classes", "abc"), malformed("classes: expected a list, got text")),
        (edited("classes", {"a": 1}), malformed("classes: expected a list, got an object")),
        (edited("classes", ["a", 1]), malformed("classes[1]: expected text, got a whole number")),
        (edited("classes", 1, None), malformed("classes[1]: expected text, got null")),
        (edited("projection", "weight", NAN), malformed("projection.weight: expected a finite number")),
        (edited("projection", "bias", INF), malformed("projection.bias: expected a finite number")),
        (edited("files", "index", DELETE), "it does not name the files that a bundle has"),
        (edited("files", "pickle", A_FILE), "it does not name the files that a bundle has"),
        (edited("files", "ids", "size", -1), "the size of ids is -1"),
        (edited("files", "ids", "size", 2**40), f"the size of ids is {2**40}"),
        (
            edited("files", "ids", "size", 1.5),
            malformed("files.ids.size: expected a whole number, got a number"),
        ),
        (
            edited("files", "ids", "size", True),
            malformed("files.ids.size: expected a whole number, got true or false"),
        ),
        (edited("files", "ids", "xxh3_128", "f" * 32), f"the file name of ids is 'ids-{2:032x}.npy'"),
        (
            edited("files", "ids", "xxh3_128", 5),
            malformed("files.ids.xxh3_128: expected text, got a whole number"),
        ),
        (edited("files", "labels", A_FILE), f"the file name of labels is '{A_FILE['name']}'"),
        (b"[]", "it is not a JSON object"),
        (b"null", "it is not a JSON object"),
        (
            b"{",
            "it is not JSON (Expecting property name enclosed in double quotes: line 1 column 2 (char 1))",
        ),
        (b'{"format": 1, "dim": 4, "dim": 5}', "it has the field 'dim' twice"),
        (b'{"format": 1, "files": {"ids": 1, "ids": 2}}', "it has the field 'ids' twice"),
    ],
)
def test_each_of_these_is_refused_with_this_message(data, message):
    assert refusal(data) == message


@pytest.mark.parametrize(
    "projection",
    [
        None,
        5,
        [1, 2],
        {},
        {"weight": 1},
        {"weight": 1, "bias": "2"},
        {"weight": True, "bias": 1},
        {"weight": 10**400, "bias": 0},
        {"weight": 1, "bias": 2, "power": 3},
    ],
)
def test_a_projection_of_another_shape_is_malformed(projection):
    assert refusal(edited("projection", projection)).startswith("it is incomplete or malformed (")


@pytest.mark.parametrize(
    "entry", [None, 5, "name", [], {}, {"name": "x"}, {**A_FILE, "mode": 1}, {**A_FILE, "name": 5}]
)
def test_a_file_entry_of_another_shape_is_malformed(entry):
    assert refusal(edited("files", "ids", entry)).startswith("it is incomplete or malformed (")


def test_an_unknown_field_is_named():
    assert refusal(edited("pickle", "x")) == malformed("it has the unknown field 'pickle'")


@pytest.mark.parametrize(
    "name",
    [
        f"../ids-{2:032x}.npy",
        f"/etc/ids-{2:032x}.npy",
        f"x/../ids-{2:032x}.npy",
        f"..\\ids-{2:032x}.npy",
        f"ids-{2:032x}.npy\n",
        f"ids-{2:032x}.npy\0",
        f"ids-{2:032x}.faiss",
        f"IDS-{2:032x}.npy",
        "../../etc/passwd",
        "manifest.json",
        ".lock",
        "",
    ],
)
def test_a_file_name_that_leaves_the_folder_or_is_not_the_writers_is_refused(name):
    assert refusal(edited("files", "ids", "name", name)) == f"the file name of ids is {name!r}"


def test_a_checksum_cannot_smuggle_a_path_into_a_file_name():
    entry = {"name": "ids-/../../../../etc/passwd.npy", "size": 1, "xxh3_128": "/../../../../etc/passwd"}
    assert refusal(edited("files", "ids", entry)) == f"the file name of ids is {entry['name']!r}"


def test_only_the_writers_own_names_are_data_files():
    assert all(is_data_file(entry.name) for entry in MANIFEST.files.values())
    for name in (
        "manifest.json",
        ".lock",
        "index.faiss",
        f"index-{0:032x}.npy",
        f"x-{0:032x}.npy",
        "notes.txt",
    ):
        assert not is_data_file(name), name


@pytest.mark.parametrize(
    "data", [b"", b"{", b"\xff\xfe", b"\x00" * 100, b"[" * 500_000, b'{"a":' * 300_000, b"9" * 10_000]
)
def test_bytes_that_are_no_json_are_refused(data):
    assert refusal(data)


# --- whatever the bytes, a manifest or a ValueError

JUNK = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.just(10**400),
    st.floats(),
    st.text(max_size=5),
    st.lists(st.integers(), max_size=2),
    st.dictionaries(st.text(max_size=3), st.integers(), max_size=2),
)


def places(value, path=()):
    """The path of every value inside a JSON value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*path, key)
        yield from places(inner, (*path, key))


DOCUMENTS = (unsealed(), json.loads(changed("name", "toy")))
PLACES = [(number, *place) for number, raw in enumerate(DOCUMENTS) for place in places(raw)]


def assert_manifest_or_value_error(data: bytes) -> None:
    try:
        manifest = Manifest.from_json(data)
    except ValueError:
        return
    assert Manifest.from_json(manifest.to_json()) == manifest


@settings(max_examples=400, deadline=None)
@given(changes=st.lists(st.tuples(st.sampled_from(PLACES), JUNK | st.just(DELETE)), min_size=1, max_size=3))
def test_changed_values_give_a_manifest_or_a_value_error(changes):
    documents = json.loads(json.dumps(DOCUMENTS))
    for (*path, last), value in changes:
        at = documents
        try:
            for key in path:
                at = at[key]
            if value is DELETE:
                del at[last]
            else:
                at[last] = value
        except (LookupError, TypeError):  # an earlier change removed this place
            continue
    for raw in documents:
        assert_manifest_or_value_error(json.dumps(raw).encode())


@settings(max_examples=200, deadline=None)
@given(data=st.binary(max_size=60), start=st.integers(0, 2500), length=st.integers(0, 60))
def test_changed_bytes_give_a_manifest_or_a_value_error(data, start, length):
    text = MANIFEST.to_json()
    assert_manifest_or_value_error(data)
    assert_manifest_or_value_error(text[:start] + data + text[start + length :])


NOT_SERVED = "it does not name the files that an index on a server has"
SERVED = replace(
    MANIFEST,
    factory="Flat",
    files={
        role: FileEntry.of(role, 100, f"{row:032x}")
        for row, role in enumerate(("encoder", "removed", "revised"))
    },
    rows=9,
    next_id=12,
    class_numbers=(0, 7, 2),
    store=StoreRecord("milvus", "http://milvus:19530", "toy", 3, 11, (0, 2), True, stamps=True),
)


def test_an_index_on_a_server_that_has_changed_is_read_back_equal():
    assert Manifest.from_json(SERVED.to_json()) == SERVED
    assert SERVED.is_labeled
    assert SERVED.parts == ()
    assert SERVED.store is not None
    assert SERVED.store.served_name == "toy__3"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"rows": 6}, "its counts do not fit what was removed"),
        ({"rows": None}, "its counts do not fit what was removed"),
        ({"rows": 13}, "its counts do not fit each other"),
        ({"rows": 5}, "its counts do not fit what was removed"),
        ({"count": 10, "rows": 10}, "its counts do not fit what was removed"),
        ({"class_numbers": (0, 1)}, "it does not number its classes"),
        ({"next_id": 0}, "it counts below nothing"),
        ({"changed": -1}, "it counts below nothing"),
        ({"files": {"removed": SERVED.files["removed"]}}, NOT_SERVED),
        ({"files": {**SERVED.files, "ids": MANIFEST.files["ids"]}}, NOT_SERVED),
        ({"segments": (Segment(1, "Flat", {}),)}, NOT_SERVED),
        ({"store": None}, "it does not name the files that a bundle has"),
    ],
)
def test_what_no_change_on_a_server_writes_is_refused(changes, message):
    assert refusal(replace(SERVED, **changes).to_json()) == message


def test_only_an_index_on_a_server_has_revised_rows():
    files = {**MANIFEST.files, "revised": SERVED.files["revised"]}
    assert refusal(replace(MANIFEST, files=files, changed=1).to_json()) == (
        "it does not name the files that a bundle has"
    )


def test_no_two_classes_have_the_same_name() -> None:
    with pytest.raises(ValueError, match=r"^it names a class twice$"):
        Manifest.from_json(replace(MANIFEST, classes=("a", "b", "a")).to_json())


@pytest.mark.parametrize(
    "root", ["", "pictures", "../..", "/tmp/\0x", "/tmp/\x1b]0;a title\x07", "/tmp/\u202e"]
)
def test_a_root_is_an_absolute_path_that_can_be_printed(root: str) -> None:
    with pytest.raises(ValueError, match=r"^its root is no absolute path$"):
        Manifest.from_json(replace(MANIFEST, root=root).to_json())
    for absolute in ("/home/a/pictures", "C:\\pictures"):
        Manifest.from_json(replace(MANIFEST, root=absolute).to_json())
