from dataclasses import replace
from pathlib import Path

import pytest

from simsearch.encode.history import HISTORY, EpochRecord, chosen_epoch, history_csv, read_history
from simsearch.encode.model_folder import PRETRAINED, read_model_card
from simsearch.errors import BadInputError

RECORDS = (
    EpochRecord(1, 0.5, 0.8, 0.4, 0.81, 1e-2, 3.5),
    EpochRecord(2, 0.25, 0.9, 0.125, 0.95, 5e-3, 3.25),
    EpochRecord(3, 0.2, 0.92, 0.125, 0.96, 2.5e-3, 3.0),
)


def test_a_history_reads_back_as_it_was_written(tmp_path: Path) -> None:
    (tmp_path / HISTORY).write_bytes(history_csv(RECORDS))
    assert read_history(tmp_path) == RECORDS


def test_the_first_epoch_of_least_held_out_loss_is_the_chosen_one() -> None:
    assert chosen_epoch(RECORDS) == RECORDS[1]
    with pytest.raises(ValueError, match="without epochs"):
        chosen_epoch([])


def test_the_chosen_epoch_of_the_shipped_history_is_that_of_its_card() -> None:
    best = read_model_card(PRETRAINED).training["best"]
    chosen = chosen_epoch(read_history(PRETRAINED))
    assert (chosen.epoch, chosen.val_loss) == (best["epoch"], best["val_loss"])


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"epoch,loss\n1,2\n",
        history_csv([]),
        history_csv(RECORDS[1:]),
        history_csv(RECORDS).replace(b"0.25", b"nan"),
        history_csv(RECORDS).replace(b"0.25", b"x"),
        history_csv(RECORDS) + b"4,0.1\n",
        b"\xff\xfe",
    ],
)
def test_what_is_no_history_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / HISTORY).write_bytes(content)
    with pytest.raises(BadInputError, match="history") as refused:
        read_history(tmp_path)
    assert refused.value.hint == "give the folder of a run, such as runs/batch-pairs-seed0"


def test_a_folder_without_a_history_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadInputError, match=r"cannot read .*history\.csv: no such file"):
        read_history(tmp_path)


def test_a_run_that_map_chooses_keeps_the_first_epoch_of_the_best(tmp_path: Path) -> None:
    found = zip(RECORDS, (0.5, 0.8, 0.8), strict=True)
    records = tuple(replace(record, val_map_at_r=best) for record, best in found)
    (tmp_path / HISTORY).write_bytes(history_csv(records))
    assert read_history(tmp_path) == records
    assert chosen_epoch(records) == records[1]
    assert "val_map_at_r" not in history_csv(RECORDS).decode()
