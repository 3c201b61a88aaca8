"""What guided fuzzing kept, replayed: every input is answered or refused in words, within a second."""

from __future__ import annotations

import time

import pytest

pytest.importorskip("onnx", reason="the toy encoder is made with it")

from fuzz.targets import CORPUS, TARGETS, seeds

AT_MOST_S = 1.5  # of the processor
MOST_BYTES = 4_096


@pytest.mark.parametrize("target", TARGETS)
def test_each_input_of_the_corpus_is_answered_or_refused(target: str) -> None:
    kept = {path.name: path.read_bytes() for path in sorted((CORPUS / target).iterdir())}
    assert len(kept) > 5
    for name, data in {**kept, **seeds(target)}.items():
        started = time.process_time()
        TARGETS[target](data)
        assert time.process_time() - started < AT_MOST_S, name


def test_the_corpus_is_small() -> None:
    paths = [path for path in CORPUS.rglob("*") if path.is_file()]
    assert all(path.stat().st_size <= MOST_BYTES for path in paths)
    assert {path.parent.name for path in paths} == set(TARGETS)


@pytest.mark.parametrize("target", TARGETS)
def test_the_intact_things_that_fuzzing_begins_with_are_used(target: str) -> None:
    begun = seeds(target)
    assert begun
    for name, data in begun.items():
        assert TARGETS[target](data), name
