import contextlib
import csv
import json
import os
import struct
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT, SHIPPED_INDEX
from PIL import Image
from rich.text import Text
from strokes import draw, stroke
from toys import calibrate_index, quadrant_image, toy_split
from typer.testing import CliRunner, Result

from simsearch import __version__
from simsearch.cli.main import app
from simsearch.data.splits import Split
from simsearch.encode.model_folder import ENCODER, Model, read_model_card
from simsearch.encode.shipped_models import SHIPPED
from simsearch.search.searcher import Searcher

DIGIT = ROOT / "docs" / "digit.png"
COMMANDS = (
    "query",
    "similarity",
    "evaluate",
    "build-index",
    "train",
    "export",
    "info",
    "list",
    "rename",
    "delete",
    "verify",
    "doctor",
    "data fetch",
)


def run(*arguments: str | Path | int, **environment: str) -> Result:
    """Run a command in this process, 100 columns wide, without the caller's settings."""
    clean = {name: None for name in os.environ if name.startswith("SIMSEARCH_")}
    runner = CliRunner(env={**clean, "COLUMNS": "100", "NO_COLOR": "1", **environment})
    return runner.invoke(app, [str(argument) for argument in arguments])


def errors(result: Result) -> list[str]:
    return result.stderr.splitlines()


@pytest.fixture
def toy_index(build_toy: Callable[..., Path], toy_gallery: Split) -> Path:
    return build_toy(toy_gallery)


@pytest.fixture
def toy_model_folder(tmp_path: Path, toy_model: Model) -> Path:
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / ENCODER).write_bytes(toy_model.encoder.model)
    (folder / "model.json").write_bytes(toy_model.card.to_json())
    return folder


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    path = tmp_path / "picture.png"
    Image.fromarray(quadrant_image(30, 40, 0, 0)).save(path)
    return path


# Query


def test_query_prints_hits_and_the_class_ranking(toy_index: Path, picture: Path) -> None:
    result = run("query", picture, "--index", toy_index, "--k", 3, "--preprocess", "none")
    assert result.exit_code == 0, result.output
    title, table = result.stdout.split("rank ")
    assert "".join(title.split()) == f"{picture}mostlikeclassa"
    rows = [line.split() for line in table.splitlines()]
    assert rows[2:5] == [
        ["1", "a", "1.0000", "2", "toy/2"],
        ["2", "b", "0.8000", "3", "toy/3"],
        ["3", "a", "0.6000", "0", "toy/0"],
    ]
    ranking = [(row[0], row[1], *row[-3:]) for row in rows[8:11]]
    assert ranking == [
        ("a", "0.7333", "1.0000", "id", "2"),
        ("b", "0.4000", "0.8000", "id", "3"),
        ("c", "0.0000", "0.0000", "id", "5"),
    ]


def test_query_json_carries_scores_at_full_precision(toy_index: Path, picture: Path) -> None:
    result = run("query", picture, "--index", toy_index, "--k", 2, "--preprocess", "none", "--json")
    document = json.loads(result.stdout)
    assert document["index"]["name"] == "toy"
    (answer,) = document["queries"]
    assert [hit["id"] for hit in answer["hits"]] == [2, 3]
    assert answer["hits"][1]["score"] == float(np.float32(0.8))
    assert [row["label"] for row in answer["classes"]] == ["a", "b", "c"]


def test_query_says_when_it_inverts_a_picture_and_shows_all_of_a_small_gallery() -> None:
    result = run("query", DIGIT, "--index", SHIPPED_INDEX, "--k", 20_000, "--json")
    assert errors(result) == [
        "the gallery holds only 10,000 images: showing them all",
        f"{DIGIT}: dark ink on a light background: inverted",
    ]
    assert len(json.loads(result.stdout)["queries"][0]["hits"]) == 10_000


def test_a_bad_picture_is_reported_after_the_others_are_answered(toy_index: Path, picture: Path) -> None:
    missing = picture.with_name("missing.png")
    result = run("query", missing, picture, "--index", toy_index, "--preprocess", "none")
    assert result.exit_code == 2
    assert "most like class a" in result.stdout
    assert errors(result)[-2:] == [
        f"error: cannot read {missing}: no such file or directory",
        "hint: pass the path of a picture",
    ]


