"""What is compared in a step: sampled pairs, and every pair of a batch."""

import pytest

pytest.importorskip("torch", reason="needs the extra: pip install 'simsearch[train]'")

from dataclasses import fields, replace

import numpy as np
import torch

from simsearch.errors import BadInputError
from simsearch.train.augment import Augmentation
from simsearch.train.model import SimilarityModel
from simsearch.train.objectives import (
    BatchPairs,
    SampledPairs,
    make_objective,
    pair_accuracy,
    pair_loss,
    torch_generator,
)
from simsearch.train.recipes import BATCH_PAIRS, SIAMESE_PAIRS

CPU = torch.device("cpu")
IMAGES = torch.arange(10.0).reshape(10, 1, 1, 1).expand(10, 1, 28, 28)
LABELS = np.array([0, 1] * 5)
PLAIN = {field.name: 0.0 for field in fields(Augmentation)}


class Directions(torch.nn.Module):
    """Stands in for the model: image i has the i-th of four unit vectors 45 degrees apart."""

    def embedding(self, images: torch.Tensor) -> torch.Tensor:
        angle = images[:, 0, 0, 0] * torch.pi / 4
        return torch.stack([torch.cos(angle), torch.sin(angle)], dim=1)

    def project(self, similarity: torch.Tensor) -> torch.Tensor:
        return 10 * similarity - 5


def batch_pairs(batch_size: int = 4, seed: int = 0, **changes: float) -> BatchPairs:
    recipe = replace(BATCH_PAIRS, batch_size=batch_size, **{**PLAIN, **changes})
    return BatchPairs(recipe, IMAGES, LABELS, seed=seed, device=CPU)


def test_every_pair_of_a_batch_is_compared_once_by_hand() -> None:
    pairs = BatchPairs(
        replace(BATCH_PAIRS, batch_size=4, **PLAIN), IMAGES[:4], np.array([0, 0, 0, 1]), seed=0, device=CPU
    )
    vectors = Directions().embedding(IMAGES[:4])
    logits, same, weights, samples = pairs._compare(Directions(), vectors, torch.tensor([0, 0, 0, 1]))
    root = 2**-0.5
    cosines = torch.tensor([[1, root, 0, -root], [root, 1, root, 0], [0, root, 1, root], [-root, 0, root, 1]])
    assert torch.allclose(logits, 10 * cosines.flatten() - 5, atol=1e-5)
    assert same.view(4, 4).tolist() == [[1, 1, 1, 0], [1, 1, 1, 0], [1, 1, 1, 0], [0, 0, 0, 1]]
    assert weights is not None
    # Half over three pairs of each kind, in two cells each; an image is no pair with itself.
    assert torch.allclose(weights.view(4, 4), (1 - torch.eye(4)) / 12)
    assert samples == 4
    pairs_of = [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]
    z, alike = logits.view(4, 4), same.view(4, 4)
    losses = [float(torch.nn.functional.softplus(-z[p] if alike[p] else z[p])) for p in pairs_of]
    assert float(pair_loss(logits, same, weights)) == pytest.approx(sum(losses) / 6, rel=1e-5)
    assert float(pair_accuracy(logits, same, weights)) == pytest.approx(4 / 6)  # wrong: 02 and 23


def test_positives_and_negatives_weigh_the_same_however_many_there_are() -> None:
    pairs = batch_pairs()
    for labels in ([0, 0, 0, 1], [0, 1, 2, 2], [0, 0, 0, 0], [0, 1, 2, 3]):
        vectors = Directions().embedding(IMAGES[:4])
        _, same, weights, _ = pairs._compare(Directions(), vectors, torch.tensor(labels))
        assert weights is not None
        assert torch.isfinite(weights).all()
        others = ~torch.eye(4, dtype=torch.bool).flatten()  # an image is no pair with itself
        assert not weights[~others].any()
        for kind in ((same > 0) & others, same == 0):
            assert float(weights[kind].sum()) == pytest.approx(0.5 if kind.any() else 0.0)


