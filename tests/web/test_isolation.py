"""What a stranger's picture does to the process that decodes it, it does to that process alone."""

from __future__ import annotations

import asyncio
import io
import multiprocessing
import os
import pickle
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from functools import partial
from pathlib import Path

import httpx
import pytest
from conftest import ROOT, SHIPPED_INDEX
from PIL import Image
from servers import PATIENCE_S, Served, running
from toys import quadrant_image

from simsearch.errors import BadImageError
from simsearch.prepare.inputs import ImageInput
from simsearch.prepare.pictures import prepare_picture
from simsearch.prepare.prepare import PreparedImage, Preprocess, png_bytes, prepare_image
from simsearch.web.isolation import Helper
from simsearch.web.settings import Settings

DIGIT = (ROOT / "docs" / "digit.png").read_bytes()
PNG = {"Content-Type": "image/png"}
UNREADABLE = "cannot decode the picture: not a picture, or damaged"
TOO_LONG = "the picture takes too long to decode"
ENDED = "the picture cannot be decoded: the attempt ended the decoder"


@pytest.fixture
def helper() -> Iterator[Helper]:
    helper = Helper(1.0)
    yield helper
    helper.close()


def test_a_picture_is_prepared_as_it_would_be_here(helper: Helper) -> None:
    picture = png_bytes(quadrant_image(90, 20, 0, 0))
    for preprocess in Preprocess:
        here = prepare_image(DIGIT, preprocess=preprocess)
        there = helper.call(partial(prepare_image, DIGIT, preprocess=preprocess))
        assert isinstance(there, PreparedImage)
        assert (there.pixels == here.pixels).all()
        assert there.notes == here.notes
    plain = helper.call(partial(prepare_image, picture, preprocess=Preprocess.NONE))
    assert isinstance(plain, PreparedImage)
    assert plain.pixels[0, [0, 27]].tolist() == [90, 20]


def test_what_is_wrong_with_a_picture_comes_back_in_words(helper: Helper) -> None:
    wrong = helper.call(partial(prepare_image, b"junk"))
    assert isinstance(wrong, BadImageError)
    with pytest.raises(BadImageError) as here:
        prepare_image(b"junk")
    assert (wrong.message, wrong.hint) == (here.value.message, here.value.hint)
    assert wrong.message == UNREADABLE


@pytest.mark.skipif(os.name != "posix", reason="asyncio's loops of Windows do not read pipes")
def test_an_event_loop_has_the_same_answers(helper: Helper) -> None:
    def asked(work: Callable[[], object]) -> PreparedImage | BadImageError:
        helper.start()
        return asyncio.run(helper.call_from_loop(work))  # type: ignore[arg-type]

    photo = ImageInput("photo", 1, 512, 512, 3, (0, 0, 0), (1, 1, 1))  # as large as no pipe holds at once
    for work in (partial(prepare_image, DIGIT), partial(prepare_picture, DIGIT, photo)):
        found = asked(work)
        assert isinstance(found, PreparedImage)
        assert (found.pixels == work().pixels).all()
    ends = {partial(os._exit, 3): ENDED, partial(sum, range(10**12)): TOO_LONG}
    for work, message in {partial(prepare_image, b"junk"): UNREADABLE, **ends}.items():
        refused = asked(work)
        assert isinstance(refused, BadImageError)
        assert refused.message == message
    with pytest.raises(RuntimeError, match="ZeroDivisionError: integer"):
        asked(partial(divmod, 1, 0))


@pytest.mark.skipif(os.name != "posix", reason="asyncio's loops of Windows do not read pipes")
def test_an_event_loop_waits_for_no_process_that_was_taken_over(helper: Helper) -> None:
    """One that reads nothing more, or sends nonsense, or a part of a message."""

    async def call(sent: bytes) -> BadImageError:
        here, there = multiprocessing.Pipe()
        assert helper._connection is not None
        helper._connection.close()
        helper._connection = here
        os.write(there.fileno(), sent)
        there.close()
        refused = await helper.call_from_loop(partial(prepare_image, DIGIT))
        assert isinstance(refused, BadImageError)
        return refused

    for sent in (b"", b"ab", struct.pack("!i", 100) + bytes(4), struct.pack("!i", 64) + bytes(64)):
        helper.start()
        assert asyncio.run(call(sent)).message == ENDED
    assert_works(helper)


def assert_works(helper: Helper) -> None:
    assert isinstance(helper.call(partial(prepare_image, DIGIT)), PreparedImage)


def test_a_mistake_in_the_work_is_raised_here(helper: Helper) -> None:
    with pytest.raises(RuntimeError, match="ZeroDivisionError: integer"):
        helper.call(partial(divmod, 1, 0))  # type: ignore[arg-type]
    assert_works(helper)


def test_what_is_no_result_is_not_looked_into(helper: Helper) -> None:
    """A decoder that was taken over sends what it likes: it is ended, and nothing of it is run."""
    for sent in (b"", pickle.dumps(PreparedImage(quadrant_image(1, 2, 3, 4))), bytes(64)):
        helper.start()
        assert helper._connection is not None
        here, there = multiprocessing.Pipe()
        there.send_bytes(sent)
        helper._connection.close()
        helper._connection = here
        refused = helper.call(partial(prepare_image, DIGIT))
        assert isinstance(refused, BadImageError)
        assert refused.message == ENDED
    assert_works(helper)