def test_each_form_of_output_carries_the_same_hits_in_order(toy_index: Path, picture: Path) -> None:
    asked = ("query", picture, "--id", 0, "--index", toy_index, "--k", 2, "--preprocess", "none")
    document = json.loads(run(*asked, "--json").stdout)
    ids = [[hit["id"] for hit in entry["hits"]] for entry in document["queries"]]
    assert ids == [[2, 3], [1, 2]]
    lines = [json.loads(line) for line in run(*asked, "--jsonl").stdout.splitlines()]
    assert [[hit["id"] for hit in line["hits"]] for line in lines] == ids
    rows = list(csv.DictReader(run(*asked, "--csv").stdout.splitlines()))
    assert [(row["query"], int(row["id"])) for row in rows] == [
        (str(picture), 2),
        (str(picture), 3),
        ("id 0", 1),
        ("id 0", 2),
    ]
    assert run(*asked, "--paths").stdout == "toy/2\ntoy/3\ntoy/1\ntoy/2\n"


def test_queries_come_from_standard_input_and_from_lists(toy_index: Path, picture: Path) -> None:
    options = ("--index", str(toy_index), "--k", "1", "--preprocess", "none", "--paths")
    clean = {name: None for name in os.environ if name.startswith("SIMSEARCH_")}
    runner = CliRunner(env=clean)
    bytes_of_one = runner.invoke(app, ["query", "-", *options], input=picture.read_bytes())
    assert (bytes_of_one.exit_code, bytes_of_one.stdout) == (0, "toy/2\n")
    names = runner.invoke(app, ["query", "--files-from", "-", *options], input=f"{picture}\n{picture}\n")
    assert (names.exit_code, names.stdout) == (0, "toy/2\ntoy/2\n")
    assert names.stderr.startswith("2 queries in ")
    missing = run("query", "--files-from", "nowhere", *options)
    assert (missing.exit_code, errors(missing)) == (
        2,
        ["error: cannot read nowhere: no such file or directory"],
    )


def test_labels_and_combinations_reach_the_search(toy_index: Path, picture: Path) -> None:
    options = ("--index", toy_index, "--preprocess", "none", "--paths")
    assert run("query", picture, *options, "--label", "b").stdout == "toy/3\ntoy/4\n"
    both = run("query", picture, *options, "--label", "b", "--label", "c", "-k", 2)
    assert both.stdout == "toy/3\ntoy/4\n"
    assert run("query", "--like", picture, *options, "-k", 1).stdout == "toy/2\n"
    assert run("query", "--unlike", picture, *options, "-k", 2).stdout == "toy/4\ntoy/5\n"
    nothing = run("query", picture, "--unlike", picture, *options, "-k", 2)
    assert (nothing.exit_code, nothing.stdout) == (2, "")
    assert errors(nothing)[0] == ("error: the pictures cancel out: their sum and difference has no direction")


def test_limits_on_the_command_line_decide_what_matches(toy_index: Path, picture: Path) -> None:
    asked = ("query", picture, "--index", toy_index, "--preprocess", "none", "-k", 3, "--csv")
    for limit, matches in (
        ((), ["", "", ""]),  # no calibration, no limit
        (("--min-score", 0.7), ["true", "true", "false"]),
    ):
        rows = csv.DictReader(run(*asked, *limit).stdout.splitlines())
        assert [row["match"] for row in rows] == matches
    assert "toy has no probabilities" in run(*asked, "--min-probability", 0.99).stderr
    calibrate_index(toy_index)
    rows = csv.DictReader(run(*asked, "--min-probability", 0.95).stdout.splitlines())
    assert [row["match"] for row in rows] == ["true", "false", "false"]
    refused = run(*asked, "--unknown-below", 1.5)
    assert refused.exit_code == 2


def test_the_schema_is_printed_without_a_query() -> None:
    result = run("query", "--schema")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["title"] == "Answers of simsearch query"


def test_pictures_are_drawn_on_a_terminal_and_where_asked_for(toy_index: Path, picture: Path) -> None:
    asked = ("query", picture, "--index", toy_index, "--preprocess", "none", "-k", 2)
    assert run(*asked).stdout.startswith(f"{picture}\n")
    drawn = run(*asked, "--images", "blocks").stdout
    assert drawn.startswith("█" * 14 + f"  {picture}")
    assert "\x1b" not in drawn
    assert "⣿" * 14 in run(*asked, "--images", "braille").stdout
    assert "\x1b_Ga=T" in run(*asked, "--images", "kitty").stdout
    assert "\x1bP0;1;0q" in run(*asked, "--images", "sixel").stdout
    forced = run(*asked, FORCE_COLOR="1", NO_COLOR="")
    assert "\x1b[" in forced.stdout
    assert "▀" in forced.stdout
    bare = run(*asked, "--images", "none", FORCE_COLOR="1", NO_COLOR="")
    assert "rank" in bare.stdout
    by_class = run(*asked, "--images", "blocks", "--by-class").stdout
    assert "1  a            2  b            3  c" in by_class


