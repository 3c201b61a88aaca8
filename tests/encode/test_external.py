"""Weights in files beside a model come into it; nothing else is read, and nothing else of it changes."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from simsearch.cli.main import app
from simsearch.encode import onnx_check
from simsearch.encode.graph import external
from simsearch.encode.graph.external import merge_external_data
from simsearch.encode.model_folder import open_model
from simsearch.encode.onnx_check import read_graph

onnx = pytest.importorskip("onnx")
helper = onnx.helper
WEIGHTS = np.random.default_rng(0).normal(size=(3, 5)).astype(np.float32)
BIAS = np.arange(5, dtype=np.float32)
MOST = 2**20


def model() -> Any:
    """The mean of each channel of 8x8 pictures, times weights, plus a bias."""
    floats = onnx.TensorProto.FLOAT
    graph = helper.make_graph(
        [
            helper.make_node("ReduceMean", ["images"], ["means"], axes=[2, 3], keepdims=0),
            helper.make_node("Gemm", ["means", "weights", "bias"], ["vectors"]),
        ],
        "graph",
        [helper.make_tensor_value_info("images", floats, ["n", 3, 8, 8])],
        [helper.make_tensor_value_info("vectors", floats, ["n", 5])],
        [onnx.numpy_helper.from_array(WEIGHTS, "weights"), onnx.numpy_helper.from_array(BIAS, "bias")],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def saved(folder: Path, *, one_file: bool = True) -> Path:
    path = folder / "model.onnx"
    onnx.save_model(
        model(), path, save_as_external_data=True, all_tensors_to_one_file=one_file,
        location="model.onnx.data" if one_file else None, size_threshold=0,
    )  # fmt: skip
    return path


def changed(path: Path, **said: str) -> bytes:
    """The saved model, which says something else of where its weights are."""
    loaded = onnx.load_model(path, load_external_data=False)
    for entry in loaded.graph.initializer[0].external_data:
        entry.value = said.pop(entry.key, entry.value)
    for key, value in said.items():
        entry = loaded.graph.initializer[0].external_data.add()
        entry.key, entry.value = key, value
    content: bytes = loaded.SerializeToString()
    return content


@pytest.mark.parametrize("one_file", [True, False])
def test_the_merged_model_is_the_one_that_was_taken_apart(tmp_path: Path, one_file: bool) -> None:
    path = saved(tmp_path, one_file=one_file)
    assert len(list(tmp_path.iterdir())) == (2 if one_file else 3)
    merged = merge_external_data(path.read_bytes(), tmp_path, MOST)
    loaded = onnx.load_model_from_string(merged)
    onnx.checker.check_model(loaded, full_check=True)
    assert loaded == model()


def test_a_model_that_has_its_weights_is_left_as_it_is(tmp_path: Path) -> None:
    content = model().SerializeToString()
    assert merge_external_data(content, tmp_path / "nowhere", MOST) is content


def test_such_a_file_is_imported_and_computes(tmp_path: Path) -> None:
    path, out = saved(tmp_path), tmp_path / "models" / "m"
    options = ["--size", "8", "--mean", "0,0,0", "--std", "1,1,1", "--out", str(out)]
    result = CliRunner().invoke(app, ["import-model", str(path), *options])
    assert result.exit_code == 0, result.output
    assert [file.name for file in sorted(out.iterdir()) if file.name[0] != "."] == [
        "encoder.onnx",
        "model.json",
    ]
    picture = np.full((1, 8, 8, 3), (255, 0, 51), np.uint8)
    expected = np.array([1, 0, 0.2]) @ WEIGHTS + BIAS
    found = open_model(out, threads=1).encoder.encode(picture)
    np.testing.assert_allclose(found, [expected / np.linalg.norm(expected)], atol=1e-6)


@pytest.mark.parametrize(
    ("said", "problem"),
    [
        ({"location": "../model.onnx.data"}, "it keeps data outside its folder, in '../model.onnx.data'"),
        ({"location": "/etc/passwd"}, "it keeps data outside its folder, in '/etc/passwd'"),
        ({"location": r"C:\weights"}, "it keeps data outside its folder, in 'C:\\\\weights'"),
        ({"location": r"a\..\..\b"}, "it keeps data outside its folder, in "),
        ({"location": "link/model.onnx.data"}, "it keeps data outside its folder, in 'link/model.onnx.data'"),
        ({"location": ""}, "it keeps data outside its folder, in ''"),
        ({"location": "gone.data"}, "its weights are in 'gone.data' beside it, which cannot be read: no"),
        ({"location": "pipe"}, "its weights are in 'pipe' beside it, which cannot be read: not a"),
        ({"length": "56"}, "its tensor 'weights' has 60 bytes, and is said to have 56"),
        ({"offset": "100000"}, "'model.onnx.data' beside it ends before the weights that it says are there"),
        ({"offset": "-4"}, "it says that data are at '-4', which is no number"),
        ({"place": "here"}, "it says where data are by 'place', which ONNX does not know or has twice"),
    ],
    ids=lambda value: "-".join(value.values()) if isinstance(value, dict) else "",
)  # fmt: skip
def test_what_is_elsewhere_or_of_another_size_is_refused_in_words(said, problem: str, tmp_path: Path) -> None:
    folder = tmp_path / "inside"
    folder.mkdir()
    path = saved(folder)
    (tmp_path / "model.onnx.data").write_bytes(bytes(1_000))
    (folder / "link").symlink_to(tmp_path)
    os.mkfifo(folder / "pipe")
    path.write_bytes(changed(path, **said))
    out = tmp_path / "m"
    result = CliRunner().invoke(app, ["import-model", str(path), "--size", "8", "--out", str(out)])
    assert result.exit_code == 2
    assert f"{path} cannot be imported: {problem}" in result.stderr
    assert not out.exists()


def test_more_than_a_file_can_hold_is_refused_before_it_is_read(tmp_path: Path) -> None:
    loaded = onnx.load_model(saved(tmp_path), load_external_data=False)
    loaded.graph.initializer[0].dims[:] = [30_000, 30_000]
    for entry in loaded.graph.initializer[0].external_data:
        entry.value = {"length": str(4 * 30_000**2)}.get(entry.key, entry.value)
    with pytest.raises(ValueError, match="with its weights it has 3,433 MB, more than 2,047"):
        merge_external_data(loaded.SerializeToString(), tmp_path, 2**31 - 1)


def test_a_thousand_names_for_the_same_bytes_are_too_many(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """100,000 of them kept onnxruntime busy for minutes, in 4 MB."""
    path = saved(tmp_path)
    loaded = onnx.load_model(path, load_external_data=False)
    first = loaded.graph.initializer[0]
    for number in range(30):
        loaded.graph.initializer.add().CopyFrom(first)
        loaded.graph.initializer[-1].name = f"again{number}"
    content = loaded.SerializeToString()
    merged = merge_external_data(content, tmp_path, MOST)
    read_graph(merged)
    monkeypatch.setattr(external, "MAX_CONSTANTS", 30)
    monkeypatch.setattr(onnx_check, "MAX_CONSTANTS", 30)
    with pytest.raises(ValueError, match="it has 32 tensors beside it, more than 30"):
        merge_external_data(content, tmp_path, MOST)
    with pytest.raises(ValueError, match="it has 32 constants, more than 30"):
        read_graph(merged)


def test_a_long_name_is_cut_and_no_name_moves_a_cursor(tmp_path: Path) -> None:
    path = saved(tmp_path)
    path.write_bytes(changed(path, location="x\x1b" * 200))
    result = CliRunner().invoke(app, ["import-model", str(path), "--size", "8", "--out", str(tmp_path / "m")])
    assert result.exit_code == 2
    assert "its weights are in 'x\\x1bx\\x1b" in result.stderr
    assert len(result.stderr) < 400
    path = saved(tmp_path)
    result = CliRunner().invoke(
        app, ["import-model", str(path), "--size", "8", "--out", str(tmp_path / "m\x1b]0;a title\x07")]
    )
    assert result.exit_code == 0
    assert "m\\x1b]0;a title\\x07: 20 parameters" in result.stdout
