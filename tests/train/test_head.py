"""A head on an encoder's features: what it is, what it is measured against, and the file that it becomes."""

import pytest

pytest.importorskip("torch", reason="needs the extra: pip install 'simsearch[train]'")

from dataclasses import replace

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from simsearch.data.splits import HoldOut
from simsearch.encode.encoder import AS_IS, VectorOutput
from simsearch.encode.onnx import OnnxEncoder
from simsearch.errors import SimsearchError
from simsearch.prepare.inputs import ImageInput
from simsearch.train import head_export
from simsearch.train.baselines import fit_lda, fit_logistic_regression, unit_rows
from simsearch.train.features import Features
from simsearch.train.head import HeadNet, HeadNetwork, JoinedHead
from simsearch.train.head_exam import examine, held_out_classes
from simsearch.train.head_export import export_head, largest_difference, merge
from simsearch.train.retrieval import judge_scores

INPUT = ImageInput("photo", 1, 8, 8, 3, (0.5,) * 3, (0.25,) * 3)
D = 6


@pytest.fixture
def head():
    torch.manual_seed(3)
    made = HeadNet(torch.randn(D) * 0.1, 2.5)
    with torch.no_grad():
        made.norm.running_mean.copy_(torch.randn(128) * 0.2)
        made.norm.running_var.copy_(torch.rand(128) + 0.5)
        made.norm.weight.copy_(torch.rand(128) + 0.5)
        made.norm.bias.copy_(torch.randn(128) * 0.2)
    return made.eval()


def encoder(kind="flat", opset=17, dtype=TensorProto.FLOAT, batch="batch", layout="NCHW", pool="none"):
    """A convolution of random weights, then what encoders end in; with a second output nobody wants."""
    rng = np.random.default_rng(1)
    numpy_type = np.float16 if dtype == TensorProto.FLOAT16 else np.float32
    weights = numpy_helper.from_array(rng.normal(size=(D, 3, 3, 3)).astype(numpy_type), "weights")
    unused = numpy_helper.from_array(rng.normal(size=(D, 9)).astype(numpy_type), "classifier")
    shape = [batch, 3, 8, 8] if layout == "NCHW" else [batch, 8, 8, 3]
    nodes = [helper.make_node("Transpose", ["images"], ["x"], perm=[0, 3, 1, 2])] if layout == "NHWC" else []
    x = "x" if nodes else "images"
    nodes.append(helper.make_node("Conv", [x, "weights"], ["maps"], strides=[2, 2]))
    nodes.append(helper.make_node("GlobalAveragePool", ["maps"], ["mean"]))
    nodes.append(helper.make_node("Flatten", ["mean"], ["head_0"], axis=1))  # a name that we might take
    nodes.append(helper.make_node("MatMul", ["head_0", "classifier"], ["classes"]))
    output, declared, initializers = {
        "flat": ("head_0", [batch, D], []),
        "maps": ("maps", [batch, D, 3, 3], []),
        "tokens": ("tokens", [batch, 9, D], [numpy_helper.from_array(np.array([0, D, 9]), "sides")]),
    }[kind]
    if kind == "tokens":
        nodes.append(helper.make_node("Reshape", ["maps", "sides"], ["rows"]))
        nodes.append(helper.make_node("Transpose", ["rows"], ["tokens"], perm=[0, 2, 1]))
    graph = helper.make_graph(
        nodes,
        "toy",
        [helper.make_tensor_value_info("images", dtype, shape)],
        [
            helper.make_tensor_value_info("classes", dtype, [batch, 9]),
            helper.make_tensor_value_info(output, dtype, declared),
        ],
        [weights, unused, *initializers],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)
    return OnnxEncoder(
        model.SerializeToString(),
        input=replace(INPUT, layout=layout),
        output=VectorOutput(output, pool, normalize=True),
        threads=1,
    )


def test_a_head_is_linear_batch_normalization_relu_and_unit_length_by_hand(head):
    features = torch.randn(5, D)
    centered = (features.numpy() - head.center.numpy()) * 2.5
    linear = centered @ head.linear.weight.detach().numpy().T + head.linear.bias.detach().numpy()
    norm = head.norm
    scaled = (linear - norm.running_mean.numpy()) / np.sqrt(norm.running_var.numpy() + norm.eps)
    rectified = np.maximum(scaled * norm.weight.detach().numpy() + norm.bias.detach().numpy(), 0)

    with torch.no_grad():
        found = head(features).numpy()
    np.testing.assert_allclose(found, unit_rows(rectified), atol=1e-6)
    assert sum(one.numel() for one in head.parameters()) == D * 128 + 128 + 256


