"""The exported encoder: it agrees with torch or it is not written, and says nothing of where it was made."""

import pytest

pytest.importorskip("torch", reason="needs the extra: pip install 'simsearch[train]'")

import copy
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch

import simsearch
from simsearch.encode.onnx import OnnxEncoder
from simsearch.errors import SimsearchError
from simsearch.prepare.prepare import to_batch
from simsearch.train import export
from simsearch.train.export import export_onnx, largest_difference
from simsearch.train.model import EmbeddingNet


@pytest.fixture(scope="module")
def network():
    """A network whose statistics are not at their start values, in evaluation mode."""
    torch.set_num_threads(1)
    torch.manual_seed(1)
    network = EmbeddingNet()
    for _ in range(3):
        network(torch.randn(16, 1, 28, 28))
    return network.eval()


@pytest.fixture(scope="module")
def exported(network):
    return export_onnx(network)


def perturbed(data, amount):
    """The same ONNX with one bias moved."""
    model = onnx.load_model_from_string(data)
    bias = next(tensor for tensor in model.graph.initializer if list(tensor.dims) == [128])
    values = onnx.numpy_helper.to_array(bias) + np.float32(amount)
    bias.CopyFrom(onnx.numpy_helper.from_array(values, bias.name))
    return model.SerializeToString()


@pytest.mark.parametrize("count", [1, 2, 7, 64, 256])
def test_the_exported_encoder_agrees_with_torch_at_any_batch_size(network, exported, count):
    session = onnxruntime.InferenceSession(exported, providers=["CPUExecutionProvider"])
    images = torch.randn(count, 1, 28, 28, generator=torch.Generator().manual_seed(count))

    found = session.run(["vectors"], {"images": images.numpy()})[0]
    with torch.inference_mode():
        expected = network(images).numpy()

    assert found.dtype == np.float32
    assert found.shape == (count, 128)
    assert float(np.abs(found - expected).max()) < 1e-5
    assert float(expected.std(axis=0).max()) > 0 or count == 1


def test_real_digits_get_torchs_vectors_through_the_encoder(network, exported, mnist_test):
    images = mnist_test.images[:100]
    encoder = OnnxEncoder(exported, threads=1)

    with torch.inference_mode():
        expected = network(torch.from_numpy(to_batch(images))).numpy()

    assert encoder.dim == 128
    assert float(np.abs(encoder.encode(images) - expected).max()) < 1e-5


def test_equal_weights_give_equal_bytes_also_from_a_network_still_in_training_mode(network, exported):
    twin = EmbeddingNet().train()
    twin.load_state_dict(network.state_dict())

    assert export_onnx(twin) == exported


def test_other_weights_give_other_bytes(network, exported):
    other = copy.deepcopy(network)
    with torch.no_grad():
        other.conv1.bias[0] += 0.01

    assert export_onnx(other) != exported


def test_exporting_changes_no_weight(network):
    before = copy.deepcopy(network.state_dict())

    export_onnx(network)

    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_the_file_names_no_path_of_this_machine(exported):
    for place in (Path(simsearch.__file__).parent, Path(torch.__file__).parent, Path.home(), Path.cwd()):
        assert place == Path("/") or str(place).encode() not in exported
    for word in (b".py", b"site-packages", b"pkg.torch", b"stack_trace"):
        assert word not in exported


def test_the_model_is_whole_in_one_file_with_one_input_one_output_and_a_free_batch_axis(exported):
    model = onnx.load_model_from_string(exported)

    assert len(exported) > 454_080 * 4
    assert all(tensor.data_location == onnx.TensorProto.DEFAULT for tensor in model.graph.initializer)
    assert not any(tensor.external_data for tensor in model.graph.initializer)
    sides = [
        (value.name, [side.dim_value or side.dim_param for side in value.type.tensor_type.shape.dim])
        for value in (*model.graph.input, *model.graph.output)
    ]
    assert sides == [("images", ["batch", 1, 28, 28]), ("vectors", ["batch", 128])]
    assert len(model.metadata_props) == len(model.graph.metadata_props) == 0


def test_the_difference_is_that_of_the_worst_coordinate(network, exported):
    assert largest_difference(exported, network) < 1e-5
    assert 1e-4 < largest_difference(perturbed(exported, 0.01), network) < 1
    assert largest_difference(exported, EmbeddingNet().eval()) > 0.01


def test_an_onnx_that_differs_from_torch_is_refused(network, exported, monkeypatch):
    monkeypatch.setattr(export, "to_onnx", lambda *_: perturbed(exported, 0.01))

    with pytest.raises(
        SimsearchError, match=r"^the exported encoder differs from torch by 0\.0\d+, more than 1e-05$"
    ) as caught:
        export_onnx(network)

    assert caught.value.hint == "nothing was written; other versions of torch, onnx or onnxruntime may agree"


def test_an_onnx_that_gives_nan_is_refused(network, exported, monkeypatch):
    monkeypatch.setattr(export, "to_onnx", lambda *_: perturbed(exported, np.nan))

    with pytest.raises(
        SimsearchError, match=r"^the exported encoder differs from torch by nan, more than 1e-05$"
    ):
        export_onnx(network)


def test_exporting_prints_nothing_and_leaves_the_log_level_as_it_was(network, capfd):
    import logging

    level = logging.getLogger("torch.onnx").level
    export_onnx(network)

    assert capfd.readouterr() == ("", "")
    assert logging.getLogger("torch.onnx").level == level
