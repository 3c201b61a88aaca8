"""What is opened is what was built, or an error that says why; whatever happens to the writer."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import faiss
import numpy as np
import pytest
from bundles import assert_tidy
from msgspec import structs
from numpy.testing import assert_array_equal
from toys import toy_split

from simsearch.data.splits import Split
from simsearch.encode.model_folder import Model
from simsearch.encode.onnx import OnnxEncoder
from simsearch.errors import BadInputError, BrokenBundleError, BusyError, MissingBundleError
from simsearch.index import bundle as bundle_module
from simsearch.index.build import build_index
from simsearch.index.bundle import MANIFEST, bundle_lock, commit, open_bundle, read_manifest
from simsearch.index.data_files import write_array, write_data_file
from simsearch.index.packed import Sources
from simsearch.index.stores.base import gather
from simsearch.index.stores.faiss import FaissStore

GALLERY = toy_split(
    [((100, 0, 0, 0), 0), ((200, 0, 0, 0), 0), ((60, 80, 0, 0), 0), ((0, 100, 0, 0), 1), ((0, 0, 60, 80), 2)]
)
OTHER = replace(toy_split([((0, 0, 0, 9), 1), ((3, 4, 0, 0), 0)], classes=("x", "y")), name="other")
EXPECTED_VECTORS = np.array(
    [[1, 0, 0, 0], [1, 0, 0, 0], [0.6, 0.8, 0, 0], [0, 1, 0, 0], [0, 0, 0.6, 0.8]], np.float32
)
TESTS = Path(__file__).parent


def assert_holds(folder: Path, split: Split) -> None:
    """The index in the folder is this gallery, whole and unmixed."""
    bundle = open_bundle(folder, threads=1)
    assert_array_equal(bundle.ids, np.arange(len(split)), strict=True)
    assert_array_equal(bundle.thumbnails, split.images, strict=True)
    assert_array_equal(gather(bundle.store).vectors, bundle.encoder.encode(split.images), strict=True)
    assert list(bundle.sources) == list(split.sources)
    assert (bundle.manifest.dataset, bundle.manifest.classes) == (split.name, split.classes)
    if split.labels is None:
        assert bundle.labels is None
    else:
        assert_array_equal(bundle.labels, split.labels, strict=True)


def held(folder: Path) -> str:
    """Which gallery the folder holds; it must be whole."""
    split = {"toy": GALLERY, "other": OTHER}[read_manifest(folder).dataset]
    assert_holds(folder, split)
    return split.name


def refusal(folder: Path) -> BrokenBundleError:
    with pytest.raises(BrokenBundleError) as caught:
        open_bundle(folder)
    assert caught.value.exit_code == 3
    assert caught.value.hint == "build it again with `simsearch build-index`"
    return caught.value


# --- what was built is what is opened


@pytest.mark.parametrize("factory", ["Flat", "HNSW8", "IVF2,Flat", "SQ8"])
def test_an_opened_index_is_exactly_what_was_built(build_toy, factory):
    folder = build_toy(GALLERY, factory=factory)
    assert_holds(folder, GALLERY)
    assert_tidy(folder)
    bundle = open_bundle(folder)
    np.testing.assert_allclose(gather(bundle.store).vectors, EXPECTED_VECTORS, atol=1e-6)
    assert bundle.folder == folder
    assert not isinstance(bundle.thumbnails, np.memmap)
    assert isinstance(open_bundle(folder, private=0).thumbnails, np.memmap)
    hits = bundle.store.search(EXPECTED_VECTORS[:1], 3)
    assert_array_equal(hits.ids, [[0, 1, 2]])
    np.testing.assert_allclose(hits.scores, [[1, 1, 0.6]], atol=1e-6)


def test_an_index_without_labels_has_none(build_toy):
    folder = build_toy(replace(GALLERY, labels=None, classes=()))
    assert_holds(folder, replace(GALLERY, labels=None, classes=()))
    assert "labels" not in read_manifest(folder).files


ODD_SOURCES = ("", "zwei/ß✓.png", "line\nbreak\0null", "", os.fsdecode(b"not-utf8-\xff\xfe.png"))


def test_sources_of_any_text_come_back(build_toy):
    assert_holds(build_toy(replace(GALLERY, sources=ODD_SOURCES)), replace(GALLERY, sources=ODD_SOURCES))
    empty = replace(GALLERY, sources=("",) * 5)
    assert_holds(build_toy(empty), empty)


def test_sources_are_a_sequence():
    sources = Sources(*Sources.pack(ODD_SOURCES))
    assert (len(sources), sources[1], sources[-4], sources[np.int64(1)]) == (5, *ODD_SOURCES[1:2] * 3)
    assert (sources[1:3], sources[::-2], sources[9:]) == ([*ODD_SOURCES[1:3]], [*ODD_SOURCES[::-2]], [])
    for row in (5, -6):
        with pytest.raises(IndexError):
            sources[row]


def test_a_copied_folder_is_the_same_index(build_toy, tmp_path):
    shutil.copytree(build_toy(GALLERY), tmp_path / "copy")
    assert_holds(tmp_path / "copy", GALLERY)


def test_no_index_is_another_error_than_a_broken_one(tmp_path):
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_bytes(b"")
    for name in ("empty", "absent", "file"):
        with pytest.raises(MissingBundleError) as caught:
            open_bundle(tmp_path / name)
        assert (caught.value.exit_code, str(caught.value)) == (3, f"there is no index in {tmp_path / name}")
        assert caught.value.hint == "build it again with `simsearch build-index`"


# --- damage

ROLES = ["index", "encoder", "ids", "labels", "thumbnails", "sources", "source_ends", "vectors"]


@pytest.mark.parametrize("role", ROLES)
def test_a_damaged_file_is_named(build_toy, role):
    folder = build_toy(GALLERY, factory="SQ8")
    files = {role: folder / entry.name for role, entry in read_manifest(folder).files.items()}
    assert sorted(files) == sorted(ROLES)
    path, whole = files[role], files[role].read_bytes()
    damaged = [whole[:-1], b"", whole + b"\0"]
    damaged += [other.read_bytes() for name, other in files.items() if name != role]
    for position in {*range(0, len(whole), max(1, len(whole) // 20)), len(whole) - 1}:
        damaged.append(whole[:position] + bytes([whole[position] ^ 1]) + whole[position + 1 :])
    for content in damaged:
        path.write_bytes(content)
        assert str(refusal(folder)) == f"{path} is damaged: its size or checksum is wrong"
    path.unlink()
    assert str(refusal(folder)) == f"the index in {folder} lacks {path.name}"
    path.mkdir()
    assert str(path) in str(refusal(folder))
    path.rmdir()
    path.write_bytes(whole)
    assert_holds(folder, GALLERY)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "cannot be used: it is not JSON (Expecting value: line 1 column 1 (char 0))"),
        (b"[]", "cannot be used: it is not a JSON object"),
        (b"[" * 500_000, "cannot be used: it is nested too deeply"),
        (b"[" * 2**21, "is too large to be a manifest"),
        (b'{"format": 4}', "cannot be used: it has format 4; this simsearch reads the formats 1, 2 and 3"),
    ],
)
def test_a_damaged_manifest_is_named(build_toy, content, message):
    folder = build_toy(GALLERY)
    (folder / MANIFEST).write_bytes(content)
    assert str(refusal(folder)) == f"{folder / MANIFEST} {message}"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no named pipes here")
def test_a_manifest_that_is_a_pipe_is_refused_and_never_waited_for(build_toy):
    folder = build_toy(GALLERY)
    (folder / MANIFEST).unlink()
    os.mkfifo(folder / MANIFEST)
    assert str(refusal(folder)) == f"{folder / MANIFEST} cannot be read: Not a regular file"


def test_one_changed_digit_of_the_projection_is_noticed(build_toy):
    folder = build_toy(GALLERY)
    (folder / MANIFEST).write_bytes((folder / MANIFEST).read_bytes().replace(b"-5.0", b"-6.0"))
    assert str(refusal(folder)) == (
        f"{folder / MANIFEST} cannot be used: it is damaged: its checksum is wrong"
    )


def test_a_manifest_that_is_a_folder_is_named(build_toy):
    folder = build_toy(GALLERY)
    (folder / MANIFEST).unlink()
    (folder / MANIFEST).mkdir()
    assert str(refusal(folder)) == f"{folder / MANIFEST} cannot be read: Is a directory"


def test_an_index_of_another_preprocessing_is_refused(build_toy):
    folder = build_toy(GALLERY)
    (folder / MANIFEST).write_bytes(structs.replace(read_manifest(folder), preprocessing=7).to_json())
    assert str(refusal(folder)) == (
        f"the index in {folder} was made with preprocessing version 7, this simsearch has 2"
    )


def test_an_index_of_the_first_preprocessing_opens_because_its_pictures_compare(build_toy):
    folder = build_toy(GALLERY)
    (folder / MANIFEST).write_bytes(structs.replace(read_manifest(folder), preprocessing=1).to_json())
    assert open_bundle(folder).manifest.preprocessing == 1


# --- manifests whose checksums are right and whose content is not


def resealed(folder: Path, role: str, content, **changes) -> str:
    """Replace a file and seal it with a right checksum; return why the index is then refused."""
    write = (lambda path: path.write_bytes(content)) if isinstance(content, bytes) else write_array(content)
    manifest = read_manifest(folder)
    entry = write_data_file(folder, role, write)
    commit(folder, structs.replace(manifest, files={**manifest.files, role: entry}, **changes))
    start = f"the index in {folder} is inconsistent: "
    message = str(refusal(folder))
    assert message.startswith(start)
    return re.sub(r"-[0-9a-f]{32}", "", message.removeprefix(start))


THUMBNAILS = GALLERY.images


@pytest.mark.parametrize(
    ("role", "content", "reason"),
    [
        ("labels", np.array([0, 0, 0, 1, 3]), "a label is not the number of a class"),
        ("labels", np.array([0, 0, 0, 1, -1]), "a label is not the number of a class"),
        ("labels", np.array([0, 0, 0, 1]), "labels.npy holds int64 (4,), not int64 (5,)"),
        ("labels", np.zeros(5, np.int32), "labels.npy holds int32 (5,), not int64 (5,)"),
        ("labels", np.zeros((5, 1), int), "labels.npy holds int64 (5, 1), not int64 (5,)"),
        ("ids", np.arange(6), "ids.npy holds int64 (6,), not int64 (5,)"),
        ("ids", np.array([0, 1, 2, 4, 3]), "ids must be int64, non-negative and strictly ascending"),
        ("ids", np.array([0, 1, 2, 3, 3]), "ids must be int64, non-negative and strictly ascending"),
        ("ids", np.arange(-1, 4), "ids must be int64, non-negative and strictly ascending"),
        ("thumbnails", THUMBNAILS[:4], "thumbnails.npy holds uint8 (4, 28, 28), not uint8 (5, 28, 28)"),
        (
            "thumbnails",
            THUMBNAILS.astype(np.float32),
            "thumbnails.npy holds float32 (5, 28, 28), not uint8 (5, 28, 28)",
        ),
        ("vectors", np.eye(4, dtype=np.float32), "vectors.npy holds float32 (4, 4), not float32 (5, 4)"),
        ("vectors", np.eye(5, 4), "vectors.npy holds float64 (5, 4), not float32 (5, 4)"),
        ("source_ends", np.array([5, 10, 15, 20]), "source_ends.npy holds int64 (4,), not int64 (5,)"),
        ("source_ends", np.array([5, 10, 15, 20, 24]), "the items' sources do not cover their text"),
        ("source_ends", np.array([5, 15, 10, 20, 25]), "the items' sources do not cover their text"),
        ("source_ends", np.array([-1, 10, 15, 20, 25]), "the items' sources do not cover their text"),
        ("source_ends", np.array([2**63 - 1, -2, 15, 20, 25]), "the items' sources do not cover their text"),
        ("sources", b"toy/0", "the items' sources do not cover their text"),
        ("encoder", b"no onnx", "the encoder cannot be used: it is no ONNX model"),
        ("index", b"IxFI" + b"\xff" * 200, None),
        ("index", b"", None),
        ("ids", b"PK\x03\x04 a zip archive", None),
        ("ids", b"\x93NUMPY\x01\x00\x10\x00{'descr': !!}   ", None),
        ("ids", b"\x93NUMPY\x01\x00\x10\x00{'descr': (((((  ", None),  # a TokenError of Python's tokenizer
        ("vectors", np.full((5, 4), np.nan, np.float32), "a stored vector is not finite and of length 1"),
        ("vectors", np.zeros((5, 4), np.float32), "a stored vector is not finite and of length 1"),
        ("ids", b"", None),
    ],
)
def test_a_file_that_contradicts_the_others_is_refused(build_toy, role, content, reason):
    found = resealed(build_toy(GALLERY, factory="SQ8"), role, content)
    assert found == reason if reason else found


def test_an_array_that_declares_a_giant_shape_is_refused_before_it_is_allocated(build_toy):
    header = b"{'descr': '<i8', 'fortran_order': False, 'shape': (1000000000000000,), }"
    content = b"\x93NUMPY\x01\x00" + (118).to_bytes(2, "little") + header.ljust(117) + b"\n"
    assert resealed(build_toy(GALLERY), "ids", content)


def test_an_array_with_a_giant_header_is_refused_in_one_line(build_toy):
    content = b"\x93NUMPY\x01\x00" + (20_000).to_bytes(2, "little") + b"{".ljust(20_000)
    assert resealed(build_toy(GALLERY), "thumbnails", content) == (
        "Header info length (20000) is large and may not be safe to load securely."
    )


@pytest.mark.parametrize("role", ROLES)
def test_a_file_larger_than_its_role_can_need_is_refused_unread(build_toy, role):
    folder = build_toy(GALLERY, factory="SQ8")
    manifest = read_manifest(folder)
    entry = structs.replace(manifest.files[role], size=2**40)
    damaged = structs.replace(manifest, files={**manifest.files, role: entry})
    (folder / MANIFEST).write_bytes(damaged.to_json())
    assert str(refusal(folder)) == f"{folder / MANIFEST} cannot be used: the size of {role} is {2**40}"


def test_pickled_objects_are_not_loaded(build_toy, tmp_path):
    path = tmp_path / "pickled.npy"
    np.save(path, np.array([print] * 5, object), allow_pickle=True)
    assert "holds object (5,), not int64 (5,)" in resealed(build_toy(GALLERY), "labels", path.read_bytes())


@pytest.mark.parametrize("factory", ["Flat", "HNSW8", "IVF2,Flat", "SQ8"])
def test_an_index_file_with_another_number_of_vectors_is_refused(build_toy, tmp_path, factory):
    folder = build_toy(GALLERY, factory=factory)
    FaissStore.build(EXPECTED_VECTORS[:4], np.arange(4), factory=factory).write(tmp_path / "four")
    assert resealed(folder, "index", (tmp_path / "four").read_bytes()) == (
        "it holds 4 vectors of length 4, not 5 of 4"
    )


def test_an_index_under_another_metric_is_refused(build_toy, tmp_path):
    euclidean = faiss.IndexFlatL2(4)
    euclidean.add(EXPECTED_VECTORS)
    faiss.write_index(euclidean, str(tmp_path / "l2"))
    folder = build_toy(GALLERY)
    assert resealed(folder, "index", (tmp_path / "l2").read_bytes()) == (
        "it does not compare by inner product"
    )


def test_an_approximate_index_without_its_exact_vectors_is_refused(build_toy):
    folder = build_toy(GALLERY, factory="HNSW8")
    manifest = read_manifest(folder)
    files = {role: entry for role, entry in manifest.files.items() if role != "vectors"}
    commit(folder, structs.replace(manifest, files=files))
    assert str(refusal(folder)) == (
        f"the index in {folder} is inconsistent: a IndexHNSWFlat does not hold exact vectors; pass them"
    )


def test_another_valid_encoder_is_refused(build_toy, toy_onnx):
    import onnx

    other = onnx.load_model_from_string(toy_onnx)
    other.doc_string = "another"
    content = other.SerializeToString()
    OnnxEncoder(content)  # it is valid
    assert resealed(build_toy(GALLERY), "encoder", content) == (
        "its encoder is not the one that made its vectors"
    )


def test_a_wrong_dimension_or_count_is_refused(build_toy):
    folder = build_toy(GALLERY)
    manifest = read_manifest(folder)
    for changes in (
        {"dim": 5},
        {"count": 4},
        {"count": 2**39},
        {"classes": ("a", "b")},
        {"encoder": "0" * 64},
    ):
        commit(folder, structs.replace(manifest, **changes))
        assert str(refusal(folder)).startswith(f"the index in {folder} is inconsistent: ")


# --- replacing an index


def test_a_rebuild_replaces_the_index_and_sweeps_the_old_files(build_toy):
    folder = build_toy(GALLERY)
    before = {entry.name for entry in read_manifest(folder).all_files}
    assert build_toy(OTHER) == folder
    assert_holds(folder, OTHER)
    assert_tidy(folder)
    after = {entry.name for entry in read_manifest(folder).all_files}
    assert {name.split("-")[0] for name in before & after} == {"encoder"}


def test_a_reader_from_before_a_rebuild_keeps_its_index(build_toy):
    folder = build_toy(GALLERY)
    reader = open_bundle(folder)
    build_toy(OTHER)
    assert_array_equal(reader.thumbnails, GALLERY.images)
    assert_array_equal(reader.store.search(EXPECTED_VECTORS[3:4], 2).ids, [[3, 2]])
    assert list(reader.sources) == list(GALLERY.sources)


def test_leftovers_are_swept_and_foreign_files_are_not(build_toy):
    folder = build_toy(GALLERY)
    (folder / ".tmp-file").write_bytes(b"")
    (folder / ".tmp-folder" / "deep").mkdir(parents=True)
    (folder / ".tmp-folder" / "deep" / "index").write_bytes(b"half")
    (folder / f"labels-{0:032x}.npy").write_bytes(b"orphan")
    foreign = ["notes.txt", f"labels-{0:031x}.npy", f"labels-{0:032x}.faiss", "index.faiss", ".hidden"]
    for name in foreign:
        (folder / name).write_text("mine")
    build_toy(OTHER)
    assert_holds(folder, OTHER)
    assert_tidy(folder, *foreign)
    assert all((folder / name).read_text() == "mine" for name in foreign)


def test_a_second_writer_is_told_at_once(build_toy, toy_model):
    folder = build_toy(GALLERY)
    with bundle_lock(folder), pytest.raises(BusyError) as caught:
        build_index(OTHER, toy_model, folder)
    assert (caught.value.exit_code, str(caught.value)) == (4, f"another process is writing {folder}")
    assert_holds(folder, GALLERY)
    build_index(OTHER, toy_model, folder)  # the lock is free again
    assert_holds(folder, OTHER)


def test_a_reader_does_not_wait_for_a_writer(build_toy):
    folder = build_toy(GALLERY)
    with bundle_lock(folder):
        assert_holds(folder, GALLERY)


@pytest.mark.parametrize("step", range(8))
@pytest.mark.parametrize("error", [OSError(28, "No space left on device"), KeyboardInterrupt()])
def test_a_build_that_fails_leaves_the_old_index_and_no_litter(
    build_toy, toy_model, monkeypatch, error, step
):
    folder = build_toy(GALLERY)
    calls = iter(range(step + 1))
    flush = os.fsync

    def fail(descriptor: int) -> None:
        if next(calls) == step:
            raise error
        flush(descriptor)

    monkeypatch.setattr(os, "fsync", fail)
    expected = KeyboardInterrupt if isinstance(error, KeyboardInterrupt) else BadInputError
    with pytest.raises(expected) as caught:
        build_index(OTHER, toy_model, folder)
    if expected is BadInputError:
        assert (caught.value.exit_code, str(caught.value)) == (
            2,
            f"cannot write {folder}: no space left on device",
        )
    assert_holds(folder, GALLERY)
    assert_tidy(folder)


def test_a_failed_build_beside_an_index_of_a_newer_simsearch_leaves_its_files(
    build_toy, toy_model, monkeypatch
):
    folder = build_toy(GALLERY)
    newer = (folder / MANIFEST).read_bytes().replace(b'"format": 1', b'"format": 2')
    (folder / MANIFEST).write_bytes(newer)
    before = {path.name for path in folder.iterdir()}
    monkeypatch.setattr(OnnxEncoder, "encode", lambda *_, **__: pytest.fail("stop", pytrace=False))
    with pytest.raises(pytest.fail.Exception, match="stop"):
        build_index(OTHER, toy_model, folder)
    assert {path.name for path in folder.iterdir()} == before


def test_a_file_where_the_folder_should_be_is_one_clear_error(toy_model, tmp_path):
    (tmp_path / "file").write_text("mine")
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(BadInputError, match=r"cannot be a folder: a file has that name$") as caught:
            build_index(GALLERY, toy_model, folder)
        assert caught.value.exit_code == 2
    assert (tmp_path / "file").read_text() == "mine"


# --- other processes

WRITER = """
import os, resource, signal, sys
from pathlib import Path
from test_bundle import GALLERY, OTHER
from simsearch.encode.onnx import OnnxEncoder
from simsearch.errors import SimsearchError
from simsearch.index.build import build_index
from simsearch.encode.model_folder import Model, ModelCard