def test_the_cosine_of_joined_vectors_is_the_weighted_mean_of_both_cosines(head):
    features = unit_rows(np.random.default_rng(0).normal(size=(7, D)))
    with torch.no_grad():
        joined = JoinedHead(head, 0.3)(torch.from_numpy(features)).numpy()
        learned = head(torch.from_numpy(features)).numpy()
    centered = unit_rows(features - head.center.numpy())

    assert joined.shape == (7, 128 + D)
    np.testing.assert_allclose(
        joined @ joined.T, 0.3 * learned @ learned.T + 0.7 * centered @ centered.T, atol=1e-5
    )


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"kind": "maps"},
        {"kind": "tokens", "pool": "cls"},
        {"kind": "tokens", "pool": "mean"},
        {"kind": "tokens", "pool": "mean", "opset": 18},
        {"opset": 9},
        {"opset": 20},
        {"dtype": TensorProto.FLOAT16},
        {"batch": 1},
        {"layout": "NHWC"},
    ],
    ids=str,
)
def test_encoder_and_head_become_one_file_that_says_what_both_parts_say(head, options):
    parts, joined = encoder(**options), JoinedHead(head, 0.4)
    content = export_head(parts, joined)
    whole = OnnxEncoder(content, input=parts.input, output=AS_IS, threads=1)
    pictures = np.random.default_rng(9).integers(0, 256, (5, 8, 8, 3)).astype(np.uint8)

    with torch.no_grad():
        expected = joined(torch.from_numpy(parts.encode(pictures))).numpy()
    np.testing.assert_allclose(whole.encode(pictures), expected, atol=1e-5)
    graph = onnx.load_model_from_string(content).graph
    assert len(graph.output) == 1
    assert not {"classifier"} & {constant.name for constant in graph.initializer}
    assert content == export_head(parts, joined)


def test_a_file_that_says_something_else_than_its_parts_is_not_exported(head, monkeypatch):
    parts = encoder()
    other = merge(parts, JoinedHead(head, 0.5))
    assert largest_difference(other, parts, JoinedHead(head, 0.5)) < 1e-5
    monkeypatch.setattr(head_export, "merge", lambda *_: other)
    with pytest.raises(SimsearchError, match="differs from its parts by"):
        export_head(parts, JoinedHead(head, 0.6))


def test_lda_is_the_generalized_eigenproblem_of_both_covariances():
    linalg = pytest.importorskip("scipy.linalg")
    rng = np.random.default_rng(2)
    labels = np.repeat(np.arange(4), [20, 50, 60, 70])
    noise = rng.normal(size=(200, 9)) * rng.uniform(0.2, 1.5, 9)
    features = (rng.normal(size=(4, 9))[labels] + noise).astype(np.float32)
    ours = fit_lda(features, labels)(features)

    x = features.astype(np.float64) - features.mean(axis=0, dtype=np.float64)
    parts = [x[labels == label] for label in range(4)]
    within = sum(np.cov(part.T, bias=True) * len(part) for part in parts) / 200
    between = sum(np.outer(part.mean(axis=0), part.mean(axis=0)) * len(part) for part in parts) / 200
    shrunk = within / 2 + np.trace(within) / 9 / 2 * np.eye(9)
    values, directions = linalg.eigh(between, shrunk)
    other = unit_rows(x @ directions[:, np.argsort(-values)[:3]])
    np.testing.assert_allclose(ours @ ours.T, other @ other.T, atol=1e-4)

    assert ours.shape == (200, 3)
    np.testing.assert_allclose(np.linalg.norm(ours, axis=1), 1, atol=1e-5)
    within = [ours[labels == label] @ ours[labels == label].T for label in range(4)]
    assert np.mean([part.mean() for part in within]) > (ours @ ours.T).mean() + 0.3
    plain = unit_rows(features - features.mean(axis=0))
    assert (
        judge_scores(ours @ ours.T, labels).map_at_r > judge_scores(plain @ plain.T, labels).map_at_r + 0.05
    )


