"""What encoders are worth on pictures that are no digits: retrieval, probabilities, copies.

    python tests/benchmarks/photos.py clipart --model models/efficientnet-lite0
    python tests/benchmarks/photos.py fashion --model models/efficientnet-lite0 --trained runs/fashion
    python tests/benchmarks/photos.py copies --model models/efficientnet-lite0

`clipart` needs Debian's openclipart-png (see clipart.py), `fashion` Fashion-MNIST. Every item is queried
against all others; the head is trained on 80 % of the pictures, and the others are queried against these.
Encoding takes minutes of a core the first time; features are kept in the folder of --cache.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
import platformdirs
from clipart import FOLDER, color_histograms, read_clip_art
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageOps

from simsearch.data.arrays import fit_split
from simsearch.data.datasets import load_split
from simsearch.data.folders import load_image_folder
from simsearch.data.splits import stratified_hold_out
from simsearch.encode.encoder import Vectors
from simsearch.encode.model_folder import open_model
from simsearch.index.audit.copies import find_copies
from simsearch.index.build import build_index
from simsearch.index.bundle import open_bundle
from simsearch.index.calibrate import suit_gallery
from simsearch.index.leave_one_out import has_company
from simsearch.index.stores.faiss import FaissStore
from simsearch.stats.retrieval import average_precision_at_r, precision_at, r_precision, relevant_ranks
from simsearch.stats.significance import bootstrap_means
from simsearch.train.features import Features
from simsearch.train.head import HeadNet, JoinedHead
from simsearch.train.head_exam import examine
from simsearch.train.head_run import HeadRun
from simsearch.train.recipes import HEAD_PAIRS

SEEDS = (0, 1, 2)
_TEST_SHARE, _UNSEEN_SHARE = 0.2, 0.2
_BLOCK = 512
METRICS = ("P@1", "R-precision", "MAP@R")
Labels = NDArray[np.int64]
Embed = Callable[[Vectors], Vectors]


def per_query(
    queries: Vectors, labels: Labels, gallery: Vectors | None = None, of_gallery: Labels | None = None
) -> dict[str, NDArray[np.float64]]:
    """The metrics of each query that has a relevant item; without a gallery among each other."""
    columns: dict[str, list[NDArray[np.float64]]] = {name: [] for name in METRICS}
    items, classes = (queries, labels) if gallery is None or of_gallery is None else (gallery, of_gallery)
    for start in range(0, len(queries), _BLOCK):
        scores = queries[start : start + _BLOCK] @ items.T
        relevant = labels[start : start + _BLOCK, None] == classes
        if gallery is None:
            own = np.arange(len(scores))
            scores[own, start + own], relevant[own, start + own] = -np.inf, False
        ranks = relevant_ranks(scores, relevant)
        for name, values in zip(
            METRICS, (precision_at(ranks, 1), r_precision(ranks), average_precision_at_r(ranks)), strict=True
        ):
            columns[name].append(values)
    found = {name: np.concatenate(parts) for name, parts in columns.items()}
    some = ~np.isnan(found["MAP@R"])
    return {name: values[some] for name, values in found.items()}


def show(name: str, found: Mapping[str, NDArray[np.float64]]) -> None:
    """A line: each metric's mean with its bootstrap interval."""
    spans = bootstrap_means(found, np.random.default_rng(0))
    cells = (f"{found[m].mean():.3f} ({spans[m].low:.3f} to {spans[m].high:.3f})" for m in METRICS)
    print(f"{name:<34}{len(found['P@1']):>7,}  {'  '.join(cells)}", flush=True)


def heading(text: str) -> None:
    """What the next lines are of."""
    print(f"\n{text}\n{'':<34}queries  " + "".join(f"{metric:<26}" for metric in METRICS))


def fit_joined(vectors: Vectors, labels: Labels, seed: int) -> Embed:
    """A head joined with these features as `train --encoder` does it, its weight by a hold-out of them."""
    part = stratified_hold_out(labels, [str(row) for row in range(len(labels))]).part
    run = HeadRun(HEAD_PAIRS, Features(vectors, labels, part), seed, None)
    trainer = run.trainer(None, None)
    trainer.run()
    weight = examine(run.features, lambda classes: run.embed(classes, trainer)).weight
    head = trainer.best_model().embedding
    assert isinstance(head, HeadNet)
    return _embedding(JoinedHead(head.cpu(), weight).eval())