mode, parts, folder = sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3])
card = ModelCard.from_json((parts / "card").read_bytes())

def build(split):
    return build_index(split, Model(OnnxEncoder((parts / "onnx").read_bytes(), threads=1), card), folder)

def killed_at(moment):
    steps = iter(range(moment))
    def step(*_):
        if next(steps, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)
    def audit(event, arguments):
        if event in AUDITED and str(folder) in str(arguments[0]) and "rb" not in arguments:
            step()
    flush = os.fsync
    os.fsync = lambda descriptor: (step(), flush(descriptor))
    AUDITED = {"open", "os.mkdir", "os.rename", "os.remove", "os.rmdir"}
    sys.addaudithook(audit)

print("ready", flush=True)
for line in sys.stdin:
    number = int(line)
    if mode == "loop":
        break
    child = os.fork()
    if not child:
        if mode == "kill":
            killed_at(number)
        else:
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (number, resource.RLIM_INFINITY))
        try:
            build(OTHER)
        except SimsearchError as error:
            os.write(1, f"{type(error).__name__}: {error}".encode())
            os._exit(1)
        os._exit(0)
    print(f" {os.waitpid(child, 0)[1]}", flush=True)
while mode == "loop":
    for split in (OTHER, GALLERY):
        build(split)
"""

posix = pytest.mark.skipif(os.name != "posix", reason="kills and limits processes the POSIX way")


@pytest.fixture
def writer(tmp_path: Path, toy_model: Model):
    """Start a process that writes the index folder, told what to do line by line."""
    (tmp_path / "onnx").write_bytes(toy_model.encoder.model)
    (tmp_path / "card").write_bytes(toy_model.card.to_json())
    started = []

    def start(mode: str, folder: Path) -> subprocess.Popen:
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, mode, str(tmp_path), str(folder)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join([str(TESTS), str(TESTS.parent)])},
        )
        started.append(process)
        assert process.stdout.readline() == "ready\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def tell(process: subprocess.Popen, number: int) -> tuple[str, int]:
    """Let the writer build once; what it said, and the wait status of the process that built."""
    process.stdin.write(f"{number}\n")
    process.stdin.flush()
    message, status = process.stdout.readline().rsplit(" ", 1)
    return message, int(status)


@posix
def test_kill_9_at_every_step_leaves_the_old_index_or_the_new_one(build_toy, writer):
    folder = build_toy(GALLERY)
    process, outcomes = writer("kill", folder), []
    for moment in range(1000):
        message, status = tell(process, moment)
        assert (message, status) in [("", signal.SIGKILL), ("", 0)]
        outcomes.append(held(folder))
        build_toy(GALLERY)
        assert_tidy(folder)
        if not status:
            break
    committed = outcomes.index("other")
    assert committed > 30  # steps before the commit were indeed interrupted
    assert len(outcomes) > committed + 2  # and steps after it
    assert outcomes == ["toy"] * committed + ["other"] * (len(outcomes) - committed)


@posix
def test_kill_9_during_a_first_build_leaves_no_index_or_the_whole_one(build_toy, writer, tmp_path):
    folder = tmp_path / "toy"
    process, outcomes = writer("kill", folder), []
    for moment in range(0, 1000, 9):
        _, status = tell(process, moment)
        try:
            outcomes.append(held(folder))
        except MissingBundleError:
            outcomes.append("none")
        if not status:
            break
        build_toy(OTHER)
        assert_tidy(folder)
        shutil.rmtree(folder)
    assert {"none", "other"} == set(outcomes)
    assert_tidy(folder)


@posix
def test_a_disk_that_is_full_at_any_size_leaves_the_old_index_and_no_litter(build_toy, writer):
    folder = build_toy(GALLERY)
    process = writer("full", folder)
    sizes = sorted({entry.size for entry in read_manifest(build_toy(OTHER)).files.values()})
    build_toy(GALLERY)
    for limit in sorted({0, 1, *sizes[:-1], *(size - 1 for size in sizes)}):
        message, status = tell(process, limit)
        assert (message, os.waitstatus_to_exitcode(status)) == (
            f"BadInputError: cannot write {folder}: file too large",
            1,
        )
        assert_holds(folder, GALLERY)
        assert_tidy(folder)
    assert tell(process, 10**6) == ("", 0)
    assert_holds(folder, OTHER)


@posix
def test_readers_meet_one_whole_index_or_the_other_while_a_writer_replaces_it(build_toy, writer):
    folder = build_toy(GALLERY)
    process = writer("loop", folder)
    process.stdin.write("0\n")
    process.stdin.flush()
    met = []
    for _ in range(150):
        bundle = open_bundle(folder, threads=1)
        split = {"toy": GALLERY, "other": OTHER}[bundle.manifest.dataset]
        assert_array_equal(bundle.thumbnails, split.images, strict=True)
        assert_array_equal(bundle.labels, split.labels, strict=True)
        assert list(bundle.sources) == list(split.sources)
        assert_array_equal(gather(bundle.store).vectors, bundle.encoder.encode(split.images), strict=True)
        met.append(split.name)
    assert process.poll() is None
    assert {"toy", "other"} == set(met)
    process.kill()
    process.wait()
    build_toy(GALLERY)
    assert_tidy(folder)


@pytest.mark.parametrize("role", sorted({*ROLES} - {"encoder"}))  # the galleries share their encoder
def test_a_file_that_is_swept_before_it_was_opened_makes_the_reader_start_again(build_toy, monkeypatch, role):
    folder = build_toy(GALLERY, factory="SQ8")
    files = read_manifest(folder).files
    open_checked = bundle_module.open_checked
    rebuilt = []

    def rebuild_then_open(folder: Path, entry):
        if entry.name == files[role].name and not rebuilt:
            rebuilt.append(build_toy(OTHER))
        return open_checked(folder, entry)

    monkeypatch.setattr(bundle_module, "open_checked", rebuild_then_open)
    assert open_bundle(folder).manifest.dataset == "other"
    assert rebuilt


def test_files_that_are_swept_after_they_were_opened_are_still_read(build_toy, monkeypatch):
    """Between verifying and parsing: what was verified is parsed, whatever its name stands for by then."""
    folder = build_toy(GALLERY, factory="SQ8")
    parse = bundle_module._parse

    def rebuild_then_parse(*arguments):
        build_toy(OTHER)
        return parse(*arguments)

    monkeypatch.setattr(bundle_module, "_parse", rebuild_then_parse)
    bundle = open_bundle(folder)
    monkeypatch.undo()
    assert bundle.manifest.dataset == "toy"
    assert_array_equal(bundle.thumbnails, GALLERY.images, strict=True)
    assert held(folder) == "other"


def test_a_file_that_a_writer_has_just_swept_makes_the_reader_start_again(build_toy, monkeypatch):
    folder = build_toy(GALLERY)
    old = read_manifest(folder)
    build_toy(OTHER)
    answers = iter([old])
    monkeypatch.setattr(
        bundle_module, "read_manifest", lambda folder: next(answers, None) or read_manifest(folder)
    )
    assert open_bundle(folder).manifest.dataset == "other"


def test_what_could_not_be_opened_again_is_not_committed(
    build_toy: Callable[..., Path], toy_gallery: Split
) -> None:
    """An import of 120,000 classes once replaced an index by one that was too large to be described."""
    folder = build_toy(toy_gallery)
    before = read_manifest(folder)
    many = tuple(f"class {number} {'x' * 40}" for number in range(30_000))
    with pytest.raises(BadInputError, match=r"^the index's description would have 1\.\d MB, more than 1$"):
        commit(folder, structs.replace(before, classes=many))
    sources = structs.replace(before.files["sources"], size=2**40)
    with pytest.raises(BadInputError, match="could not be opened again: the size of sources is"):
        commit(folder, structs.replace(before, files={**before.files, "sources": sources}))
    assert read_manifest(folder) == before
    open_bundle(folder, threads=1)
