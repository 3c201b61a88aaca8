"""PairDataset: what one item is, and that batches are made of items however they are loaded."""

import pytest

pytest.importorskip("torch", reason="needs the extra: pip install 'simsearch[train]'")

import numpy as np
import torch
from torch.utils.data import DataLoader

from simsearch.stats.pairs import PairTable, draw_pairs
from simsearch.train.pairs import PairBatch, PairDataset, as_is

TABLE = PairTable(np.array([0, 2, 4, 4]), np.array([1, 0, 3, 2]), np.array([True, False, True, False]))


@pytest.fixture
def images():
    """Five pictures; picture i is gray i all over."""
    return torch.arange(5.0).reshape(5, 1, 1, 1).expand(5, 1, 28, 28).contiguous()


def grays(batch):
    """The pairs of a batch as (gray, gray, same)."""
    first, second = batch.first.flatten(1), batch.second.flatten(1)
    assert (first == first[:, :1]).all()
    assert (second == second[:, :1]).all()
    return list(zip(first[:, 0].tolist(), second[:, 0].tolist(), batch.same.tolist(), strict=True))


def test_an_item_is_image_image_and_one_or_zero(images):
    dataset = PairDataset(images, TABLE)

    first, second, same = dataset[0]

    assert len(dataset) == 4
    assert torch.equal(first, torch.full((1, 28, 28), 0.0))
    assert torch.equal(second, torch.full((1, 28, 28), 1.0))
    assert (float(same), same.dtype, same.shape) == (1.0, torch.float32, ())
    assert float(dataset[1].same) == 0.0


def test_a_batch_is_its_items_stacked(images):
    dataset = PairDataset(images, TABLE)

    batch = dataset.__getitems__([3, 0, 2])

    assert grays(batch) == [(4.0, 2.0, 0.0), (0.0, 1.0, 1.0), (4.0, 3.0, 1.0)]
    for part, items in zip(batch, zip(*(dataset[row] for row in (3, 0, 2)), strict=True), strict=True):
        assert torch.equal(part, torch.stack(items))
        assert part.dtype == torch.float32


def test_the_table_is_the_one_it_was_given(images):
    assert PairDataset(images, TABLE).table is TABLE


def test_a_row_beyond_the_table_does_not_exist(images):
    with pytest.raises(IndexError):
        PairDataset(images, TABLE)[4]


def test_walking_over_it_meets_every_pair_once(images):
    assert [int(pair.same) for pair in PairDataset(images, TABLE)] == [1, 0, 1, 0]


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # on a machine of one core
@pytest.mark.parametrize("workers", [0, 2])
def test_a_loader_gives_the_tables_pairs_in_order_with_any_number_of_workers(workers):
    labels = np.repeat([0, 1, 2], 10)
    table = draw_pairs(labels, 70, np.random.default_rng(0))
    images = torch.arange(30.0).reshape(30, 1, 1, 1).expand(30, 1, 28, 28).contiguous()
    loader = DataLoader(PairDataset(images, table), batch_size=32, collate_fn=as_is, num_workers=workers)

    batches = list(loader)

    assert [type(batch) for batch in batches] == [PairBatch] * 3
    assert [len(batch.same) for batch in batches] == [32, 32, 6]
    expected = zip(table.first.tolist(), table.second.tolist(), table.same.tolist(), strict=True)
    assert [pair for batch in batches for pair in grays(batch)] == list(expected)