def test_an_answer_fits_its_window_and_a_pipe_gets_all_of_it(toy_index: Path, picture: Path) -> None:
    pty = pytest.importorskip("pty")
    fcntl, termios = pytest.importorskip("fcntl"), pytest.importorskip("termios")
    command = [sys.executable, "-m", "simsearch", "query", str(picture), "--index", str(toy_index)]
    command += ["--preprocess", "none"]
    environment = {name: value for name, value in os.environ.items() if name not in ("LINES", "COLUMNS")}
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 12, 80, 0, 0))
    with subprocess.Popen(command, env={**environment, "TERM": "xterm"}, stdout=theirs) as process:
        os.close(theirs)
        shown = b""
        with contextlib.suppress(OSError):  # the end of a terminal
            while part := os.read(ours, 65_536):
                shown += part
    os.close(ours)
    lines = Text.from_ansi(shown.decode().replace("\r\n", "\n")).plain.strip().splitlines()
    assert process.returncode == 0
    assert len(lines) <= 10
    assert lines[-1].endswith(": most like class a")
    piped = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    assert len(piped.splitlines()) > 12
    assert [line.split()[-1] for line in piped.splitlines() if "toy/" in line] == [
        f"toy/{row}" for row in (2, 3, 0, 1, 4, 5)
    ]


def test_many_failures_are_counted_and_a_hint_is_not_repeated(toy_index: Path, picture: Path) -> None:
    result = run(
        "query",
        "x.png",
        "y.png",
        picture,
        *("--index", toy_index),
        "--preprocess",
        "none",
        "--paths",
        "-k",
        1,
    )
    assert result.exit_code == 2
    assert result.stdout == "toy/2\n"
    assert errors(result) == [
        "error: cannot read x.png: no such file or directory",
        "hint: pass the path of a picture",
        "error: cannot read y.png: no such file or directory",
        "2 of 3 queries were not answered",
    ]


def test_remarks_of_many_pictures_are_summed() -> None:
    result = run("query", *[DIGIT] * 12, "--index", SHIPPED_INDEX, "--paths", "-k", 1)
    assert errors(result)[0] == "12 pictures: dark ink on a light background: inverted"
    assert errors(result)[1].startswith("12 queries in ")
    assert errors(result)[1].endswith(" a second")
    assert len(result.stdout.splitlines()) == 12


