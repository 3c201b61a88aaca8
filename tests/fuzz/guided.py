"""Fuzzing guided by coverage, with Atheris: an input that reaches new lines is kept and changed further.

    python -m venv guided && guided/bin/pip install atheris
    PYTHONPATH=$(python -c 'import site; print(site.getsitepackages()[0])') \\
        guided/bin/python tests/fuzz/guided.py picture --minutes 10

`guided` must be of the same version of Python as the environment that has the tests' requirements. What is
found along the way lies in the folder that it names; `--keep` takes into `tests/fuzz/corpus/` the smallest
set of inputs that reaches as many lines. `tests/test_corpus.py` replays that one.
"""

from __future__ import annotations

import argparse
import hashlib
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path[:0] = [str(ROOT / "tests"), str(ROOT)]
MOST_BYTES = 4_096  # of an input: small ones are changed faster, and kept
LIMIT_S, LIMIT_MB = 10, 1_500  # of one input, instrumented; the replay and `run.py` hold to stricter ones
KEPT_MB = 6_000  # of the whole run: what is instrumented keeps .2 MB a picture; what is not keeps none
NAMES = ("manifest", "onnx", "faiss", "picture")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("target", choices=NAMES)
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", action="store_true", help="add what reaches more to the corpus")
    parser.add_argument("--libfuzzer", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.libfuzzer is None:
        _drive(arguments)
    else:
        _fuzz(arguments.target, arguments.libfuzzer)


def _drive(arguments: argparse.Namespace) -> None:
    """Start the run in a process that ends with it, then take what it found."""
    from fuzz.targets import CORPUS, seeds

    kept = CORPUS / arguments.target
    kept.mkdir(exist_ok=True, parents=True)
    found = Path(tempfile.mkdtemp(prefix=f"guided-{arguments.target}-"))
    for name, data in seeds(arguments.target).items():
        (found / f"seed-{name}").write_bytes(data)
    print(found, flush=True)
    command = [sys.executable, __file__, arguments.target, "--libfuzzer"]
    limits = [f"-max_len={MOST_BYTES}", f"-timeout={LIMIT_S}", f"-malloc_limit_mb={LIMIT_MB}"]
    limits.append(f"-rss_limit_mb={KEPT_MB}")
    seconds = int(60 * arguments.minutes)
    options = [f"-max_total_time={seconds}", f"-seed={arguments.seed}", f"-artifact_prefix={found}/found-"]
    done = subprocess.run([*command, *limits, *options, str(found), str(kept)])
    if arguments.keep:
        keep(arguments.target, found)
    sys.exit(done.returncode)


def keep(target: str, found: Path) -> None:
    """Take into the corpus what reaches lines that nothing smaller does, and leave out what no longer does.

    libFuzzer's own merge starts itself again as a program, which a script of Python is not.
    """
    from fuzz.targets import CORPUS, TARGETS

    kept, covered = CORPUS / target, set[tuple[str, int]]()
    inputs = [path.read_bytes() for folder in (kept, found) for path in folder.iterdir()]
    for path in kept.iterdir():
        path.unlink()
    for data in sorted({data for data in inputs if len(data) <= MOST_BYTES}, key=len):
        if new := _reached(TARGETS[target], data) - covered:
            covered |= new
            (kept / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)
    print(f"{len(list(kept.iterdir()))} inputs reach {len(covered):,} lines")


def _reached(call: Callable[[bytes], object], data: bytes) -> set[tuple[str, int]]:
    """The lines of simsearch and Pillow that an input runs."""
    lines: set[tuple[str, int]] = set()

    def trace(frame: FrameType, event: str, _: object) -> Callable[..., Any] | None:
        name = frame.f_code.co_filename
        if "simsearch" not in name and "PIL" not in name:
            return None
        if event == "line":
            lines.add((name, frame.f_lineno))
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        call(data)
    finally:
        sys.settrace(before)
    return lines


def _fuzz(target: str, options: list[str]) -> None:
    import atheris

    with atheris.instrument_imports(include=["simsearch", "PIL"]):
        from fuzz.targets import TARGETS

    call = TARGETS[target]

    def run(data: bytes) -> None:
        call(data)

    atheris.Setup([sys.argv[0], *options], run)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
