"""How well pictures that are no digits are told from digits: the familiarity of both, on test images.

The gallery is MNIST's test split. Digits are items of it, each asked about against the others, and corrupted
validation digits; others are those of `out_of_distribution.py`. For each kind: the area under the ROC curve,
and the share taken for known where 1 % of the test digits is not, and at the stored threshold; the
first two also of the best cosine alone. A model without a calibration is calibrated first, in memory.

Then the digits of other writers (UCI's), and the families of `paper.py`, prepared without the steps that
find a digit on paper: how many are known, and how many wrongly, where 1 % of the test digits is not.

    python tests/benchmarks/unknown.py --model simsearch/pretrained --most 2000 --each 12
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parents[1]))
import out_of_distribution
from paper import draw
from papers.families import FAMILIES, NOTHING, Maker
from papers.later import LATER, LATER_NOTHING
from papers.unseen import UNSEEN, UNSEEN_NOTHING
from results import uci_digits

from simsearch.data.corruptions import corrupt_images
from simsearch.data.datasets import load_split
from simsearch.data.splits import Split
from simsearch.encode.model_folder import PRETRAINED, open_model
from simsearch.errors import BadImageError
from simsearch.index.calibrate import fit_calibration
from simsearch.index.held_out import validation_split
from simsearch.index.leave_one_out import ask, encode_some
from simsearch.index.stores.by_class import NearestPerClass
from simsearch.index.stores.faiss import FaissStore
from simsearch.index.stores.faiss_index import FLAT
from simsearch.prepare.paper.steps import NONE
from simsearch.prepare.prepare import Images, prepare_image
from simsearch.stats.calibration import UNKNOWN, Calibration
from simsearch.stats.novelty import Features
from simsearch.stats.pairs import roc_auc, verify_pairs
from simsearch.stats.reliability import measure_reliability

Values = NDArray[np.float64]
DIGITS = {**FAMILIES, **UNSEEN, **LATER}
NO_DIGITS = {**NOTHING, **UNSEEN_NOTHING, **LATER_NOTHING}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--model", type=Path, default=PRETRAINED)
    parser.add_argument("--most", type=int, default=2_000, help="pictures of each kind")
    parser.add_argument("--each", type=int, default=12, help="pictures of each family on paper")
    parser.add_argument("--seed", type=int, default=12, help="of the pictures on paper")
    parser.add_argument("--refit", action="store_true", help="fit a calibration, whatever the card has")
    parser.add_argument("--threads", type=int, default=1)
    chosen = parser.parse_args()
    encoder, card = open_model(chosen.model, threads=chosen.threads)
    calibration = card.calibration
    if calibration is None or chosen.refit:
        calibration = fit_calibration(encoder, validation_split(card, load_split("mnist", "train")))
    assert calibration is not None
    gallery = load_split("mnist", "test")
    assert gallery.labels is not None
    vectors = encoder.encode(gallery.images)
    store = FaissStore.build(vectors, np.arange(len(gallery)), gallery.labels, factory=FLAT)
    neighborhood = NearestPerClass(store, gallery.images.__getitem__)
    print(f"model {card.name}, fitted on {calibration.fitted_on}")

    pairs = verify_pairs(vectors, gallery.labels, calibration.pairs, learned=card.projection)
    assert pairs is not None
    assert pairs.learned is not None
    print(f"ECE of test pairs {pairs.calibration.ece:.4f}, as learned {pairs.learned.ece:.4f}")
    rows = np.random.default_rng(0).permutation(len(gallery))[: chosen.most]
    asked = ask(neighborhood, vectors[rows], gallery.images[rows], store.ids[rows])
    posterior = calibration.classes.probability(asked.means)
    right = posterior.argmax(axis=1) == gallery.labels[rows]
    top = measure_reliability(np.minimum(posterior.max(axis=1), 1), right)
    print(f"top class right {right.mean():.4f}, ECE of its posterior {top.ece:.4f}")

    digits = Measured(calibration, asked.features)
    print(f"{'':34s} number  AUROC  taken for known at         best cosine alone")
    print(f"{'':34s}                1 % rejected   stored      AUROC  at 1 %")
    print(f"{'test digits':34s} {len(digits):6,} {'':6s} {0.99:9.3f} {digits.stored:14.3f}", flush=True)
    held_out = load_split("mnist", "validation").images[: chosen.most]
    makers = {"corrupted validation digits": lambda _: corrupt_images(held_out), **out_of_distribution.KINDS}
    for name, make in makers.items():
        images, found = encode_some(encoder, make(chosen.most))
        kind = Measured(calibration, ask(neighborhood, found, images, None).features)
        alone = (kind.best.auroc(digits.best), kind.best.known(0.01, digits.best))
        print(
            f"{name:34s} {len(kind):6,} {kind.auroc(digits):6.3f} {kind.known(0.01, digits):9.3f}"
            f" {kind.stored:14.3f} {alone[0]:13.3f} {alone[1]:7.3f}",
            flush=True,
        )

    def known(images: Images) -> tuple[NDArray[np.bool_], NDArray[np.int64]]:
        """Which pictures are known where 1 % of the test digits is not, and the class that each shows."""
        found = encoder.encode(images)
        asked = ask(neighborhood, found, images, None)
        kind = Measured(calibration, asked.features)
        return kind.values >= np.quantile(digits.values, 0.01), asked.means.argmax(axis=1)

    uci = uci_digits()
    is_known, top = known(uci.images)
    right = top == uci.labels
    print(f"UCI digits: {np.mean(~is_known):.3f} unknown, {np.mean(is_known & ~right):.3f} known and wrong")
    for families, name in ((DIGITS, "digits on paper"), (NO_DIGITS, "nothing on paper")):
        images, labels, drawn = on_paper(
            families, load_split("mnist", "validation"), chosen.each, chosen.seed
        )
        is_known, top = known(images)
        wrong = is_known & (top != labels)
        refused = drawn - len(images)
        print(
            f"{name}, steps off: {drawn} drawn, {refused / drawn:.3f} refused,"
            f" {np.sum(~is_known) / drawn:.3f} unknown, {wrong.sum() / drawn:.3f} known and wrong",
            flush=True,
        )


def on_paper(
    families: Mapping[str, Maker], split: Split, each: int, seed: int
) -> tuple[Images, NDArray[np.int64], int]:
    """Pictures as the plainest preparation leaves them, their digits, and of how many; -1 for no digit."""
    images, labels = [], []
    for make in families.values():
        for number in range(each):
            picture, digit = draw(make, split, seed, number)
            with suppress(BadImageError):
                images.append(prepare_image(picture, steps=NONE).pixels)
                labels.append(digit.label if families is DIGITS else -1)
    return np.stack(images), np.array(labels), each * len(families)


class Measured:
    """The familiarity of pictures of one kind."""

    def __init__(self, calibration: Calibration, features: Features) -> None:
        test = calibration.novelty
        self.values: Values = test.logit(features)
        self.stored = float(np.mean(test.p_value(self.values) >= calibration.thresholds[UNKNOWN].value))
        if len(test.weights) > 1:
            alone = replace(test, weights={"best": 1.0}, bias=0.0)
            self.best = Measured(replace(calibration, novelty=alone), features)

    def __len__(self) -> int:
        return len(self.values)

    def auroc(self, digits: Measured) -> float:
        """The chance that a digit is more familiar than one of these."""
        values = np.concatenate([digits.values, self.values])
        return roc_auc(values, np.arange(len(values)) < len(digits))

    def known(self, rejected: float, digits: Measured) -> float:
        """The share of these that is known where this share of the digits is rejected."""
        return float(np.mean(self.values >= np.quantile(digits.values, rejected)))


if __name__ == "__main__":
    main()