def test_outliers_are_compared_with_the_batch_alone_and_have_their_weight() -> None:
    recipe = replace(BATCH_PAIRS, batch_size=2, outliers=0.5, outlier_weight=0.25, **PLAIN)
    pairs = BatchPairs(recipe, IMAGES[:2], np.array([0, 0]), seed=0, device=CPU, outliers=IMAGES[2:4])
    vectors = Directions().embedding(IMAGES[:3])  # at 0, 45 and 90 degrees, the last an outlier
    logits, same, weights, samples = pairs._compare(Directions(), vectors, torch.tensor([0, 0]))
    root = 2**-0.5
    assert torch.allclose(
        logits.view(3, 2), 10 * torch.tensor([[1, root], [root, 1], [0, root]]) - 5, atol=1e-5
    )
    assert same.view(3, 2).tolist() == [[1, 1], [1, 1], [0, 0]]
    assert weights is not None
    # A half for the only pair, in two cells, and a quarter for two outlying ones; then of sum 1 but for
    # the half of the pairs of two classes, of which there are none.
    assert torch.allclose(weights.view(3, 2), torch.tensor([[0, 0.25], [0.25, 0], [0.125, 0.125]]) / 1.25)
    assert samples == 2


def test_each_batch_has_its_own_outliers_beside_it() -> None:
    recipe = replace(BATCH_PAIRS, batch_size=4, outliers=0.5, **PLAIN)
    objective = BatchPairs(recipe, IMAGES, LABELS, seed=0, device=CPU, outliers=IMAGES[:6] + 100)
    steps = rows_of(objective, 1)
    assert [len(rows) for rows in steps] == [6, 6]
    beside = [rows[4:] for rows in steps]
    assert all(100 <= row < 106 for rows in beside for row in rows)
    assert all(len(set(rows)) == 2 for rows in beside)
    assert [rows[:4] for rows in steps] == rows_of(batch_pairs(), 1)  # the batches are those without
    assert rows_of(objective, 1) == steps
    assert [rows[4:] for rows in rows_of(objective, 2)] != beside
    assert len(rows_of(batch_pairs(outliers=0.5), 1)[0]) == 4  # none were given


def rows_of(objective: BatchPairs, epoch: int) -> list[list[int]]:
    """Which images each step of an epoch embeds."""
    seen: list[list[int]] = []

    class Spy(Directions):
        def embedding(self, images: torch.Tensor) -> torch.Tensor:
            seen.append(images[:, 0, 0, 0].int().tolist())
            return super().embedding(images)

    for step in objective.epoch(epoch):
        step(Spy())
    return seen


def test_an_epoch_sees_every_image_at_most_once_in_an_order_of_its_own() -> None:
    objective = batch_pairs()
    first, again, second = rows_of(objective, 1), rows_of(objective, 1), rows_of(objective, 2)
    assert objective.steps == len(first) == 2  # the incomplete third batch is left out
    assert len({row for batch in first for row in batch}) == 8
    assert first == again != second
    assert rows_of(batch_pairs(seed=1), 1) != first


def test_a_whole_epoch_can_be_one_batch_and_no_batch_can_be_larger() -> None:
    assert batch_pairs(10).steps == 1
    with pytest.raises(BadInputError, match="10 training images do not fill a batch of 11") as refused:
        batch_pairs(11)
    assert refused.value.hint == "choose a smaller one with --set batch_size=NUMBER"


def test_distortions_differ_from_epoch_to_epoch_and_repeat_with_the_seed() -> None:
    images = torch.rand(6, 1, 28, 28, generator=torch.Generator().manual_seed(0))

    def embedded(objective: BatchPairs | SampledPairs, epoch: int) -> torch.Tensor:
        seen: list[torch.Tensor] = []
        model = SimilarityModel().eval()
        model.embedding.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].clone()))
        for step in objective.epoch(epoch):
            step(model)
        return torch.cat(seen)

    for recipe in (BATCH_PAIRS, replace(SIAMESE_PAIRS, rotation=10.0)):
        small = replace(recipe, batch_size=6, pairs_per_epoch=6)
        make = lambda seed, small=small: make_objective(  # noqa: E731
            small, images, np.array([0, 1] * 3), seed=seed, device=CPU
        )
        once = embedded(make(0), 1)
        assert torch.equal(embedded(make(0), 1), once)
        assert not torch.equal(embedded(make(0), 2), once)
        assert not torch.equal(embedded(make(1), 1), once)


def test_the_recipe_names_the_objective() -> None:
    made = {
        recipe.name: type(make_objective(replace(recipe, batch_size=2), IMAGES, LABELS, seed=0, device=CPU))
        for recipe in (SIAMESE_PAIRS, BATCH_PAIRS)
    }
    assert made == {"siamese-pairs": SampledPairs, "batch-pairs": BatchPairs}


def test_streams_of_one_seed_are_independent() -> None:
    drawn = {
        tuple(torch.rand(3, generator=torch_generator(seed, *stream)).tolist())
        for seed in (0, 1)
        for stream in ((1, 1), (1, 2), (2, 1))
    }
    assert len(drawn) == 6