def test_what_takes_too_long_is_ended_and_the_next_is_done(helper: Helper) -> None:
    helper.start()
    started = time.monotonic()
    late = helper.call(partial(sum, range(10**12)))  # type: ignore[arg-type]
    assert isinstance(late, BadImageError)
    assert late.message == TOO_LONG
    assert time.monotonic() - started < PATIENCE_S
    assert_works(helper)


def test_what_only_waits_is_ended_too() -> None:
    with closing(Helper(0.05)) as helper:
        helper.start()
        late = helper.call(partial(time.sleep, 60))  # type: ignore[arg-type]
        assert isinstance(late, BadImageError)
        assert late.message == TOO_LONG


def test_what_nobody_waits_for_any_more_is_ended(helper: Helper) -> None:
    helper.start()
    started = time.monotonic()
    unwanted = helper.call(partial(time.sleep, 3 * PATIENCE_S), lambda: False)  # type: ignore[arg-type]
    assert isinstance(unwanted, BadImageError)
    assert time.monotonic() - started < PATIENCE_S
    assert_works(helper)


def test_what_ends_its_process_is_refused_and_the_next_is_done(helper: Helper) -> None:
    for end in (partial(os._exit, 3), os.abort):
        crashed = helper.call(end)
        assert isinstance(crashed, BadImageError)
        assert crashed.message == ENDED
    assert_works(helper)


def test_nothing_is_left_of_a_helper_that_is_closed(helper: Helper) -> None:
    helper.start()
    assert helper._process is not None
    pid = helper._process.pid
    assert pid is not None
    helper.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def endless_jpeg(scans: int) -> bytes:
    """A progressive JPEG with many scans that add nothing: small, and long to decode."""
    buffer = io.BytesIO()
    Image.new("L", (2_000, 2_000), 128).save(buffer, "JPEG", progressive=True)
    data = buffer.getvalue()
    last = data.rindex(b"\xff\xda")
    return data[:last] + data[last:-2] * scans + data[-2:]


def test_pictures_that_take_minutes_hold_up_nobody() -> None:
    """Whether they are refused before they are decoded or ended amid it: both workers are free again soon."""
    bomb, settings = endless_jpeg(1_500), Settings(workers=2, decode_timeout=1)
    assert len(bomb) < 2 * 2**20
    with (
        running({"mnist-test": SHIPPED_INDEX}, settings) as url,
        httpx.Client(base_url=url) as client,
        ThreadPoolExecutor(2) as pool,
    ):
        assert client.post("/api/search", content=DIGIT, headers=PNG).status_code == 200
        started = time.monotonic()
        bombs = pool.map(lambda _: client.post("/api/search", content=bomb, headers=PNG), range(2))
        assert client.get("/healthz").status_code == 200
        assert client.post("/api/search", content=DIGIT, headers=PNG).status_code == 200
        assert [answer.status_code for answer in bombs] == [422, 422]
        assert time.monotonic() - started < 60  # undisturbed they would take minutes each


def test_a_picture_that_takes_too_long_is_refused_in_words() -> None:
    settings = Settings(workers=1, decode_timeout=1e-4)
    with running({"mnist-test": SHIPPED_INDEX}, settings) as url, httpx.Client(base_url=url) as client:
        late = client.post("/api/search", content=DIGIT, headers=PNG)
        assert (late.status_code, late.json()["detail"]) == (422, TOO_LONG)
        assert client.get("/api/items/1/neighbors").status_code == 200


@pytest.mark.signals
@pytest.mark.skipif(sys.platform != "linux", reason="it reads /proc")
def test_decoders_that_are_killed_are_replaced_and_none_outlives_the_server() -> None:
    with Served("--index", SHIPPED_INDEX, "--threads", "1") as served, httpx.Client() as client:
        for _ in range(3):
            answer = client.post(f"{served.url}/api/search", content=DIGIT, headers=PNG)
            assert answer.status_code == 200
            decoders = [pid for pid in served.helpers() if b"spawn_main" in command_of(pid)]
            assert len(decoders) == 1
            os.kill(decoders[0], signal.SIGKILL)
            lost = client.post(f"{served.url}/api/search", content=DIGIT, headers=PNG)
            assert lost.status_code in (200, 422)
        helpers = served.helpers()
        assert helpers
        served.process.kill()
        served.process.wait()
        deadline = time.monotonic() + PATIENCE_S
        while any(command_of(pid) for pid in helpers):
            assert time.monotonic() < deadline
            time.sleep(0.05)


def command_of(pid: int) -> bytes:
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


@pytest.mark.signals
def test_ctrl_c_in_a_terminal_does_not_reach_the_decoders() -> None:
    code = (
        "import os, signal, time\n"
        "from functools import partial\n"
        "from simsearch.prepare.prepare import prepare_image\n"
        "from simsearch.web.isolation import Helper\n"
        "if __name__ == '__main__':\n"
        "    helper = Helper(20)\n"
        "    helper.start()\n"
        "    signal.signal(signal.SIGINT, signal.SIG_IGN)\n"
        "    os.killpg(0, signal.SIGINT)\n"
        "    print(helper.call(partial(prepare_image, b'junk')).message)\n"
        "    helper.close()\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        start_new_session=True,
        timeout=PATIENCE_S,
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{UNREADABLE}\n", "")
