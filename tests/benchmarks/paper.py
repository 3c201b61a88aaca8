"""Digits on paper, family by family: right, known but wrong, unknown, refused.

    python tests/benchmarks/paper.py --each 40
    python tests/benchmarks/paper.py --each 10 --ablation

Half of the digits are strokes, half the handwriting of MNIST's held-out training images. A picture counts as
right if the shipped index knows it and names its class; known and wrong is the failure that matters. Of the
pictures with nothing to know, none should be known.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1]))
from papers.blanks import BLANKS
from papers.brought import BROUGHT, BROUGHT_NOTHING
from papers.crossings import ALWAYS, CROSSED, OWN_STROKES
from papers.families import FAMILIES, NOTHING, Digit, Maker
from papers.fresh import FRESH, FRESH_NOTHING
from papers.later import LATER, LATER_NOTHING
from papers.more import MORE, MORE_NOTHING
from papers.unseen import UNSEEN, UNSEEN_NOTHING

from simsearch.data.datasets import Split, load_named
from simsearch.errors import BadImageError
from simsearch.prepare.paper.steps import ALL, Steps
from simsearch.prepare.prepare import PreparedImage, prepare_image
from simsearch.search.searcher import Searcher

_MOST = 2_000  # pictures of handwriting
OUTCOMES = ("right", "wrong", "unknown", "refused")


def digit_of(split: Split, number: int, rng: np.random.Generator) -> Digit:
    """The digit of a picture: strokes for even numbers, handwriting for odd ones."""
    assert split.labels is not None
    if number % 2 == 0:
        return Digit(number // 2 % 10)
    row = int(rng.integers(len(split)))
    return Digit(int(split.labels[row]), split.images[row])


def plain(searcher: Searcher, split: Split) -> Split:
    """The digits that the index names rightly as they are: what then goes wrong is the picture's doing."""
    assert split.labels is not None
    answers = searcher.query_prepared([PreparedImage(image) for image in split.images[:_MOST]], k=1)
    found = [answer.verdict.label if answer.verdict else None for answer in answers]
    rows = [row for row, label in enumerate(found) if label == str(split.labels[row])]
    return split.take(np.array(rows))


def draw(make: Maker, split: Split, seed: int, number: int) -> tuple[bytes, Digit]:
    """One picture of a family; the same arguments give the same bytes."""
    rng = np.random.default_rng([seed, number, *make.__name__.encode()])
    digit = digit_of(split, number, rng)
    label = ALWAYS.get(make.__name__, digit.label)
    return make(digit, rng), digit if label == digit.label else Digit(label)


def outcome(
    searcher: Searcher, picture: bytes, digit: Digit | None, steps: Steps = ALL
) -> tuple[str, str, float, np.ndarray | None]:
    """What became of it, what was said, the CPU seconds of preparation, and the 28x28 pixels."""
    start = time.process_time()
    try:
        prepared = prepare_image(picture, steps=steps)
    except BadImageError as error:
        return "refused", error.message, time.process_time() - start, None
    spent = time.process_time() - start
    verdict = searcher.query_prepared([prepared], k=1)[0].verdict
    assert verdict is not None
    said = f"{verdict.label} {verdict.probability:.2f} {'; '.join(prepared.notes)}"
    if not verdict.known:
        return "unknown", said, spent, prepared.pixels
    return ("right" if digit and verdict.label == str(digit.label) else "wrong"), said, spent, prepared.pixels


def measure(
    searcher: Searcher, split: Split, families: Mapping[str, Maker], options: argparse.Namespace, known: bool
) -> None:
    """Print a line a family, and one for all."""
    total: Counter[str] = Counter()
    for name, make in families.items():
        found: Counter[str] = Counter()
        times = []
        for number in range(options.each):
            picture, digit = draw(make, split, options.seed, number)
            result, said, spent, pixels = outcome(searcher, picture, digit if known else None)
            found[result] += 1
            times.append(spent)
            if options.save and result != "right" and (known or result == "wrong"):
                keep(options.save, f"{name}-{number}-{digit.label}-{result}", picture, said, pixels)
        total += found
        shares = "".join(f"{found[key] / options.each:>9.3f}" for key in OUTCOMES)
        print(f"{name:<22}{shares}{1000 * float(np.median(times)):>10.1f}", flush=True)
    shares = "".join(f"{total[key] / max(total.total(), 1):>9.4f}" for key in OUTCOMES)
    print(f"{'all':<22}{shares}", flush=True)


def ablate(
    searcher: Searcher, split: Split, sets: Mapping[bool, Mapping[str, Maker]], each: int, seed: int
) -> None:
    """Print a line for all steps, and one for each step left out."""
    pictures = [
        (*draw(make, split, seed, number), known)
        for known, families in sets.items()
        for make in families.values()
        for number in range(each)
    ]
    digits = sum(known for *_, known in pictures)
    print(f"{'without':<12}{'right':>9}{'wrong':>9}   known of nothing   CPU ms")
    for name in ("", *(field.name for field in fields(Steps))):
        steps = replace(ALL, **{name: False}) if name else ALL
        found: Counter[tuple[bool, str]] = Counter()
        times = []
        for picture, digit, known in pictures:
            result, _, spent, _ = outcome(searcher, picture, digit if known else None, steps)
            found[known, result] += 1
            times += [spent] if known else []
        right, wrong = (found[True, key] / digits for key in ("right", "wrong"))
        nothing = found[False, "wrong"] / max(len(pictures) - digits, 1)
        ms = 1000 * float(np.median(times))
        print(f"{name or 'nothing':<12}{right:>9.4f}{wrong:>9.4f}{nothing:>19.4f}{ms:>9.1f}", flush=True)


def keep(folder: Path, name: str, picture: bytes, said: str, pixels: np.ndarray | None) -> None:
    """Save a picture and what the network saw, for the eye."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"{name}.img").write_bytes(picture)
    (folder / f"{name}.txt").write_text(said)
    if pixels is not None:
        Image.fromarray(pixels).save(folder / f"{name}-seen.png")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--each", type=int, default=40, help="pictures a family")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--index", type=Path, default=Path(__file__).parents[2] / "indexes" / "mnist-test")
    parser.add_argument("--families", nargs="*", default=None)
    parser.add_argument("--unseen", action="store_true", help="also the families kept out of sight")
    parser.add_argument("--ablation", action="store_true", help="each step left out in turn")
    parser.add_argument("--save", type=Path, help="folder for what went wrong")
    options = parser.parse_args()
    searcher = Searcher.open(options.index, threads=1)
    split = plain(searcher, load_named("mnist:held-out"))
    sets = {
        True: {**FAMILIES, **MORE, **OWN_STROKES},
        False: {**NOTHING, **MORE_NOTHING, **BLANKS, **CROSSED},
    }
    if options.unseen:
        sets[True].update({**UNSEEN, **LATER, **FRESH, **BROUGHT})
        sets[False].update({**UNSEEN_NOTHING, **LATER_NOTHING, **FRESH_NOTHING, **BROUGHT_NOTHING})
    if options.ablation:
        seen = {True: {**FAMILIES, **UNSEEN}, False: {**NOTHING, **UNSEEN_NOTHING}}
        ablate(searcher, split, seen, options.each, options.seed)
        return
    print(f"{'family':<22}" + "".join(f"{key:>9}" for key in OUTCOMES) + f"{'CPU ms':>10}")
    for known, families in sets.items():
        chosen = {
            name: make
            for name, make in families.items()
            if options.families is None or name in options.families
        }
        if chosen:
            measure(searcher, split, chosen, options, known)


if __name__ == "__main__":
    main()