def _embedding(joined: JoinedHead) -> Embed:
    import torch

    def embed(vectors: Vectors) -> Vectors:
        with torch.inference_mode():
            return np.asarray(joined(torch.from_numpy(vectors)).numpy(), np.float32)

    return embed


def learned(vectors: Vectors, labels: Labels, seeds: tuple[int, ...] = SEEDS) -> None:
    """A head on known classes and on classes that it never saw, beside the bare features."""
    bare: dict[str, list[float]] = {}
    for seed in seeds:
        rng = np.random.default_rng(seed)
        test = np.zeros(len(labels), bool)
        for label in np.unique(labels):
            rows = rng.permutation(np.flatnonzero(labels == label))
            test[rows[: round(_TEST_SHARE * len(rows))]] = True
        embed = fit_joined(vectors[~test], labels[~test], seed)
        classes = rng.permutation(np.unique(labels))
        unseen = np.isin(labels, classes[: round(_UNSEEN_SHARE * len(classes))])
        other = fit_joined(vectors[~unseen], labels[~unseen], seed)
        for name, known, strange in (("bare features", _same, _same), ("with a head", embed, other)):
            found = per_query(known(vectors[test]), labels[test], known(vectors[~test]), labels[~test])
            show(f"seed {seed}, {name}, known", found)
            away = per_query(strange(vectors[unseen]), labels[unseen])
            show(f"seed {seed}, {name}, unseen", away)
            for kind, values in (("known", found), ("unseen", away)):
                for metric in METRICS:
                    bare.setdefault(f"{name}, {kind}, {metric}", []).append(values[metric].mean())
    for name, means in bare.items():
        print(f"mean of {len(seeds)} seeds, {name}: {np.mean(means):.3f}", flush=True)


def _same(vectors: Vectors) -> Vectors:
    return vectors


def probabilities(name: str, vectors: Vectors, labels: Labels) -> None:
    """What an index would say of its probabilities."""
    store = FaissStore.build(vectors, np.arange(len(vectors)), labels)
    found = suit_gallery(None, store, None)
    said = found.gallery if found else "none shown: they do not hold on images that they were not fitted on"
    print(f"probabilities, {name}: {said}", flush=True)


def clip_art(model: Path, cache: Path) -> None:
    """Every way of embedding on clip art, in leaf and top classes."""
    art = read_clip_art(model, cache)
    leaf, top = art.leaf, art.top
    print(f"{len(art.paths):,} pictures, {leaf.max() + 1} leaf and {top.max() + 1} top classes", flush=True)
    digits = ~np.isnan(art.digits[:, 0])
    print(f"the digit network takes {digits.sum():,} of them for digits")
    for kind, labels in (("leaf", leaf), ("top", top)):
        heading(f"{kind} classes, each picture against all others")
        show("digit network", per_query(art.digits[digits], labels[digits]))
        show("color histogram", per_query(art.colors, labels))
        found = per_query(art.encoder, labels)
        show("imported encoder", found)
        company = labels[has_company(labels)]
        by_class = {
            m: np.array([v[company == c].mean() for c in np.unique(company)]) for m, v in found.items()
        }
        show("imported encoder, mean of classes", by_class)
        probabilities(kind, art.encoder, labels)
    heading("leaf classes, a head learned on 80 %")
    learned(art.encoder, leaf)


def fashion(model: Path, trained: Path | None, cache: Path) -> None:
    """The same on Fashion-MNIST's test images; the head is learned on 10,000 training images."""
    test = load_split("fashion-mnist", "test")
    labels = test.labels
    assert labels is not None
    heading("Fashion-MNIST, each test image against all others")
    show("digit network", per_query(open_model(threads=1).encoder.encode(test.images), labels))
    grays = np.repeat(test.images[..., None], 3, axis=3)
    show("gray histogram", per_query(color_histograms(grays), labels))
    vectors = encoded("test", model, cache)[0]
    show("imported encoder", per_query(vectors, labels))
    given, of_given = encoded("train", model, cache)
    embed = fit_joined(given, of_given, 0)
    show("imported encoder with a head", per_query(embed(vectors), labels))
    probabilities("with a head", embed(vectors), labels)
    if trained is not None:
        encoder = open_model(trained, threads=1).encoder
        images = load_split("fashion-mnist", "test", input=encoder.input).images
        own = encoder.encode(images)
        show("trained from scratch", per_query(own, labels))
        probabilities("trained from scratch", own, labels)


