from simsearch.show.names import distinct, without_middle


def cut(name: str, width: int = 7) -> str:
    return without_middle(name, lambda text: len(text) <= width)


def test_the_middle_is_left_out_where_a_name_does_not_fit() -> None:
    assert cut("seven 7") == "seven 7"
    assert cut("letter a") == "let…r a"
    assert cut("abc", 1) == "…"


def test_names_that_cutting_makes_alike_show_where_they_differ() -> None:
    names = {name: name for name in ("upper case a, bold face", "upper case b, bold face", "c")}
    assert [cut(name) for name in names] == ["upp…ace", "upp…ace", "c"]
    shown = distinct(names, cut)
    assert list(shown.values()) == ["…a,…ace", "…b,…ace", "c"]
    assert all(len(text) <= 7 for text in shown.values())


def test_names_that_stay_alike_are_numbered() -> None:
    names = {
        key: f"{start} in the middle, {key}, and the end"
        for start in "ab"
        for key in (start + "1", start + "2")
    }
    shown = distinct({**names, "c": "…1,…end"}, cut)
    assert len(set(shown.values())) == 5
    assert [text[:2] for text in list(shown.values())[:2]] == ["1:", "2:"]


def test_one_name_under_two_keys_stays_alike() -> None:
    assert distinct({"a": "a very long name", "b": "a very long name"}, cut) == {
        "a": "a v…ame",
        "b": "a v…ame",
    }
