"""How long a cold command takes, as a ratio to what it cannot do without: whole processes, in turn.

Three pairs, each of two processes that are started in turn, so that the machine's mood is in both:

- a query of `docs/digit.png`, against importing the libraries that answers are made with and nothing more;
- the same answer by torch, torchvision and FAISS (the network's weights, the same 28x28 pixels, the ten
  nearest), against that query;
- `--help`, against importing Typer and Rich.

Times are the system's own of each finished process; ratios are medians of pairs. Python's compiled files are
used, as they are where simsearch is installed. `--than FOLDER` adds the query of another checkout, `--index
FOLDER` that of another index.

    python tests/benchmarks/start.py --rounds 15
"""

from __future__ import annotations

import argparse
import os
import platform
import statistics
import subprocess
import sys
from collections.abc import Sequence
from importlib import metadata
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
DIGIT = ROOT / "docs" / "digit.png"
CHECKPOINT = ROOT / "simsearch" / "pretrained" / "best_model.pt"
INDEX = ROOT / "indexes" / "mnist-test"
LIBRARIES = (
    "numpy",
    "faiss-cpu",
    "onnxruntime",
    "pillow",
    "typer",
    "rich",
    "msgspec",
    "torch",
    "torchvision",
)

IMPORTS = "import numpy, faiss, onnxruntime, PIL.Image, typer, rich"
BY_TORCH = f"""
import faiss, json, torch
from PIL import Image, ImageOps
from torchvision.transforms.functional import normalize, to_tensor
from simsearch.train.model import SimilarityModel
folder = {str(INDEX)!r}
files = json.load(open(folder + "/manifest.json"))["files"]
model = SimilarityModel()
model.load_state_dict(torch.load({str(CHECKPOINT)!r}, weights_only=True))
network = model.embedding.eval()
drawing = ImageOps.invert(Image.open({str(DIGIT)!r}).convert("L"))
digit = drawing.crop(drawing.point(lambda level: 255 * (level > 60)).getbbox())
digit.thumbnail((20, 20), Image.Resampling.BOX)
canvas = Image.new("L", (28, 28))
canvas.paste(digit, ((28 - digit.width) // 2, (28 - digit.height) // 2))
with torch.inference_mode():
    vector = network(normalize(to_tensor(canvas), [0.1307], [0.3081])[None]).numpy()
scores, rows = faiss.read_index(folder + "/" + files["index"]["name"]).search(vector, 10)
for row, score in zip(rows[0], scores[0]):
    print(row, score)
"""


# A small process that starts the command: Linux counts the memory of the one that starts it as its own.
LAUNCH = """
import os, sys, time
started = time.perf_counter()
nothing = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
_, status, usage = os.wait4(os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ, file_actions=nothing), 0)
if status:
    sys.exit("it failed")
print(usage.ru_utime + usage.ru_stime, time.perf_counter() - started, usage.ru_maxrss / 1024)
"""


class Spent(NamedTuple):
    """What one process took."""

    cpu: float  # seconds, user and system
    wall: float
    peak: float  # MB


def run(command: Sequence[str], root: Path = ROOT) -> Spent:
    """Run a process to its end, its output thrown away."""
    inherited = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    done = subprocess.run(
        [sys.executable, "-S", "-c", LAUNCH, sys.executable, *command],
        cwd=root,
        env={**inherited, "PYTHONPATH": str(root)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
    )
    if done.returncode:
        raise SystemExit(f"{' '.join(command)[:80]} failed: {done.stderr.decode()[-500:]}")
    return Spent(*map(float, done.stdout.split()))


class Pair(NamedTuple):
    """Two processes whose times are compared."""

    name: str
    command: Sequence[str]
    other: str
    other_command: Sequence[str]
    other_root: Path
    aim: str

    def measure(self, rounds: int) -> None:
        """Run both in turn, and print medians and ratios."""
        run(self.command), run(self.other_command, self.other_root)  # files are in the cache, and compiled
        pairs = [(run(self.command), run(self.other_command, self.other_root)) for _ in range(rounds)]
        for name, spent in ((self.name, [a for a, _ in pairs]), (self.other, [b for _, b in pairs])):
            cpu, wall, peak = (statistics.median(column) for column in zip(*spent, strict=True))
            print(f"{name:50s} {1e3 * cpu:7.0f} ms CPU {1e3 * wall:7.0f} ms wall {peak:6.0f} MB")
        cpu = statistics.median(a.cpu / b.cpu for a, b in pairs)
        wall = statistics.median(a.wall / b.wall for a, b in pairs)
        print(f"{'':50s} {cpu:7.2f} x  CPU {wall:7.2f} x  wall   (aim: {self.aim})\n")


QUERY = ("-m", "simsearch", "query", str(DIGIT), "--index", str(INDEX))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--than", type=Path, help="the root of another checkout")
    parser.add_argument("--index", type=Path, help="the folder of another index")
    parser.add_argument("--no-torch", action="store_true", help="leave torch out")
    settings = parser.parse_args()
    print(f"{platform.platform()}, {os.cpu_count()} cores, Python {platform.python_version()}")
    print(", ".join(f"{name} {metadata.version(name)}" for name in LIBRARIES))
    print(f"medians of {settings.rounds} pairs\n")
    query = QUERY
    pairs = [
        Pair("simsearch query digit.png", query, IMPORTS, ("-c", IMPORTS), ROOT, "1.3"),
        Pair(
            "simsearch --help",
            ("-m", "simsearch", "--help"),
            "import typer, rich",
            ("-c", "import typer, rich"),
            ROOT,
            "1.5",
        ),
    ]
    if not settings.no_torch:
        by_torch = ("-c", BY_TORCH)
        pairs.append(Pair("the answer by torch", by_torch, "simsearch query digit.png", query, ROOT, "10"))
    if settings.than:
        name = f"query of {settings.than.name}"
        pairs.append(Pair("simsearch query digit.png", query, name, query, settings.than, "at most 1"))
    if settings.index:
        other = (*QUERY[:-1], str(settings.index.resolve()))
        name = f"query of {settings.index.name}"
        pairs.append(Pair(name, other, "simsearch query digit.png", query, ROOT, "none"))
    for pair in pairs:
        pair.measure(settings.rounds)


if __name__ == "__main__":
    main()
