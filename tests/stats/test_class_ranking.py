import numpy as np

from simsearch.stats.class_ranking import ClassScore, rank_classes

NAN = np.nan


def test_classes_rank_by_the_mean_of_their_nearest_items_not_by_the_best_alone() -> None:
    scores = np.array([[[1.0, 0, 0, 0, 0], [0.5, 0.5, 0.5, 0.5, 0.5]]], np.float32)
    assert rank_classes(np.array([7, 3]), scores, np.array([[70, 30]]))[0] == (
        ClassScore(label=3, best=0.5, mean=0.5, example=30),
        ClassScore(label=7, best=1.0, mean=0.2, example=70),
    )


def test_a_class_with_fewer_than_five_items_is_averaged_over_those_it_has() -> None:
    scores = np.array([[[0.75, 0.25, NAN, NAN, NAN]]], np.float32)
    assert rank_classes(np.array([1]), scores, np.array([[4]])) == [(ClassScore(1, 0.75, 0.5, 4),)]


def test_equal_means_rank_by_best_and_then_by_label() -> None:
    scores = np.array([[[0.5, 0.5], [0.75, 0.25], [0.5, 0.5], [0.75, 0.25]]], np.float32)
    [ranked] = rank_classes(np.array([4, 3, 2, 9]), scores, np.arange(4)[None])
    assert [row.label for row in ranked] == [3, 9, 2, 4]


def test_each_query_has_its_own_order_and_no_class_without_items() -> None:
    scores = np.array([[[0.5, NAN], [0.25, 0.25]], [[0.0, -1.0], [NAN, NAN]]], np.float32)
    assert rank_classes(np.array([0, 1]), scores, np.array([[5, 6], [7, -1]])) == [
        (ClassScore(0, 0.5, 0.5, 5), ClassScore(1, 0.25, 0.25, 6)),
        (ClassScore(0, 0.0, -0.5, 7),),
    ]
    assert rank_classes(np.empty(0, np.int64), scores[:, :0], np.empty((2, 0), np.int64)) == [(), ()]