def encoded(split: str, model: Path, cache: Path, most: int = 10_000) -> tuple[Vectors, Labels]:
    """The first images of a split as an encoder sees them, with their labels."""
    encoder = open_model(model, threads=1).encoder
    kept = cache / f"fashion-{split}-{encoder.fingerprint[:16]}.npz"
    if not kept.exists():
        cache.mkdir(parents=True, exist_ok=True)
        loaded = load_split("fashion-mnist", split).take(np.arange(most))
        parts = []
        for start in range(0, most, 1_000):
            some = loaded.take(np.arange(start, start + 1_000))
            parts.append(encoder.encode(fit_split(some, encoder.input).images))
            print(f"{start + 1_000:,} images", end="\r", file=sys.stderr)
        np.savez(kept, vectors=np.concatenate(parts), labels=loaded.labels)
    with np.load(kept) as arrays:
        return arrays["vectors"], arrays["labels"]


COPIES: Mapping[str, Callable[[Image.Image], Image.Image]] = {
    "as it is": lambda image: image,
    "mirrored": ImageOps.mirror,
    "half the size": lambda image: image.resize((max(1, image.width // 2), max(1, image.height // 2))),
    "JPEG of quality 40": lambda image: image,  # by how it is saved
    "cropped to 85 %": lambda image: ImageOps.crop(image, round(min(image.size) * 0.075)),
    "gray": lambda image: image.convert("L").convert("RGB"),
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.3),
    "turned by 5 degrees": lambda image: image.rotate(5, fillcolor=(255, 255, 255)),
    "with a border": lambda image: ImageOps.expand(image, round(min(image.size) * 0.05), "black"),
}


def copies(model: Path, cache: Path, count: int) -> None:
    """How many changed copies of clip art `duplicates` finds, a line a kind of change."""
    art = read_clip_art(model, cache)
    rows = np.random.default_rng(0).permutation(len(art.paths))[:count]
    with tempfile.TemporaryDirectory() as folder:
        pictures = Path(folder) / "pictures"
        for row in rows.tolist():
            _write_copies(FOLDER / str(art.paths[row]), pictures / str(row))
        opened = open_model(model, threads=1)
        build_index(
            load_image_folder(pictures, opened.encoder.input, processes=1), opened, Path(folder) / "index"
        )
        bundle = open_bundle(Path(folder) / "index")
        found = find_copies(bundle).pairs
        sources = [
            bundle.sources[bundle.rows(np.array([item]))[0]].split("/") for item in bundle.ids.tolist()
        ]
    pairs = [(sources[pair.first], sources[pair.second]) for pair in found]
    right = [{one[1], other[1]} for one, other in pairs if one[0] == other[0]]
    print(f"{count} pictures, {len(COPIES)} kinds of copy, precision {len(right) / max(1, len(pairs)):.3f}")
    for name in COPIES:
        file = f"{name}.{'jpg' if 'JPEG' in name else 'png'}"
        if name != "as it is":
            print(
                f"{name:<22}{sum(pair == {'as it is.png', file} for pair in right) / count:.2f}", flush=True
            )


def _write_copies(source: Path, folder: Path) -> None:
    folder.mkdir(parents=True)
    layer = Image.open(source).convert("RGBA")
    image = Image.alpha_composite(Image.new("RGBA", layer.size, "white"), layer).convert("RGB")
    image.thumbnail((1_000, 1_000))
    for name, change in COPIES.items():
        if "JPEG" in name:
            image.save(folder / f"{name}.jpg", quality=40)
        else:
            change(image).save(folder / f"{name}.png")


def main() -> None:
    """Measure what the command line names."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("what", choices=("clipart", "fashion", "copies"))
    parser.add_argument("--model", type=Path, required=True, help="folder of an imported encoder")
    parser.add_argument("--trained", type=Path, help="a run of `train --dataset fashion-mnist`")
    parser.add_argument("--count", type=int, default=200, help="pictures that are copied")
    parser.add_argument(
        "--cache", type=Path, default=platformdirs.user_cache_path("simsearch") / "benchmarks"
    )
    wanted = parser.parse_args()
    if wanted.what == "clipart":
        clip_art(wanted.model, wanted.cache)
    elif wanted.what == "copies":
        copies(wanted.model, wanted.cache, wanted.count)
    else:
        fashion(wanted.model, wanted.trained, wanted.cache)


if __name__ == "__main__":
    main()