@pytest.mark.parametrize(
    ("arguments", "code", "message", "hint"),
    [
        (
            ["query", "{text}"],
            2,
            "cannot decode {text}: not a picture, or damaged",
            "pass a PNG, JPEG, WebP, BMP, GIF, AVIF or TIFF",
        ),
        (
            ["query", "{tmp}/empty"],
            2,
            "there is no picture in {tmp}/empty",
            "pictures may also lie in sub-folders of it",
        ),
        (
            ["query"],
            2,
            "there is nothing to ask about",
            "name a picture: simsearch query digit.png; or an item of the gallery: simsearch query --id 0",
        ),
        (
            ["query", "https://example.org/3.png"],
            2,
            "https://example.org/3.png is an address, and is not fetched",
            "fetch it yourself: curl -sL 'https://example.org/3.png' | simsearch query -",
        ),
        (
            ["query", "{tmp}/*.gif"],
            2,
            "nothing matches {tmp}/*.gif",
            "look at the pattern, or pass the path of a picture",
        ),
        (
            ["query", "{picture}", "--json", "--csv"],
            2,
            "--json and --csv exclude each other",
            "choose one",
        ),
        (
            ["query", "{picture}", "--jsonl", "--by-class"],
            2,
            "--jsonl is for programs",
            "leave out --by-class and --images",
        ),
        (
            ["query", "{picture}", "--label", "ten"],
            2,
            "there is no class 'ten' in mnist-test",
            "its classes: 0, 1, 2, 3, 4, 5, 6, 7, 8, 9",
        ),
        (
            ["query", "{picture}", "--index", "nowhere", "--index-dir", "{tmp}"],
            3,
            "there is no index in {tmp}/nowhere",
            "`simsearch build-index --dataset FOLDER --name nowhere --index-dir {tmp}` builds it; "
            "there are: mnist-test, unlabeled",
        ),
        (
            ["query", "{picture}", "--index", "{tmp}/none"],
            3,
            "there is no index in {tmp}/none",
            "`simsearch build-index --dataset FOLDER --name NAME` builds one from a folder of images; "
            "there are: mnist-test",
        ),
        (
            ["similarity", "{picture}", "{picture}", "--model", "{tmp}"],
            3,
            "there is no model in {tmp} (no model.json)",
            "train one with `simsearch train`; without --model, commands that have it use the shipped one,"
            " with --model residual the second",
        ),
        (
            ["build-index", "--name", "../x", "--dataset", "{gallery}"],
            2,
            "'../x' cannot name an index",
            "use letters, digits, '.', '_' and '-'",
        ),
        (
            ["build-index", "--factory", "Junk", "--dataset", "{gallery}", "--index-dir", "{tmp}"],
            2,
            "FAISS cannot build 'Junk': could not parse index string Junk",
            "`Flat`, `HNSW32` and `IVF100,Flat` work on most galleries",
        ),
        (
            ["train", "--recipe", "magic"],
            2,
            "there is no recipe 'magic'",
            "choose one of: siamese-pairs, batch-pairs, outlier-exposure, photo-pairs, head-pairs",
        ),
        (
            ["train", "--recipe", "siamese-pair"],
            2,
            "there is no recipe 'siamese-pair'",
            "did you mean 'siamese-pairs'? choose one of: siamese-pairs, batch-pairs, outlier-exposure,"
            " photo-pairs, head-pairs",
        ),
        (["train", "--set", "epochs=0"], 2, "epochs must be at least 1, not 0", None),
        (["export", "{tmp}"], 3, "there is no model in {tmp} (no model.json)", None),
        (["info", "--model", "{tmp}"], 3, "there is no model in {tmp} (no model.json)", None),
        (
            ["evaluate", "--index", "{unlabeled}"],
            2,
            "the index unlabeled has no labels, so nothing can be said to be right",
            None,
        ),
    ],
)
def test_each_error_is_one_line_of_what_happened_and_one_of_what_to_do(
    arguments: list[str],
    code: int,
    message: str,
    hint: str | None,
    tmp_path: Path,
    picture: Path,
    build_toy: Callable[..., Path],
) -> None:
    gallery = tmp_path / "gallery"
    gallery.mkdir()
    draw(gallery / "1.png")
    (tmp_path / "empty").mkdir()
    text = tmp_path / "text.png"
    text.write_text("hello")
    unlabeled = build_toy(toy_split([((99, 0, 0, 0), None)], classes=()), "unlabeled")
    names = {"tmp": tmp_path, "picture": picture, "text": text, "gallery": gallery, "unlabeled": unlabeled}
    result = run(*(argument.format(**names) for argument in arguments))
    assert result.exit_code == code
    assert errors(result)[0] == "error: " + message.format(**names)
    if hint is not None:
        assert errors(result)[1:] == ["hint: " + hint.format(**names)]
    assert result.stdout == ""


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["query", "x.png", "--k", "0"], "Invalid value for '--k' / '-k'"),
        (["query", "x.png", "--k", "ten"], "Invalid value for '--k' / '-k'"),
        (["quary"], "Did you mean 'query'?"),
        (["query", "x.png", "--preprocess", "magic"], "Invalid value for '--preprocess'"),
        (["data", "fetch", "imagenet"], "there is no dataset 'imagenet' to fetch"),
    ],
)
def test_bad_usage_is_explained_with_exit_code_2(arguments: list[str], message: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr.replace("\n", " ")


# Build, measure, describe


def test_an_image_folder_becomes_an_index_that_answers(
    tmp_path: Path, toy_model_folder: Path, mnist_test: Split
) -> None:
    for row, place in enumerate(("cat/0", "cat/1", "dog/0", "dog/1")):
        path = tmp_path / "photos" / f"{place}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(mnist_test.images[row]).save(path)
    (tmp_path / "photos" / "dog" / "broken.png").write_text("no picture")
    built = run(
        "build-index", "--dataset", tmp_path / "photos", "--model", toy_model_folder, "--index-dir", tmp_path
    )
    assert built.exit_code == 0, built.output
    assert built.stdout.startswith(f"{tmp_path / 'photos'}: 4 images, 2 classes by model toy in ")
    assert errors(built) == [
        "skipped dog/broken.png: cannot decode it: not a picture, or damaged",
    ]
    searcher = Searcher.open(tmp_path / "photos")
    assert searcher.bundle.manifest.classes == ("cat", "dog")
    assert list(searcher.bundle.sources) == ["cat/0.png", "cat/1.png", "dog/0.png", "dog/1.png"]
    for row, source in enumerate(searcher.bundle.sources):
        answer = searcher.query(tmp_path / "photos" / source, k=1)
        assert (answer.hits[0].id, answer.hits[0].score) == (row, pytest.approx(1.0))


def test_what_is_left_out_is_a_line_a_reason_and_the_list_a_file(
    tmp_path: Path, toy_model_folder: Path, mnist_test: Split
) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    for row, name in enumerate(("1.png", "2", "3.dat")):
        Image.fromarray(mnist_test.images[row]).save(photos / name, "PNG")
    for number in range(30):
        (photos / f"{number}.txt").write_text("no picture")
    where = ("--model", toy_model_folder, "--index-dir", tmp_path / "indexes")
    built = run("build-index", "--dataset", photos, *where, "--skipped", tmp_path / "left.csv")
    assert built.exit_code == 0, built.output
    assert errors(built) == ["skipped 30 files, as 0.txt: not a picture"]
    assert "3 images by model toy" in built.stdout
    assert len((tmp_path / "left.csv").read_text().splitlines()) == 31
    labels = tmp_path / "labels.csv"
    labels.write_text("path,label\n1.png,x\n2,y\n3.dat,x\n")
    again = run("build-index", "--dataset", photos, *where, "--labels", labels)
    assert "3 images, 2 classes" in again.stdout
    info = run("info", "--index", tmp_path / "indexes" / "photos")
    assert "x (2), y (1)" in info.stdout
    counts = json.loads(run("info", "--index", tmp_path / "indexes" / "photos", "--json").stdout)
    assert counts["class_counts"] == {"x": 2, "y": 1}


def test_an_index_of_something_else_is_replaced_only_if_that_is_wanted(
    tmp_path: Path, toy_model_folder: Path, mnist_test: Split
) -> None:
    for split in ("Training", "testing"):
        for row in (0, 1):
            path = tmp_path / "photos" / split / str(row) / "a.png"
            path.parent.mkdir(parents=True)
            Image.fromarray(mnist_test.images[row]).save(path)
    build = ("build-index", "--name", "x", "--model", toy_model_folder, "--index-dir", tmp_path / "indexes")
    first = run(*build, "--dataset", f"{tmp_path / 'photos'}:train")
    assert (first.exit_code, errors(first)) == (0, [])
    refused = run(*build, "--dataset", tmp_path / "photos", "--split", "test")
    assert refused.exit_code == 2
    assert errors(refused)[1] == "hint: choose another --name, or add --replace"
    replaced = run(*build, "--dataset", tmp_path / "photos", "--split", "test", "--replace")
    assert replaced.exit_code == 0, replaced.output
    listed = json.loads(run("list", "--index-dir", tmp_path / "indexes", "--json").stdout)
    assert [(entry["name"], entry["dataset"], entry["classes"]) for entry in listed][-1] == (
        "x",
        "photos-test",
        ["0", "1"],
    )


def test_indexes_are_listed_renamed_and_deleted_after_a_question(toy_index: Path) -> None:
    where = ("--index-dir", toy_index.parent)
    (row,) = [line.split() for line in run("list", *where).stdout.splitlines() if line.startswith("toy")]
    assert row[:4] == ["toy", "6", "3", "toy"]
    assert run("rename", "toy", "other", *where).stdout == f"toy is now {toy_index.parent / 'other'}\n"
    unanswered = run("delete", "other", *where)
    assert unanswered.exit_code == 2
    assert errors(unanswered)[-2:] == ["error: nobody answered, so nothing was deleted", "hint: add --yes"]
    runner = CliRunner(env={"COLUMNS": "100"})
    asked = ["delete", "other", "--index-dir", str(toy_index.parent)]
    assert runner.invoke(app, asked, input="n\n").exit_code == 0
    assert (toy_index.parent / "other").is_dir()
    assert runner.invoke(app, asked, input="y\n").stdout.endswith(f"deleted {toy_index.parent / 'other'}\n")
    assert not (toy_index.parent / "other").exists()


def test_settings_come_from_flag_then_environment_then_default(toy_index: Path, picture: Path) -> None:
    indexes = toy_index.parent
    by_variable = run(
        "query", picture, "--json", "-k", 1, SIMSEARCH_INDEX_DIR=str(indexes), SIMSEARCH_INDEX="toy"
    )
    assert json.loads(by_variable.stdout)["index"]["name"] == "toy"
    by_flag = run("query", picture, "--json", "-k", 1, "--index", "mnist-test", SIMSEARCH_INDEX="toy")
    assert json.loads(by_flag.stdout)["index"]["name"] == "mnist-test"


def test_the_shipped_index_is_found_from_any_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    result = run("query", DIGIT, "--json", "-k", 3)
    assert json.loads(result.stdout)["index"]["items"] == 10_000


def test_evaluate_prints_every_figure_and_the_same_as_json(toy_index: Path) -> None:
    table = run("evaluate", "--index", toy_index, "--k", 2)
    assert table.exit_code == 0, table.output
    document = json.loads(run("evaluate", "--index", toy_index, "--k", 2, "--json").stdout)
    assert document["schema"] == 1
    assert document["figures"]["P@1"]["value"] == pytest.approx(0.4)
    rows = [line.split() for line in table.stdout.splitlines()]
    figure = document["figures"]["MAP"]
    interval = [f"{figure['low']:.4f}", "to", f"{figure['high']:.4f}"]
    assert ["MAP", "0.6067", *interval, "0.5431"] in rows
    assert ["a", "3", "0.6667", "0.8333", "0.7500", "0.8611"] in rows
    assert "5 queries (toy), 6 items; 1 queries without a relevant item left out" in table.stdout
    assert "most often: a as b (1), b as a (1), b as c (1)" in table.stdout


def test_evaluate_writes_report_tables_and_trec_files(toy_index: Path, tmp_path: Path) -> None:
    outputs = {
        "--report": tmp_path / "r.html",
        "--per-query": tmp_path / "q.csv",
        "--run": tmp_path / "run",
        "--qrels": tmp_path / "qrels",
    }
    flags = [part for pair in outputs.items() for part in pair]
    result = run("evaluate", "--index", toy_index, *flags)
    assert result.exit_code == 0, result.output
    assert errors(result) == [f"wrote {path}" for path in outputs.values()]
    assert all(path.stat().st_size for path in outputs.values())


def test_evaluate_asks_a_query_set_from_a_folder(toy_index: Path, tmp_path: Path, mnist_test: Split) -> None:
    for label, row in (("a", 0), ("c", 1)):
        (tmp_path / "q" / label).mkdir(parents=True)
        Image.fromarray(mnist_test.images[row]).save(tmp_path / "q" / label / "0.png")
    result = run("evaluate", "--index", toy_index, "--queries", tmp_path / "q", "--json")
    document = json.loads(result.stdout)
    assert (document["protocol"], document["queries"]) == ("query set against gallery", 2)
    assert document["per_query"]["query"] == ["a/0.png", "c/0.png"]


def test_compare_says_which_is_better(toy_index: Path, tmp_path: Path) -> None:
    a, b = tmp_path / "a.json", tmp_path / "b.json"
    document = json.loads(run("evaluate", "--index", toy_index, "--json").stdout)
    queries = 40
    rows = list(range(queries))
    columns = {"query": [str(i) for i in rows], "row": rows, "label": ["a"] * queries, "nearest": rows}
    document["per_query"] |= columns
    for path, share in ((a, 0.5), (b, 0.75)):
        document["per_query"]["values"] = {"MAP": [share + (i % 3) / 10 for i in range(queries)]}
        path.write_text(json.dumps(document))
    table = run("compare", a, b, COLUMNS="80")
    assert table.exit_code == 0, table.output
    assert max(map(len, table.stdout.splitlines())) <= 80
    row = table.stdout.splitlines()[-1].split()
    assert row == ["MAP", "0.5975", "0.8475", "+0.2500", "+0.2500", "to", "+0.2500", "0.0001", "B"]
    (metric,) = json.loads(run("compare", a, b, "--json").stdout)["metrics"]
    assert (metric["metric"], metric["better"]) == ("MAP", "B")
    refused = run("compare", a, tmp_path / "none.json")
    assert (refused.exit_code, errors(refused)[0]) == (
        2,
        f"error: cannot read {tmp_path / 'none.json'}: no such file or directory",
    )


def test_similarity_of_a_picture_with_itself_is_one(toy_model_folder: Path, picture: Path) -> None:
    result = run(
        "similarity", picture, picture, "--model", toy_model_folder, "--preprocess", "none", "--json"
    )
    document = json.loads(result.stdout)
    assert document["score"] == pytest.approx(1.0, abs=1e-6)
    assert document["logit"] == pytest.approx(5.0, abs=1e-5)
    text = run("similarity", picture, picture, "--model", toy_model_folder, "--preprocess", "none")
    assert "99.3 %: the same class" in text.stdout


def test_info_describes_an_index_and_a_model(toy_index: Path, toy_model_folder: Path) -> None:
    index = run("info", "--index", toy_index)
    assert "6 from toy, 3 classes" in index.stdout
    assert "4 x float32, inner product, FAISS Flat" in index.stdout
    assert json.loads(run("info", toy_index, "--json").stdout)["count"] == 6
    model = run("info", "--model", toy_model_folder)
    assert "logit = 10.000 x cosine -5.000" in model.stdout
    assert json.loads(run("info", "--model", toy_model_folder, "--json").stdout)["name"] == "toy"


@pytest.mark.parametrize("name", SHIPPED)
def test_a_shipped_model_is_named_instead_of_its_folder(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    card = read_model_card(SHIPPED[name])
    assert json.loads(run("info", "--model", name, "--json").stdout)["name"] == card.name
    assert ("residual, 891,720 parameters" in run("info", "--model", name).stdout) == (name == "residual")
    assert json.loads(run("verify", name, "--json").stdout)["folder"] == str(SHIPPED[name])
    result = run("similarity", DIGIT, DIGIT, "--json", "--model", name)
    document = json.loads(result.stdout)
    assert document["score"] == pytest.approx(1.0, abs=1e-6)
    assert card.pair_scaling is not None
    assert document["logit"] == pytest.approx(float(card.pair_scaling.logit(1.0)), abs=1e-4)


def test_verify_takes_an_index_before_a_shipped_model_of_its_name(
    toy_index: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    toy_index.rename(toy_index.parent / "residual")
    monkeypatch.chdir(toy_index.parent)
    assert json.loads(run("verify", "residual", "--index-dir", ".", "--json").stdout)["folder"] == "residual"


def test_train_writes_a_run_and_shows_each_epoch(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    raw = tmp_path / "data"
    raw.mkdir()
    rng = np.random.default_rng(0)
    images, labels = rng.integers(256, size=(60, 28, 28), dtype=np.uint8), np.arange(60, dtype=np.uint8) % 3
    images[labels == 1, :14] //= 8
    images[labels == 2, 14:] //= 8
    header = (2051).to_bytes(4) + (60).to_bytes(4) + (28).to_bytes(4) * 2
    (raw / "train-images-idx3-ubyte").write_bytes(header + images.tobytes())
    (raw / "train-labels-idx1-ubyte").write_bytes((2049).to_bytes(4) + (60).to_bytes(4) + labels.tobytes())
    small = [f"--set={s}" for s in ("epochs=2", "pairs_per_epoch=64", "batch_size=32", "held_out_images=20")]
    out = tmp_path / "run"
    result = run("train", "--dataset", raw, "--out", out, "--threads", 1, "--set=validation_pairs=50", *small)
    assert result.exit_code == 0, result.output
    with (out / "history.csv").open() as file:
        history = list(csv.DictReader(file))
    assert [row["epoch"] for row in history] == ["1", "2"]
    words = [line.split()[0] for line in errors(result)]
    assert words[:3] == ["epoch", "1", "2"]
    assert all(word == "of" for word in words[3:])  # noise: that nothing was learned may be said
    best = json.loads((out / "model.json").read_bytes())["training"]["best"]["epoch"]
    assert result.stdout.startswith(f"{out}: best epoch {best}, on validation pairs loss ")
    again = run("train", "--dataset", raw, "--out", out)
    assert again.exit_code == 2
    assert errors(again)[-2:] == [
        f"error: {out} already holds a training run",
        "hint: add --resume to continue it, or choose another --out",
    ]
    exported = run("export", out)
    assert exported.stdout.endswith("agrees with torch\n")


def test_doctor_passes_here() -> None:
    result = run("doctor", COLUMNS="200")
    assert "✗" not in result.stdout
    assert result.exit_code == 0
    assert [line.split()[1] for line in result.stdout.splitlines()] == [
        "python",
        "packages",
        "shipped",
        "shipped",
        "index",
        "mnist",
        "torch",
    ]


# The program


def test_version_and_python_m() -> None:
    assert run("--version").stdout == f"simsearch {__version__}\n"
    done = subprocess.run(
        [sys.executable, "-m", "simsearch", "--version"], capture_output=True, text=True, check=True
    )
    assert done.stdout == f"simsearch {__version__}\n"


@pytest.mark.parametrize("command", COMMANDS)
def test_each_command_has_help_with_an_example_and_a_place_in_the_readme(command: str) -> None:
    result = run(*command.split(), "--help")
    assert result.exit_code == 0
    assert f"Example: simsearch {command}" in result.stdout
    assert f"`simsearch {command}" in (ROOT / "README.md").read_text()


def test_an_unexpected_error_is_one_line_and_a_traceback_only_with_debug(
    monkeypatch: pytest.MonkeyPatch, picture: Path
) -> None:
    def explode(*_: object, **__: object) -> None:
        raise RuntimeError("boom")

    monkeypatch.setattr("simsearch.search.searcher.Searcher.open", explode)
    result = run("query", picture)
    assert result.exit_code == 1
    assert errors(result) == ["error: unexpected RuntimeError: boom", "hint: run again with --debug"]
    assert "Traceback" in run("--debug", "query", picture).stderr


def test_an_interrupt_exits_130(monkeypatch: pytest.MonkeyPatch, picture: Path) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("simsearch.search.searcher.Searcher.open", interrupt)
    result = run("query", picture)
    assert (result.exit_code, result.stderr) == (130, "interrupted\n")


def test_a_closed_pipe_ends_quietly(toy_index: Path, picture: Path) -> None:
    options = f"-k 6 --preprocess none --index {toy_index} --json"
    query = f"{sys.executable} -m simsearch query {' '.join([str(picture)] * 200)} {options}"
    done = subprocess.run(
        ["/bin/sh", "-c", f"{query} | head -n 1"], capture_output=True, text=True, check=True
    )
    assert (done.stdout, done.stderr) == ("{\n", "")


def test_shell_completion_offers_the_commands() -> None:
    environment = {
        **os.environ,
        "_SIMSEARCH_COMPLETE": "complete_bash",
        "COMP_WORDS": "simsearch bu",
        "COMP_CWORD": "1",
    }
    done = subprocess.run(
        [Path(sys.executable).with_name("simsearch")],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    assert done.stdout.split() == ["build-index"]


def test_answers_fit_80_columns_and_stay_plain_in_a_pipe(toy_index: Path, picture: Path) -> None:
    for command in (["query", picture, "--preprocess", "none"], ["evaluate"], ["info"]):
        result = run(*command, "--index", toy_index, COLUMNS="80")
        assert max(map(len, result.stdout.splitlines())) <= 80
        assert "\x1b" not in result.stdout


def test_show_prepared_writes_the_steps_of_one_picture(tmp_path: Path) -> None:
    picture, target = tmp_path / "stroke.png", tmp_path / "steps.png"
    Image.fromarray(stroke(10)).resize((280, 280)).save(picture)
    result = run("query", picture, "--show-prepared", target, "--json")
    assert result.exit_code == 0
    with Image.open(target) as sheet:
        assert sheet.format == "PNG"
        assert sheet.height == 18 + 224 + 16  # a caption, a tile, margins
    refused = run("query", picture, picture, "--show-prepared", target)
    assert refused.exit_code == 2
    assert errors(refused)[0].endswith("--show-prepared shows the steps of one picture")


def test_a_name_with_a_null_byte_is_one_line() -> None:
    result = CliRunner().invoke(app, ["evaluate", "--index", str(SHIPPED_INDEX), "--per-query", "a\0b.csv"])
    assert result.exit_code == 2
    reason = "no file can have such a name: it holds a null byte"
    assert result.stderr == f"error: {reason}\nhint: name another file\n"


def test_a_name_that_is_too_long_is_refused_before_the_work() -> None:
    long = "x" * 5_000 + ".csv"
    result = CliRunner().invoke(app, ["evaluate", "--index", str(SHIPPED_INDEX), "--per-query", long])
    assert result.exit_code == 2
    assert result.stderr.startswith(f"error: cannot write {long}: file name too long\n")
