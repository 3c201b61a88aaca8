"""The long run of the crash tests: kills at random moments, for as long as you like.

    python tests/fuzz/crash.py --minutes 10 --seed 1

It prints its seed, and each job with how many runs were killed or refused. At the first folder that is
broken it stops, keeps the folder and says how to repeat the run.
"""

from __future__ import annotations

import argparse
import random
import shutil
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from faults import GALLERY, OTHER, Faults
from toys import toy_encoder

from simsearch.encode.model_folder import BEST_CHECKPOINT, ENCODER, FileRecord, Model, ModelCard
from simsearch.encode.onnx import OnnxEncoder
from simsearch.index.build import build_index
from simsearch.index.bundle import open_bundle
from simsearch.prepare.prepare import PREPROCESSING_VERSION
from simsearch.stats.calibration import PlattScaling

KILLED = -9
STEPS = {"build": 90, "train": 75}  # a little more than each has, so that some runs end


def toy_model() -> Model:
    encoder = toy_encoder()
    card = ModelCard(
        name="toy",
        created="2026-01-01T00:00:00+00:00",
        dim=4,
        parameters=0,
        preprocessing=PREPROCESSING_VERSION,
        projection=PlattScaling(10.0, -5.0),
        files={ENCODER: FileRecord.of(encoder), BEST_CHECKPOINT: FileRecord.of(b"none")},
        training={},
    )
    return Model(OnnxEncoder(encoder, threads=1), card)


class Run:
    """What the jobs share: the process that forks, a generator, folders, counts."""

    def __init__(self, seed: int, work: Path) -> None:
        self.rng, self.work, self.counts, self.faults = random.Random(seed), work, Counter(), Faults()
        self.model, self.parts = toy_model(), work / "parts"
        self.parts.mkdir()
        (self.parts / "onnx").write_bytes(self.model.encoder.model)
        (self.parts / "card").write_bytes(self.model.card.to_json())
        build_index(GALLERY, self.model, work / "index")
        assert self.faults.do("train", work / "whole") == (0, "")

    def build(self) -> None:
        """Killed or short of space, again and again, without a good build in between."""
        folder = self.work / "index"
        fault = self.rng.choice(("kill", "limit"))
        most = STEPS["build"] if fault == "kill" else 3_000
        split = self.rng.choice((GALLERY, OTHER)).name
        before = open_bundle(folder, threads=1).manifest.dataset
        code, said = self.faults.do(
            "build", folder, split=split, parts=str(self.parts), **{fault: self.rng.randrange(most)}
        )
        self.counts[f"build {fault} {code}"] += 1
        assert code in (KILLED, 0) or said.startswith("BadInputError"), said
        assert self.faults.do("read_rounds", folder, rounds=1) == (0, "")
        assert open_bundle(folder, threads=1).manifest.dataset in (before, split)
        if code == 0:
            named = {entry.name for entry in open_bundle(folder, threads=1).manifest.all_files}
            assert {path.name for path in folder.iterdir()} == named | {"manifest.json", ".lock"}

    def train(self) -> None:
        """Killed up to three times before it is left to finish."""
        folder, whole = self.work / "run", self.work / "whole"
        shutil.rmtree(folder, ignore_errors=True)
        for _ in range(self.rng.randrange(1, 4)):
            resume = (folder / "last.pt").exists()
            code, said = self.faults.do(
                "train", folder, resume=resume, kill=self.rng.randrange(STEPS["train"])
            )
            self.counts[f"train kill {code}"] += 1
            assert code in (KILLED, 0), said
            if code == 0:
                break
        else:
            assert self.faults.do("train", folder, resume=(folder / "last.pt").exists()) == (0, "")
        for name in ("best_model.pt", "encoder.onnx"):
            assert (folder / name).read_bytes() == (whole / name).read_bytes(), name
        assert not list(folder.glob(".tmp-*"))

    def crowd(self) -> None:
        """Two writers and four readers at once."""
        folder = str(self.work / "index")
        writer = {"job": "write_rounds", "folder": folder, "rounds": 20, "parts": str(self.parts)}
        reader = {"job": "read_rounds", "folder": folder, "rounds": 60}
        jobs = [writer, writer, reader, reader, reader, reader]
        found = self.faults.do_together(jobs)
        self.counts["verified reads beside two writers"] += 4 * 60
        assert found == [(0, "")] * 6, found


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=1.0)
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    arguments = parser.parse_args()
    work = Path(tempfile.mkdtemp(prefix="simsearch-crash-"))
    print(f"seed {arguments.seed}", flush=True)
    run, end = Run(arguments.seed, work), time.monotonic() + 60 * arguments.minutes
    jobs: list[Callable[[], None]] = [run.build] * 6 + [run.train] * 3 + [run.crowd]
    try:
        while time.monotonic() < end:
            run.rng.choice(jobs)()
    except BaseException:
        print(f"broken in {work}; repeat with --seed {arguments.seed}; so far {dict(run.counts)}")
        raise
    finally:
        run.faults.close()
    for what, count in sorted(run.counts.items()):
        print(f"{count:6,}  {what}")
    print("every outcome was the old state or the new one, and no litter stayed")
    shutil.rmtree(work)
    return 0


if __name__ == "__main__":
    sys.exit(main())