def test_logistic_regression_gives_roots_of_probabilities():
    rng = np.random.default_rng(4)
    labels = np.repeat([0, 1, 2], 40)
    features = (np.eye(3, 5)[labels] * 3 + rng.normal(size=(120, 5))).astype(np.float32)
    found = fit_logistic_regression(features, labels)(features)

    np.testing.assert_allclose((found**2).sum(axis=1), 1, atol=1e-5)
    assert (found.argmax(axis=1) == labels).mean() > 0.9
    linear = pytest.importorskip("sklearn.linear_model")
    scaled = (features - features.mean(axis=0)) / features.std(axis=0).mean()
    other = linear.LogisticRegression(C=1 / (1e-3 * 120), tol=1e-6).fit(scaled, labels)
    np.testing.assert_allclose(found**2, other.predict_proba(scaled), atol=0.02)


def test_retrieval_by_hand():
    scores = np.array([[0.9, 0.8, 0.7], [0.1, 0.2, 0.3]], np.float32)
    found = judge_scores(scores, np.array([1, 2]), np.array([1, 2, 1]))
    # First: ranks 1 and 3 of two relevant: AP@2 = 1/2. Second: rank 2 of one: 0.
    assert (found.p_at_1, found.map_at_r) == (0.5, 0.25)
    assert found.precisions.tolist() == [0.5, 0.0]

    among = judge_scores(
        np.array([[1, 0.5, 0.2], [0.5, 1, 0.9], [0.2, 0.9, 1]], np.float32), np.array([4, 4, 5])
    )
    assert (among.p_at_1, among.map_at_r, len(among.precisions)) == (0.5, 0.5, 2)  # the third has no other


def clustered(classes=10, each=20, seed=0):
    """Features whose first half tells classes apart, and whose louder second half is noise."""
    rng = np.random.default_rng(seed)
    labels = np.repeat(np.arange(classes), each)
    told = rng.normal(size=(classes, 8))[labels] + 0.5 * rng.normal(size=(len(labels), 8))
    vectors = unit_rows(np.concatenate([told, 2 * rng.normal(size=(len(labels), 8))], axis=1))
    held_out = np.arange(len(labels)) % 5 == 0
    return Features(vectors, labels, HoldOut(np.flatnonzero(~held_out), np.flatnonzero(held_out)))


def test_an_exam_measures_every_way_on_known_and_on_held_out_classes():
    features = clustered()
    asked = []

    def first_half(classes):
        asked.append(classes)
        return lambda vectors: unit_rows(vectors * (np.arange(16) < 8))

    exam = examine(features, first_half)
    assert [row.name for row in exam.rows] == [
        "the encoder alone",
        "shrunken LDA",
        "logistic regression",
        "the head alone",
        f"joined, {exam.weight:.0%} the head",
    ]
    unseen = held_out_classes(features)
    assert len(unseen) == exam.held_out_classes == 2
    assert asked == [None, tuple(label for label in range(10) if label not in unseen)]
    rows = features.part.validation
    scores = features.vectors[rows] @ features.vectors[features.part.train].T
    alone = judge_scores(scores, features.labels[rows], features.labels[features.part.train])
    assert exam.rows[0].known.map_at_r == pytest.approx(alone.map_at_r)
    assert exam.rows[-1].known.map_at_r > alone.map_at_r + 0.05
    assert exam.is_gain
    assert exam.gain == pytest.approx(exam.rows[-1].known.map_at_r - alone.map_at_r)


def test_a_head_that_knows_nothing_gains_nothing_and_gets_the_least_weight():
    def nothing(_):
        return lambda vectors: unit_rows(np.ones((len(vectors), 3)))

    exam = examine(clustered(classes=4), nothing)  # too few classes to hold some out
    assert exam.held_out_classes == 0
    assert all(row.unseen is None for row in exam.rows)
    assert not exam.is_gain


def test_a_head_network_keeps_center_and_scale_of_the_training_images():
    vectors = clustered().vectors
    network = HeadNetwork.of(vectors)
    made = network.build()
    seen = ((vectors - made.center.numpy()) * float(made.scale)).astype(np.float64)
    np.testing.assert_allclose(seen.mean(axis=0), 0, atol=1e-5)
    assert seen.std() == pytest.approx(1, abs=1e-5)
    assert network.key == "head of 16 features"
