"""What each lever of the default recipe is worth: one short run with it, one without.

Every row is the default recipe over a short schedule with one thing changed, one seed, measured on images
held out of the training split alone: MAP@R and P@1 of the held-out images among themselves, P@1 of them and
of their distorted twins against the kept ones, and the CPU time of training. Prints a table in Markdown.

    python tests/benchmarks/ablation.py --epochs 8
    python tests/benchmarks/ablation.py --epochs 20 --only default averaged elastic
"""

from __future__ import annotations

import argparse
import platform
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path

from results import LIBRARIES, p_at_1

from simsearch.data.datasets import load_named
from simsearch.encode.model_folder import open_model
from simsearch.evaluate.evaluation import evaluate
from simsearch.index.build import build_index
from simsearch.index.bundle import open_bundle
from simsearch.train.recipes import DEFAULT_RECIPE, configure
from simsearch.train.run import train

NO_PEN = ("thickness=0", "blur=0", "perspective=0")
NO_POSITION = ("rotation=0", "scale=0", "shear=0", "shift=0")
ROWS = {
    "the default recipe": (),
    "random pairs instead of all pairs of a batch": ("pairing=sampled", "pairs_per_epoch=27392"),
    "Adam and a plateau schedule instead of AdamW and one cycle": (
        "optimizer=adam",
        "weight_decay=1e-5",
        "schedule=plateau",
    ),
    "without averaged weights": ("average=0",),
    "without any distortion": ("elastic=0", *NO_PEN, *NO_POSITION),
    "without elastic distortion": ("elastic=0",),
    "without thickness, blur and perspective": NO_PEN,
    "with faults of preparation in a quarter of the images": ("remains=0.25",),
    "float32 instead of bfloat16": ("precision=float32",),
}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--epochs", type=int, default=8)
    parser.add_argument("--average", type=float, default=0.998, help="of weights, shorter like the schedule")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--only", nargs="+", default=[""], metavar="WORD", help="rows with one of these words"
    )
    arguments = parser.parse_args()
    print(f"{platform.platform()}, Python {platform.python_version()}")
    print(", ".join(f"{name} {metadata.version(name)}" for name in LIBRARIES))
    splits = {part: load_named(f"mnist:{part}") for part in ("train", "held-out", "kept", "distorted")}
    print(f"\n| {arguments.epochs} epochs, seed {arguments.seed} | held-out MAP@R | held-out P@1", end="")
    print(" | P@1 against kept | distorted P@1 against kept | CPU s |\n|---|---|---|---|---|---|", flush=True)
    for name, settings in ROWS.items():
        if not any(word in name for word in arguments.only):
            continue
        short = (f"epochs={arguments.epochs}", f"average={arguments.average}")
        recipe = configure(DEFAULT_RECIPE, (*short, *settings))
        with tempfile.TemporaryDirectory() as work:
            folder = Path(work)
            started = time.process_time()
            train(
                recipe,
                splits["train"],
                folder / "run",
                seed=arguments.seed,
                threads=1,
                on_epoch=lambda record, _, name=name: print(f"{name}: {record}", file=sys.stderr, flush=True),
            )
            seconds = time.process_time() - started
            model = open_model(folder / "run")
            for part in ("held-out", "kept"):
                build_index(splits[part], model, folder / part)
            alone = evaluate(open_bundle(folder / "held-out")).figures
            kept = open_bundle(folder / "kept")
            values = (alone["MAP@R"].value, alone["P@1"].value)
            values += tuple(p_at_1(kept, splits[part]) for part in ("held-out", "distorted"))
        print(f"| {name} | {' | '.join(f'{value:.4f}' for value in values)} | {seconds:.0f} |", flush=True)


if __name__ == "__main__":
    main()
