"""The data card says what the data are."""

import re

import numpy as np
from conftest import ROOT

from simsearch.data.datasets import MNIST_SPLITS, load_split
from simsearch.data.mnist_files import FILES
from simsearch.data.named.catalog import NAMED
from simsearch.prepare.prepare import MEAN, STD

CARD = (ROOT / "docs" / "data-card.md").read_text("utf-8")


def test_the_files_are_those_that_are_accepted() -> None:
    rows = re.findall(r"^\| (\S+-ubyte) \| ([\d,]+) \| `(\w+)` \|$", CARD, re.MULTILINE)
    assert rows == [(file.name, f"{file.size:,}", file.sha256) for file in FILES]


def test_the_splits_have_the_sizes_and_classes_that_are_named(mnist_dir) -> None:
    rows = re.findall(r"^\| `mnist:(\S+)` \| ([\d,]+) \| ([^|]+) \|", CARD, re.MULTILINE)
    assert {name for name, _, _ in rows} == set(MNIST_SPLITS)
    counts = {}
    for name, images, classes in rows:
        if name in ("corrupted", "distorted", "held-out"):
            assert (images, classes) == ("5,000", "as `mnist:validation`")
            continue
        split = load_split("mnist", name, data_dir=mnist_dir)
        counts[name] = np.bincount(split.labels).tolist()
        assert images == f"{len(split):,}"
        assert classes == ", ".join(str(count) for count in counts[name])
        if name == "train":
            assert round(float(split.images.mean() / 255), 4) == MEAN
            assert round(float(split.images.std() / 255), 4) == STD
    np.testing.assert_array_equal(
        counts["train"], np.add(counts["kept"], counts["validation"]), err_msg="parts of the training split"
    )
    assert f"mean {MEAN} and standard deviation {STD}" in CARD


def test_the_other_datasets_are_those_that_have_a_name() -> None:
    rows = re.findall(
        r"^\| `(\S+)` \| .* \| (\S+) and (\S+) \| .* \| (\d+) MB \| .* \| <(.*)> \|$", CARD, re.M
    )
    assert rows == [
        (
            name,
            *(f"{known.counts[split]:,}" for split in ("train", "test")),
            str(known.megabytes),
            known.source,
        )
        for name, known in NAMED.items()
    ]
    for known in NAMED.values():
        assert f"{len(known.classes)} classes" in CARD
        assert len(set(known.classes)) == len(known.classes)
