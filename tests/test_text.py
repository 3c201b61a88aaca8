import pytest

from simsearch.text import did_you_mean, listed, printable


@pytest.mark.parametrize(
    ("word", "guess"),
    [
        ("mnist-tst", "did you mean 'mnist-test'? "),
        ("MNIST-TEST", "did you mean 'mnist-test'? "),
        ("siamese", "did you mean 'Siamese-pairs'? "),
        ("zebra", ""),
        ("", ""),
    ],
)
def test_the_closest_choice_is_guessed_if_it_is_close(word: str, guess: str) -> None:
    assert did_you_mean(word, ["mnist-test", "mnist-train", "Siamese-pairs"]) == guess


def test_long_lists_are_cut() -> None:
    assert listed("abc") == "a, b, c"
    assert listed(map(str, range(15))) == "0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 and 3 more"


def test_nothing_printable_is_changed_and_the_rest_is_escaped() -> None:
    assert printable("é 数字 ✓.png") == "é 数字 ✓.png"
    assert printable("a\x1b[2J\n\udcff\u202e") == "a\\x1b[2J\\n\\udcff\\u202e"
