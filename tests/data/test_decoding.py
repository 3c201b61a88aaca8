"""Many files decoded in this process and in others: the same pixels, in the same order."""

import os
import pickle
import signal
import struct
import subprocess
import sys
import threading
import time
from collections.abc import Iterable
from contextlib import closing
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
from strokes import draw, stroke

from simsearch.data import decoding
from simsearch.data.decoding import PIXELS, Decoders, decode_chunks, decode_files, while_released
from simsearch.data.folders import prepared_pixels
from simsearch.files import hold_signals
from simsearch.prepare.inputs import ImageInput, Picture
from simsearch.prepare.pictures import prepare_picture
from simsearch.prepare.prepare import prepare_image


@pytest.fixture
def files(tmp_path: Path) -> list[Path]:
    """Ten pictures, the fourth of them broken."""
    for number in range(10):
        draw(tmp_path / f"{number}.png", 12 + number)
    (tmp_path / "3.png").write_bytes(b"not a picture")
    return [tmp_path / f"{number}.png" for number in range(10)]


def digit(file: Path) -> Picture:
    """A decoder without faults."""
    return prepare_image(file).pixels


def fatal(file: Path) -> Picture:
    """A decoder with a fault: it takes the process along."""
    if file.name in ("2.png", "8.png"):
        os._exit(9)
    return digit(file)


def talkative(file: Path) -> Picture:
    """A decoder that prints, as some C libraries do."""
    os.write(1, b"a remark\n")
    return digit(file)


def taken_over(file: Path) -> Picture:
    """A decoder that two pictures take over: it answers for itself, with what runs when it is unpickled."""
    sent = pickle.dumps(Runs())
    if file.name == "2.png":
        os.write(answers(), sent)
    if file.name == "8.png":
        os.write(answers(), struct.pack("<I", len(sent)) + sent)
    return digit(file)


class Runs:
    """What makes a file when it is unpickled."""

    def __reduce__(self) -> tuple[object, ...]:
        return (Path.touch, (Path("taken-over"),))


def answers() -> int:
    """The descriptor on which a decoding process answers: the last of its pipes."""
    return max(int(file.name) for file in Path("/proc/self/fd").iterdir() if file.is_fifo())


def assert_these(found: list[Picture | str], but: dict[int, str]) -> None:
    for number, pixels in enumerate(found):
        if isinstance(pixels, str):
            assert pixels == but.pop(number)
        else:
            assert np.array_equal(pixels, digit_of(number))
    assert but == {}


def digit_of(number: int) -> Picture:
    return prepare_image(stroke(12 + number)).pixels


def flat(chunks: Iterable[list[Picture | str]]) -> list[Picture | str]:
    return list(chain.from_iterable(chunks))


def stated(file: Path) -> Picture:
    """A decoder that looks at the file itself first."""
    file.stat()
    return digit(file)


DIED = "decoding it ended the process"
BROKEN = {3: "cannot decode it: not a picture, or damaged"}


@pytest.mark.parametrize("chunk", [1, 3, 100])
def test_processes_give_pixels_and_reasons_in_order(files: list[Path], chunk: int) -> None:
    with Decoders(talkative, 2) as decoders:
        found = flat(decoders.decode(files, chunk))
        assert list(decoders.decode([], chunk)) == []
    assert len(found) == 10
    assert_these(found, dict(BROKEN))


def test_what_an_input_takes_reaches_the_processes(files: list[Path]) -> None:
    colored = ImageInput("photo", 1, 32, 24, 3, (0.5,) * 3, (0.5,) * 3)
    with Decoders(partial(prepared_pixels, colored), 1) as decoders:
        found = [pixels for pixels in flat(decoders.decode(files, 4)) if not isinstance(pixels, str)]
    expected = [prepare_picture(file, colored).pixels for file in files if file.name != "3.png"]
    assert np.array_equal(found, expected)
    assert found[0].shape == (24, 32, 3)


