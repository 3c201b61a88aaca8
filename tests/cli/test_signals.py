"""Ctrl-C, SIGTERM and closed pipes end every long command at once, in one line, with nothing half-written.

Each command runs in a process of its own; the signal is sent when the command shows that it is at work.
"""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from bundles import follow
from conftest import ROOT, SHIPPED_INDEX
from toys import write_quadrants

from simsearch.cli.signals import HungUp, Terminated, end_interrupted, interruption_behind
from simsearch.index.bundle import open_bundle

pytestmark = pytest.mark.skipif(os.name != "posix", reason="sends POSIX signals")
needs_proc = pytest.mark.skipif(not Path("/proc/self/maps").exists(), reason="looks into /proc")

DIGIT = ROOT / "docs" / "digit.png"
AT_ONCE_S = 4.0  # of the processor, since others may keep it busy; a command that is not heard takes longer
PATIENCE_S = 300.0
SIGNALS = [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")]
every_signal = pytest.mark.parametrize(("number", "code", "word"), SIGNALS, ids=["SIGINT", "SIGTERM"])

DROPPING = """
import os, signal, sys, time, weakref
from simsearch.cli.signals import take_signals

class Thing:
    def __del__(self):
        if where == "__del__":
            end()

def end():
    os.kill(os.getpid(), number)
    for _ in range(1_000):  # amid this the signal is heeded
        pass

where, number = sys.argv[1], int(sys.argv[2])
take_signals()
thing = Thing()
watched = weakref.ref(thing, lambda _: end()) if where == "callback" else None
try:
    del thing
    time.sleep(60)
except KeyboardInterrupt as stop:
    print(type(stop).__name__)
"""


class Command:
    """A running simsearch whose stderr is a terminal, so that it shows its progress there."""

    def __init__(self, *arguments: object, **environment: str) -> None:
        import pty

        self._master, slave = pty.openpty()
        self.process = subprocess.Popen(
            [sys.executable, "-m", "simsearch", *map(str, arguments)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=slave,
            text=True,
            cwd=ROOT,
            env={**os.environ, "COLUMNS": "100", "TERM": "xterm", **environment},
        )
        os.close(slave)
        self._shown = b""
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                part = os.read(self._master, 65536)
            except OSError:  # nobody has the terminal open any more
                return
            if not part:
                return
            self._shown += part

    def wait_for(self, sign: Callable[[], bool]) -> None:
        """Wait until the command is at work."""
        deadline = time.monotonic() + PATIENCE_S
        while not sign():
            assert self.process.poll() is None, f"it ended too early: {self.shown}"
            assert time.monotonic() < deadline, f"no sign of work: {self.shown}"
            time.sleep(0.01)

    @property
    def shown(self) -> str:
        return self._shown.decode(errors="replace")

    def end_by(self, number: int) -> tuple[int, float]:
        """Send the signal; the exit code, and the processor time that the end took."""
        before = self._used() + _used_by_children()
        self.process.send_signal(number)
        code = self.process.wait(PATIENCE_S)
        seconds = _used_by_children() - before
        self.close()
        return code, seconds

    def _used(self) -> float:
        """Seconds of the processor, as far as the system tells."""
        stat = Path(f"/proc/{self.process.pid}/stat")
        if not stat.exists():
            return 0.0
        user, system = stat.read_text().rpartition(")")[2].split()[11:13]
        return (int(user) + int(system)) / os.sysconf("SC_CLK_TCK")

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()
        self._reader.join()
        os.close(self._master)


def _used_by_children() -> float:
    """Seconds of the processor that children which have ended took."""
    import resource  # not on Windows

    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


@pytest.fixture
def start() -> Iterator[Callable[..., Command]]:
    """Start commands that do not outlive their test."""
    started: list[Command] = []

    def run(*arguments: object, **environment: str) -> Command:
        started.append(Command(*arguments, **environment))
        return started[-1]

    yield run
    for command in started:
        if command.process.poll() is None:
            command.close()


def assert_ended(command: Command, number: int, code: int, word: str) -> None:
    found, seconds = command.end_by(number)
    assert found == code, command.shown
    assert seconds < AT_ONCE_S
    assert command.shown.endswith(f"{word}\r\n")
    for complaint in ("Traceback", "Exception ignored", "error:", "hint:"):
        assert complaint not in command.shown
    assert command.shown.count(word) == 1


@pytest.fixture(scope="module")
def gallery(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of IDX files that keeps every command busy for longer than the test."""
    return write_idx(tmp_path_factory.mktemp("idx"), 30_000)


def write_idx(folder: Path, count: int) -> Path:
    """So many pictures of noise as each split."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, 28, 28), np.uint8)
    labels = (np.arange(count) % 10).astype(np.uint8)
    sides = b"".join(side.to_bytes(4, "big") for side in images.shape)
    for split in ("train", "test"):
        (folder / f"{split}-images-idx3-ubyte").write_bytes(b"\0\0\x08\3" + sides + images.tobytes())
        (folder / f"{split}-labels-idx1-ubyte").write_bytes(b"\0\0\x08\1" + sides[:4] + labels.tobytes())
    return folder


def start_ignoring(start: Callable[..., Command], number: int, *arguments: object) -> Command:
    """What `nohup`, or a script's `&`, does."""
    before = signal.signal(number, signal.SIG_IGN)
    try:
        return start(*arguments)
    finally:
        signal.signal(number, before)


def files_below(folder: Path) -> list[str]:
    return sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*"))


@pytest.mark.signals
@every_signal
def test_a_first_build_leaves_nothing(start, gallery, tmp_path, number, code, word) -> None:
    command = start("build-index", "--dataset", gallery, "--name", "new", "--index-dir", tmp_path)
    command.wait_for(lambda: "Encoding" in command.shown)
    assert_ended(command, number, code, word)
    assert files_below(tmp_path) == []


@pytest.mark.signals
def test_a_closed_terminal_ends_a_build_and_leaves_nothing(start, gallery, tmp_path) -> None:
    command = start("build-index", "--dataset", gallery, "--name", "new", "--index-dir", tmp_path)
    command.wait_for(lambda: "Encoding" in command.shown)
    assert_ended(command, signal.SIGHUP, 129, "hung up")
    assert files_below(tmp_path) == []


@pytest.mark.signals
@pytest.mark.parametrize("name", ["SIGINT", "SIGHUP"])
def test_a_signal_that_the_parent_had_ignored_stays_ignored(start, gallery, tmp_path, name) -> None:
    number = getattr(signal, name)
    target = ("--dataset", gallery, "--name", "new", "--index-dir", tmp_path)
    command = start_ignoring(start, number, "build-index", *target)
    command.wait_for(lambda: "Encoding" in command.shown)
    command.process.send_signal(number)
    encoded = command.shown.count("Encoding")
    command.wait_for(lambda: command.shown.count("Encoding") > encoded + 3)
    assert_ended(command, *SIGNALS[1])


@pytest.mark.signals
def test_a_rebuild_leaves_the_old_index(start, gallery, build_toy, toy_gallery, tmp_path) -> None:
    folder = build_toy(toy_gallery)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    options = ("--name", folder.name, "--index-dir", tmp_path, "--replace")
    command = start("build-index", "--dataset", gallery, *options)
    command.wait_for(lambda: "Encoding" in command.shown)
    assert_ended(command, *SIGNALS[0])
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert open_bundle(folder).manifest.count == len(toy_gallery)


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of so many pictures, all one file, that to look at each takes longer than the test."""
    folder = tmp_path_factory.mktemp("crowd") / "pictures"
    first = write_quadrants(folder / "a" / "0.png", 1, 2, 3, 4)
    for number in range(1, 8_000):
        os.link(first, first.with_name(f"{number}.png"))
    return folder


@pytest.mark.signals
@pytest.mark.parametrize(
    ("change", "number", "code", "word"), [("add", *SIGNALS[0]), ("sync", *SIGNALS[1])], ids=["add", "sync"]
)
def test_a_change_amid_pictures_leaves_the_old_index(
    start, crowd, plain_model, tmp_path, change, number, code, word
) -> None:
    folder = tmp_path / "toy"
    index = follow(folder, tmp_path / "pictures", plain_model)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    pictures = [crowd] if change == "add" else [crowd, "--replace", "--yes"]
    command = start(change, index.folder, *pictures)
    command.wait_for(lambda: "Adding" in command.shown or "Encoding" in command.shown)
    assert_ended(command, number, code, word)
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before


@pytest.mark.signals
@pytest.mark.parametrize(("number", "code", "word"), SIGNALS[:1])  # the start of torch costs seconds
def test_training_leaves_only_whole_files(start, gallery, tmp_path, number, code, word) -> None:
    pytest.importorskip("torch", reason="needs the extra: pip install 'simsearch[train]'")
    options = ("--set", "epochs=200", "--recipe", "siamese-pairs", "--threads", 1)
    command = start("train", "--dataset", gallery, "--out", tmp_path / "run", *options)
    command.wait_for(lambda: "Epoch 1/200" in command.shown)
    assert_ended(command, number, code, word)
    assert set(files_below(tmp_path)) <= {"run", "run/.lock"}


@pytest.mark.signals
@every_signal
def test_an_evaluation_leaves_no_file(start, gallery, tmp_path, number, code, word) -> None:
    command = start(
        "evaluate", "--index", SHIPPED_INDEX, "--queries", gallery, "--report", tmp_path / "report.html"
    )
    command.wait_for(lambda: "Ranking" in command.shown)
    assert_ended(command, number, code, word)
    assert files_below(tmp_path) == []


@pytest.mark.signals
def test_an_evaluation_that_is_writing_leaves_the_old_file(start, tmp_path, tmp_path_factory) -> None:
    """300 queries are soon ranked, and their three million lines take seconds to write."""
    (tmp_path / "run.txt").write_text("old")
    queries = write_idx(tmp_path_factory.mktemp("queries"), 300)
    options = ("--queries", queries, "--run", tmp_path / "run.txt", "--depth", 0)
    command = start("evaluate", "--index", SHIPPED_INDEX, *options)
    command.wait_for(lambda: any(path.stat().st_size for path in tmp_path.glob(".tmp-*")))
    assert_ended(command, *SIGNALS[0])
    assert files_below(tmp_path) == ["run.txt"]
    assert (tmp_path / "run.txt").read_text() == "old"


@pytest.mark.signals
@needs_proc
@every_signal
def test_a_query_of_many_files_ends(start, number, code, word) -> None:
    command = start("query", *[DIGIT] * 5_000, "--json", "--index", SHIPPED_INDEX)
    command.wait_for(lambda: "Asking" in command.shown)
    assert_ended(command, number, code, word)


@pytest.mark.signals
@every_signal
def test_a_fetch_leaves_nothing_but_its_lock(start, tmp_path, number, code, word) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:  # a proxy that takes the call and says nothing
        proxy = f"http://127.0.0.1:{silent.getsockname()[1]}"
        names = ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy")
        quiet = {"NO_PROXY": "", "no_proxy": ""}
        command = start(
            "data", "fetch", "mnist", "--data-dir", tmp_path, **dict.fromkeys(names, proxy), **quiet
        )
        command.wait_for(lambda: "mirror" in command.shown)
        silent.settimeout(PATIENCE_S)
        connection, _ = silent.accept()
        with connection:
            assert_ended(command, number, code, word)
    assert set(files_below(tmp_path)) <= {"MNIST", "MNIST/fetch.lock", "MNIST/raw"}


def test_an_interrupt_inside_another_error_is_found() -> None:
    """An extension module whose initialization is interrupted fails with an ImportError."""
    try:
        try:
            raise Terminated
        except Terminated as stop:
            raise ImportError("initialization failed") from stop
    except ImportError as error:
        found = interruption_behind(error)
    assert isinstance(found, Terminated)
    assert end_interrupted(found) == 143
    assert end_interrupted(HungUp()) == 129
    assert interruption_behind(ValueError()) is None


@pytest.mark.signals
@pytest.mark.parametrize("beside", ["", "threading.Thread(target=time.sleep, args=(0.2,)).start()"])
def test_an_interrupt_in_code_that_was_text_has_its_exit_code(beside: str, tmp_path: Path) -> None:
    """Dataclasses are made of text; `python -m` would end by SIGINT, whatever the program makes of it."""
    code = (
        "import os, signal, threading, time\n"
        "import simsearch.cli.main, simsearch.__main__\n"
        "from simsearch.cli.signals import run_program\n"
        f"text = {'os.kill(os.getpid(), signal.SIGINT); time.sleep(9)'!r}\n"
        "simsearch.cli.main.main = lambda: run_program(lambda: exec(text))\n"
        f"{beside}\n"
        "simsearch.__main__.main()\n"
    )
    (tmp_path / "interrupted.py").write_text(code)
    paths = os.pathsep.join((str(ROOT), str(tmp_path)))
    done = subprocess.run(
        [sys.executable, "-m", "interrupted"],
        env={**os.environ, "PYTHONPATH": paths},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted\n")


def test_an_error_that_is_its_own_cause_has_no_signal_behind_it() -> None:
    error = ValueError()
    error.__cause__ = error
    assert interruption_behind(error) is None


@pytest.mark.signals
@pytest.mark.parametrize("function", ["<module>", "parse_args"])
def test_an_interrupt_before_the_command_begins_is_one_word(function: str) -> None:
    """While the commands are loaded, and while the command line is read: at the first such call in Typer."""
    code = (
        "import signal, sys\n"
        "def interrupt(frame, event, _):\n"
        f"    if frame.f_code.co_name == {function!r} and 'typer' in frame.f_code.co_filename:\n"
        "        sys.setprofile(None)\n"
        "        signal.raise_signal(signal.SIGINT)\n"
        "from simsearch.__main__ import main\n"
        "sys.argv = ['simsearch', 'info']\n"
        "sys.setprofile(interrupt)\n"
        "main()\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "interrupted\n")


# --- closed pipes


@pytest.mark.parametrize(
    "arguments",
    [
        ("query", DIGIT),
        ("query", DIGIT, "--json"),
        ("evaluate",),
        ("evaluate", "--json"),
        ("info",),
        ("info", "--json"),
        ("similarity", DIGIT, DIGIT, "--json"),
        ("doctor",),
        ("--version",),
    ],
    ids=lambda arguments: " ".join(map(str, arguments)).replace(str(DIGIT), "IMAGE"),
)
def test_a_closed_pipe_ends_quietly(arguments: tuple[object, ...], tmp_path: Path) -> None:
    """The reader is gone before the first line: the case in which even short output cannot be delivered."""
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "wb") as stdout:
        done = subprocess.run(
            [sys.executable, "-m", "simsearch", *map(str, arguments)],
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            env={**os.environ, "SIMSEARCH_INDEX": str(SHIPPED_INDEX), "SIMSEARCH_DATA_DIR": str(tmp_path)},
            check=False,
            timeout=PATIENCE_S,
        )
    assert done.returncode == (1 if arguments == ("--version",) else 141)  # Typer answers this one itself
    assert done.stderr.replace(f"{DIGIT}: dark ink on a light background: inverted\n", "") == ""


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no such device here")
@pytest.mark.parametrize("arguments", [("info",), ("info", "--json")])
def test_output_to_a_full_disk_is_one_line(arguments: tuple[str, ...]) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "simsearch", *arguments, "--index", str(SHIPPED_INDEX)],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            cwd=ROOT,
            check=False,
        )
    expected = "error: cannot write the output: no space left on device\n"
    assert (done.returncode, done.stderr) == (2, expected)


def test_closed_streams_are_empty_ones() -> None:
    """As `<&-` and `>&-` close them."""
    run = f"{sys.executable} -m simsearch"
    commands = (f"{run} query - --index {SHIPPED_INDEX} <&-", f"{run} info --index {SHIPPED_INDEX} >&-")
    results = [
        subprocess.run(["sh", "-c", one], capture_output=True, text=True, cwd=ROOT, check=False)
        for one in commands
    ]
    assert (results[0].returncode, results[1].returncode) == (2, 0)
    assert results[0].stderr.startswith("error: nothing came on standard input\n")
    assert results[1].stderr == ""


# --- encodings of other systems


@pytest.mark.parametrize("encoding", ["utf-8", "cp1252", "ascii", "ascii:surrogateescape"])
def test_results_are_printed_whatever_the_encoding_of_stdout(encoding: str, tmp_path: Path) -> None:
    import json

    picture = tmp_path / "žluťoučký.png"
    picture.write_bytes(DIGIT.read_bytes())
    command = [sys.executable, "-m", "simsearch", "query", str(picture), "-k", "1", "--index", SHIPPED_INDEX]
    environment = {**os.environ, "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    for option in ((), ("--json",)):
        done = subprocess.run([*command, *option], capture_output=True, env=environment, check=True, cwd=ROOT)
        text = done.stdout.decode(encoding.split(":")[0])
        if option:
            assert json.loads(text)["queries"][0]["query"] == str(picture)
        else:
            assert "mnist/test/" in text


POOL = "from concurrent.futures import ThreadPoolExecutor"
ENDS = """
import atexit, sys, threading, time
from simsearch.cli.signals import end_at_once
class Taken:
    def __del__(self): print("taken apart")
kept = Taken()
atexit.register(lambda: print("registered"))
sys.stdout.write("output, ")
{before}
try:
    end_at_once(SystemExit({code}))
finally:
    print("not at once")
"""


@pytest.mark.parametrize(
    ("before", "code"),
    [
        *(("", code) for code in ("None", "0", "2", "143")),
        ("threading.Thread(target=threading.Event().wait).start()", "143"),
        (f"{POOL}; ThreadPoolExecutor().submit(threading.Event().wait)", "130"),
    ],
)
def test_a_process_that_ends_at_once_writes_all_does_what_is_registered_and_keeps_its_code(
    before: str, code: str
) -> None:
    """After a signal not even threads that never end are waited for."""
    program = ENDS.format(before=before, code=code)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT)
    assert (done.stdout, done.stderr) == ("output, registered\n", "")
    assert done.returncode == (0 if code == "None" else int(code))


@pytest.mark.parametrize(
    ("before", "code"),
    [
        ("threading.Thread(target=time.sleep, args=(0.3,)).start()", "0"),
        ("", "'in words'"),
    ],
    ids=["other threads", "a code in words"],
)
def test_a_process_that_has_more_to_do_ends_as_python_ends_it(before: str, code: str) -> None:
    program = ENDS.format(before=before, code=code)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, cwd=ROOT)
    assert "taken apart" in done.stdout


@pytest.mark.parametrize("where", ["callback", "__del__"])
@pytest.mark.parametrize(
    ("number", "raised"),
    [(signal.SIGINT, "KeyboardInterrupt"), (signal.SIGTERM, "Terminated"), (signal.SIGHUP, "HungUp")],
)
def test_a_signal_where_python_drops_what_is_raised_ends_the_program_nonetheless(where, number, raised):
    command = [sys.executable, "-c", DROPPING, where, str(int(number))]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=PATIENCE_S)
    assert (done.stdout, done.stderr) == (f"{raised}\n", "")


def test_what_else_python_drops_is_shown_as_ever():
    code = DROPPING.replace("os.kill(os.getpid(), number)", "print(1 / 0)").replace("sleep(60)", "sleep(0)")
    command = [sys.executable, "-c", code, "callback", "0"]
    done = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, timeout=PATIENCE_S)
    assert "ZeroDivisionError" in done.stderr
    assert done.returncode == 0