def test_a_file_on_which_a_process_dies_is_named_and_the_others_are_decoded(files: list[Path]) -> None:
    with Decoders(fatal, 2) as decoders:
        assert_these(flat(decoders.decode(files, 5)), {2: DIED, 8: DIED, **BROKEN})


@pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc")
def test_what_a_process_sends_is_never_run(
    files: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with Decoders(taken_over, 1) as decoders:
        found = flat(decoders.decode(files, 5))
    assert_these(found, {2: DIED, 8: DIED, **BROKEN})
    assert not (tmp_path / "taken-over").exists()


def test_no_process_is_left_when_the_reader_stops_early(files: list[Path]) -> None:
    with Decoders(digit, 2) as decoders:
        answers = decoders.decode(files, 1)
        next(answers)
        processes = list(decoders._all)
    assert all(process.returncode is not None for process in processes)


def test_a_process_ends_when_its_input_does(tmp_path: Path) -> None:
    """Nothing is left behind by a parent that was killed: the system closes its pipes."""
    command = [sys.executable, "-c", decoding._COMMAND]
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, cwd=tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"", b"")


def test_a_python_that_cannot_start_is_said(files: list[Path], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "_COMMAND", "raise SystemExit")
    with Decoders(digit, 1) as decoders, pytest.raises(RuntimeError, match="cannot decode pictures"):
        flat(decoders.decode(files, 5))


@pytest.mark.parametrize("processes", [1, 2])
def test_little_work_starts_no_process_and_much_starts_as_many_as_wanted(
    files: list[Path], processes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    started: list[int] = []
    before = threading.active_count()
    monkeypatch.setattr(
        decoding,
        "Decoders",
        lambda prepare, count, *more: started.append(count) or Decoders(prepare, count, *more),
    )
    assert_these(list(decode_files(files, digit, processes=processes)), dict(BROKEN))
    assert started == []
    monkeypatch.setattr(decoding, "_WORTH", 0.0)
    monkeypatch.setattr(decoding, "_FIRST", 2)
    assert_these(list(decode_files(files, digit, processes=processes)), dict(BROKEN))
    assert started == [2] * (processes - 1)
    assert threading.active_count() == before


def test_a_file_that_is_gone_is_said_in_words(tmp_path: Path) -> None:
    why = "cannot read it: no such file or directory"
    for prepare in (digit, stated):
        assert list(decode_files([tmp_path / "1.png"], prepare)) == [why]


def test_no_files_are_no_work() -> None:
    assert list(decode_files([], digit)) == []


def signalled(file: Path) -> Picture:
    """A decoder to which a signal comes, and which goes on for long."""
    if file.name == "4.png":
        os.kill(os.getppid() if os.environ.get("IN_A_PROCESS") else os.getpid(), signal.SIGTERM)
        time.sleep(600)
    return digit(file)


@pytest.mark.signals
@pytest.mark.parametrize(("where", "processes"), [("here", 1), ("in a process", 2)])
def test_a_held_signal_raises_amid_a_picture(
    files: list[Path], where: str, processes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not when it is decoded, nor when all of its chunk are."""

    def raises(*_: object) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, raises)
    if where == "in a process":
        monkeypatch.setenv("IN_A_PROCESS", "1")
        monkeypatch.setattr(decoding, "_FIRST", 1)
        monkeypatch.setattr(decoding, "_WORTH", 0.0)
    try:
        found, started = [], time.monotonic()
        with (
            pytest.raises(KeyboardInterrupt),
            hold_signals() as signals,
            closing(decode_chunks(files, signalled, processes=processes, codec=PIXELS)) as decoded,
        ):
            found.extend(flat(while_released(decoded, signals.released)))
        assert time.monotonic() - started < 500  # the decoder would have gone on for longer
        assert len(found) <= 4
    finally:
        signal.signal(signal.SIGTERM, before)
