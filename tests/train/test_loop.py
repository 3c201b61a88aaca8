"""The training loop: repeatable to the bit, resumable to the bit, and blind to what is held out."""

import pytest

pytest.importorskip("torch", reason="needs the extra: pip install 'simsearch[train]'")

import os
import signal
import subprocess
import sys
import textwrap
from dataclasses import asdict, replace

import numpy as np
import torch

from simsearch.data.splits import hold_out
from simsearch.errors import BadInputError, BrokenModelError, MissingModelError
from simsearch.prepare.prepare import to_batch
from simsearch.stats.pairs import draw_pairs
from simsearch.train import loop, objectives
from simsearch.train.checkpoints import load_model, read_checkpoint, save_checkpoint
from simsearch.train.loop import Trainer, configure_torch, seeded
from simsearch.train.model import SimilarityModel
from simsearch.train.recipes import BATCH_PAIRS, SIAMESE_PAIRS
from simsearch.train.validation import LossAndAccuracy, embed

TINY = replace(
    SIAMESE_PAIRS, epochs=3, batch_size=16, pairs_per_epoch=40, validation_pairs=60, held_out_images=80
)


@pytest.fixture(autouse=True)
def _one_thread():
    """Switches are process-wide: set for these tests and put back."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    configure_torch(threads=threads)


@pytest.fixture(scope="module")
def split(mnist_train):
    return mnist_train.take(np.arange(200))


@pytest.fixture
def trainer(split, tmp_path):
    """Make a Trainer of the tiny recipe in a folder of that name."""

    def make(name="run", *, seed=0, workers=0, data=split, **changes):
        folder = tmp_path / name
        folder.mkdir(exist_ok=True)
        recipe = replace(TINY, **changes)
        return Trainer(recipe, data.images, data.labels, folder, seed=seed, workers=workers)

    return make


def weights(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def equal(first, second):
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def figures(history):
    """Records without the one number that is a matter of luck."""
    return [replace(record, seconds=0.0) for record in history]


def script(monkeypatch, losses):
    """Let validation give these losses, whatever the model does."""
    coming = iter(losses)
    monkeypatch.setattr(Trainer, "validate", lambda _: LossAndAccuracy(next(coming), 0.5))


def test_one_seed_gives_the_same_weights_bit_for_bit(trainer):
    once, again = trainer("once"), trainer("again")
    once.run()
    torch.manual_seed(99)  # nothing hangs on the global generators
    np.random.seed(99)  # noqa: NPY002
    again.run()

    assert equal(weights(once.model), weights(again.model))
    assert figures(once.history) == figures(again.history)
    assert once.best_epoch == again.best_epoch
    files = [(made.folder / "best_model.pt").read_bytes() for made in (once, again)]
    assert files[0] == files[1]


def test_another_seed_gives_other_weights_from_the_start_and_other_pairs(trainer):
    first, second = trainer(epochs=1), trainer(epochs=1, seed=1)
    assert not torch.equal(first.model.embedding.conv1.weight, second.model.embedding.conv1.weight)

    second.model.load_state_dict(first.model.state_dict())
    first.run()
    second.run()

    assert not torch.equal(first.model.embedding.conv1.weight, second.model.embedding.conv1.weight)


def spy_on_tables(monkeypatch):
    """The tables of training pairs, as epochs draw them."""
    tables = []
    dataset = objectives.PairDataset
    monkeypatch.setattr(
        objectives, "PairDataset", lambda images, table: tables.append(table) or dataset(images, table)
    )
    return tables


def test_every_epoch_draws_other_pairs_but_judges_itself_on_the_same(trainer, monkeypatch):
    tables = spy_on_tables(monkeypatch)
    runs = [trainer("a"), trainer("b", seed=5, epochs=1)]
    for made in runs:
        made.run()

    assert len({tuple(table.first.tolist()) for table in tables}) == 4
    assert len({tuple(made._validation.pairs.first.tolist()) for made in runs}) == 1
    assert [(len(table), int(table.same.sum())) for table in tables] == [(40, 20)] * 4


@pytest.mark.filterwarnings("ignore:This DataLoader will create")  # on a machine of one core
def test_workers_change_nothing_but_the_speed(trainer):
    alone, helped = trainer("alone", epochs=1), trainer("helped", epochs=1, workers=2)
    alone.run()
    helped.run()

    assert equal(weights(alone.model), weights(helped.model))


class InterruptedByTestError(Exception):
    pass


@pytest.mark.parametrize("epoch", [1, 2])
def test_an_interrupted_and_resumed_run_ends_as_if_it_had_never_stopped(trainer, epoch, monkeypatch):
    def stop(record, _improved):
        if record.epoch == epoch:
            raise InterruptedByTestError

    # The learning rate moves and the best epoch is in the middle: a lost scheduler or best would show.
    losses = [0.5, 0.6, 0.3, 0.7]
    monkeypatch.setattr(Trainer, "validate", lambda made: LossAndAccuracy(losses[len(made.history)], 0.5))
    changes = {"epochs": 4, "plateau_patience": 0}
    whole = trainer("whole", **changes)
    whole.run()
    with pytest.raises(InterruptedByTestError):
        trainer("parts", **changes).run(on_epoch=stop)
    resumed = trainer("parts", **changes)
    resumed.resume()
    assert len(resumed.history) == epoch
    resumed.run()

    assert figures(resumed.history) == figures(whole.history)
    assert [record.learning_rate for record in resumed.history] == [0.01, 0.01, 0.005, 0.005]
    assert resumed.best_epoch == whole.best_epoch == 3
    assert equal(weights(resumed.model), weights(whole.model))
    for name in ("best_model.pt", "last.pt"):
        ours, theirs = (read_checkpoint(made.folder / name) for made in (resumed, whole))
        if name == "last.pt":
            for state in (ours, theirs):
                state["history"] = [{**row, "seconds": 0} for row in state["history"]]
        assert plain(ours) == plain(theirs)


def plain(value):
    """Tensors as lists, so that whole states can be compared."""
    if isinstance(value, torch.Tensor):
        return value.tolist()
    if isinstance(value, dict):
        return {key: plain(part) for key, part in value.items()}
    return [plain(part) for part in value] if isinstance(value, list | tuple) else value


KILLED = """
    import os, signal, sys
    from dataclasses import replace
    from pathlib import Path
    import numpy as np
    from simsearch import files as atomic
    from simsearch.data.datasets import load_split
    from simsearch.train.loop import Trainer, configure_torch
    from simsearch.train.recipes import BATCH_PAIRS, SIAMESE_PAIRS

    folder, data_dir, changes = Path(sys.argv[1]), Path(sys.argv[2]), eval(sys.argv[3])
    replaced, replace_file = [], atomic.replace_file

    def replace_or_die(source, target):
        replaced.append(target.name)
        if replaced.count("best_model.pt") == 2:  # last.pt is of epoch 2, best_model.pt of epoch 1
            os.kill(os.getpid(), signal.SIGKILL)
        replace_file(source, target)

    atomic.replace_file = replace_or_die
    configure_torch(threads=1)
    split = load_split("mnist", "train", data_dir=data_dir).take(np.arange(200))
    recipe = replace(SIAMESE_PAIRS, **changes)
    Trainer(recipe, split.images, split.labels, folder).run()
"""


@pytest.mark.skipif(os.name == "nt", reason="Windows has no SIGKILL")
def test_a_run_killed_between_its_two_checkpoints_resumes_as_if_never_stopped(trainer, mnist_dir):
    whole = trainer("whole")
    whole.run()
    assert whole.history[1].val_loss < whole.history[0].val_loss  # so that epoch 2 writes both files
    killed = trainer("killed")
    changes = {field: value for field, value in asdict(TINY).items() if value != asdict(SIAMESE_PAIRS)[field]}

    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(KILLED), killed.folder, mnist_dir, repr(changes)],
        capture_output=True,
        text=True,
        check=False,
        timeout=600,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    last = read_checkpoint(killed.folder / "last.pt")
    assert len(last["history"]) == 2
    best = load_model(killed.folder / "best_model.pt")
    assert not torch.equal(best.projection.weight, last["model"]["projection.weight"])

    killed.resume()
    killed.run()

    assert figures(killed.history) == figures(whole.history)
    assert equal(weights(killed.model), weights(whole.model))
    files = [(made.folder / "best_model.pt").read_bytes() for made in (killed, whole)]
    assert files[0] == files[1]


def test_the_best_checkpoint_is_of_the_lowest_validation_loss_and_not_of_the_last_epoch(trainer, monkeypatch):
    script(monkeypatch, [0.5, 0.3, 0.4, 0.2, 0.2, 0.9])
    made = trainer(epochs=6, pairs_per_epoch=4)
    kept, told = [], []

    def on_epoch(record, improved):
        kept.append(weights(made.model))
        told.append((record.epoch, record.val_loss, improved, made.best_epoch))

    made.run(on_epoch=on_epoch)

    assert told == [
        (1, 0.5, True, 1),
        (2, 0.3, True, 2),
        (3, 0.4, False, 2),
        (4, 0.2, True, 4),
        (5, 0.2, False, 4),  # the first of equals stays
        (6, 0.9, False, 4),
    ]
    assert made.best == made.history[3]
    best = load_model(made.folder / "best_model.pt").state_dict()
    assert [equal(best, state) for state in kept] == [False, False, False, True, False, False]


def test_the_learning_rate_halves_after_more_than_two_epochs_without_improvement(trainer, monkeypatch):
    script(monkeypatch, [0.5, 0.6, 0.6, 0.4, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5, 0.3])
    made = trainer(epochs=11, pairs_per_epoch=4)

    made.run()

    assert [record.learning_rate for record in made.history] == [0.01] * 7 + [0.005] * 3 + [0.0025]
    assert [record.epoch for record in made.history] == list(range(1, 12))


def test_no_held_out_image_is_ever_trained_on(trainer, split, monkeypatch):
    trained, judged = [], []
    monkeypatch.setattr(
        loop,
        "SimilarityModel",
        lambda *start: spy(loop_model(*start), trained, judged),
    )
    made = trainer(pairs_per_epoch=400, batch_size=50, epochs=2)
    made.run()

    part = hold_out(200, 80)
    held_out = {image.tobytes() for image in to_batch(split.images[part.validation])}
    others = {image.tobytes() for image in to_batch(split.images[part.train])}
    assert (len(held_out), len(others), len(held_out & others)) == (80, 120, 0)
    assert len(trained) == 2 * 2 * 400
    assert set(trained) == others  # 800 draws an epoch from 120 images miss none
    assert len(judged) == 2 * 80
    assert set(judged) == held_out


loop_model = loop.SimilarityModel


def spy(model, trained, judged):
    def look(network, images):
        seen = trained if network.training else judged
        seen.extend(image.contiguous().numpy().tobytes() for image in images[0])

    model.embedding.register_forward_pre_hook(look)
    return model


def test_validation_is_what_the_whole_model_says_about_the_held_out_pairs(trainer, split):
    made = trainer(epochs=1)
    made.run()
    rows = hold_out(200, 80).validation
    table = draw_pairs(split.labels[rows], 60, np.random.default_rng([0, 0]))
    images = torch.from_numpy(to_batch(split.images[rows]))

    with torch.inference_mode():
        logits = made.model.eval()(images[table.first], images[table.second]).double().numpy()
    chance = 1 / (1 + np.exp(-logits))
    loss = -np.where(table.same, np.log(chance), np.log(1 - chance)).mean()
    accuracy = ((chance > 0.5) == table.same).mean()

    found = made.validate()
    assert found.loss == pytest.approx(loss, abs=1e-5)
    assert found.accuracy == pytest.approx(accuracy, abs=1e-6)
    assert (found.loss, found.accuracy) == (made.history[0].val_loss, made.history[0].val_accuracy)
    assert 0 < found.accuracy < 1


def test_training_figures_are_means_over_all_pairs_of_the_epoch_also_with_a_short_last_batch(
    trainer, monkeypatch
):
    """With a learning rate of next to nothing, each batch can be computed again afterwards."""
    made = trainer(epochs=1, learning_rate=1e-30, weight_decay=0.0, pairs_per_epoch=40, batch_size=16)
    seen = []
    made.model.register_forward_hook(lambda _, __, logits: seen.append(logits.detach().double()))
    tables = spy_on_tables(monkeypatch)

    made.run()

    assert [len(logits) for logits in seen] == [16, 16, 8]
    logits, same = torch.cat(seen).numpy(), tables[0].same
    losses = np.where(same, np.log1p(np.exp(-logits)), np.log1p(np.exp(logits)))
    assert made.history[0].train_loss == pytest.approx(losses.mean(), abs=1e-6)
    assert made.history[0].train_accuracy == pytest.approx(((logits > 0) == same).mean(), abs=1e-9)


def r_precision(vectors, labels):
    """Leave-one-out: the share of an image's class among as many nearest neighbors as it has classmates."""
    scores = vectors @ vectors.T
    np.fill_diagonal(scores, -np.inf)
    order = np.argsort(-scores, axis=1)
    relevant = [int((labels == label).sum()) - 1 for label in labels]
    return float(
        np.mean([(labels[order[i, :count]] == labels[i]).mean() for i, count in enumerate(relevant)])
    )


def test_training_learns_what_makes_digits_alike(trainer, mnist_train):
    data = mnist_train.take(np.arange(900))
    rows = hold_out(900, 300).validation
    held_out, labels = torch.from_numpy(to_batch(data.images[rows])), data.labels[rows]
    made = trainer(
        data=data, epochs=3, batch_size=32, pairs_per_epoch=512, validation_pairs=500, held_out_images=300
    )
    before = r_precision(embed(made.model, held_out).numpy(), labels)

    made.run()

    after = r_precision(embed(made.model, held_out).numpy(), labels)
    losses = [record.train_loss for record in made.history]
    assert losses[2] < losses[1] < losses[0]
    assert losses[2] < 0.35  # three seeds: 0.20 to 0.27
    assert made.history[2].val_accuracy > 0.8
    assert before < 0.55  # three seeds: 0.41 to 0.44
    assert after > 0.65  # three seeds: 0.74 to 0.78


def test_steps_are_told_from_one_to_the_last(trainer):
    told = []
    trainer(epochs=2).run(on_step=lambda *step: told.append(step))

    assert told == [(1, 1, 3), (1, 2, 3), (1, 3, 3), (2, 1, 3), (2, 2, 3), (2, 3, 3)]


def test_a_run_that_is_over_does_nothing_more(trainer):
    trainer().run()
    again = trainer()
    again.resume()
    before = weights(again.model)

    again.run(on_epoch=lambda *_: pytest.fail("trained on"))

    assert equal(weights(again.model), before)


def test_the_deterministic_switch_sets_torchs_switches_and_changes_no_weight_on_the_cpu(trainer):
    configure_torch(deterministic=True)
    assert torch.are_deterministic_algorithms_enabled()
    assert (torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark) == (True, False)
    strict = trainer("strict")
    strict.run()

    configure_torch(deterministic=False, threads=1)
    assert not torch.are_deterministic_algorithms_enabled()
    assert (torch.backends.cudnn.deterministic, torch.backends.cudnn.benchmark) == (False, True)
    assert torch.get_num_threads() == 1
    loose = trainer("loose")
    loose.run()

    assert equal(weights(strict.model), weights(loose.model))


def test_seeding_the_first_weights_leaves_the_callers_generator_alone():
    torch.manual_seed(4)
    expected = torch.rand(3)
    torch.manual_seed(4)
    with seeded(7):
        inside = torch.rand(3)
    torch.manual_seed(4)
    with seeded(7):
        assert torch.equal(torch.rand(3), inside)

    assert torch.equal(torch.rand(3), expected)


@pytest.mark.parametrize("held_out", [200, 201, 5000])
def test_a_split_too_small_for_what_is_held_out_is_refused(trainer, held_out):
    with pytest.raises(BadInputError) as caught:
        trainer(held_out_images=held_out)

    assert caught.value.message == (f"cannot hold out {held_out} of 200 images, which choose the checkpoint")
    assert caught.value.hint == "choose fewer with --set held_out_images=NUMBER"
    assert caught.value.exit_code == 2


def test_held_out_images_that_cannot_be_paired_are_refused(trainer):
    with pytest.raises(BadInputError) as caught:
        trainer(held_out_images=1)

    assert caught.value.message == (
        "the 1 validation images cannot be paired: pairs need at least two classes, and two images in one"
    )
    assert caught.value.hint.endswith("with --set held_out_images=NUMBER")


def test_training_images_that_cannot_be_paired_are_refused(trainer):
    made = trainer(held_out_images=199)

    with pytest.raises(BadInputError, match=r"^the 1 training images cannot be paired: "):
        made.run()


def test_a_run_that_diverges_stops_and_says_so(trainer, monkeypatch):
    script(monkeypatch, [0.5, float("nan")])
    made = trainer(pairs_per_epoch=4)

    with pytest.raises(BadInputError) as caught:
        made.run()

    assert caught.value.message == "training diverged: the validation loss of epoch 2 is nan"
    assert caught.value.hint == "train into another folder with a smaller learning_rate"
    assert made.best_epoch == 1
    assert len(read_checkpoint(made.folder / "last.pt")["history"]) == 1


def test_a_learning_rate_far_too_large_does_diverge(trainer):
    with pytest.raises(BadInputError, match=r"^training diverged: the validation loss of epoch 1 is nan$"):
        trainer(learning_rate=1e30).run()


@pytest.mark.parametrize("changes", [{"seed": 1}, {"epochs": 4}, {"learning_rate": 0.02}], ids=str)
def test_a_run_of_another_recipe_or_seed_is_not_resumed(trainer, changes):
    trainer(epochs=1).run()

    with pytest.raises(BadInputError) as caught:
        trainer(**{"epochs": 1, **changes}).resume()

    assert caught.value.message.endswith("last.pt is of a run with another recipe or seed")
    assert caught.value.hint == "resume with that run's own settings, or train into another folder"


def test_there_is_nothing_to_resume_without_the_last_checkpoint(trainer):
    with pytest.raises(MissingModelError, match=r"^there is no checkpoint at .*last.pt$"):
        trainer(epochs=1).resume()


def spoil(folder, how):
    """Put something else in the place of a run's best weights."""
    path = folder / "best_model.pt"
    data = path.read_bytes()
    path.unlink()
    if how == "cut":
        path.write_bytes(data[:-500])
    elif how == "foreign":
        torch.manual_seed(7)
        save_checkpoint(path, SimilarityModel().state_dict())
    return data


@pytest.mark.parametrize("how", ["cut", "foreign", "missing"])
def test_best_weights_that_are_not_the_runs_are_written_again_where_the_run_still_has_them(trainer, how):
    made = trainer(epochs=1)
    made.run()
    right = spoil(made.folder, how)

    trainer(epochs=1).resume()

    assert (made.folder / "best_model.pt").read_bytes() == right


@pytest.mark.parametrize("how", ["cut", "foreign", "missing"])
def test_best_weights_that_are_not_the_runs_are_refused_before_training_goes_on(trainer, how):
    """Two epochs ago they were the best: nothing else holds them."""
    made = trainer(epochs=2)
    made.run()
    state = read_checkpoint(made.folder / "last.pt")
    save_checkpoint(made.folder / "last.pt", {**state, "best_epoch": 1})
    spoil(made.folder, how)

    with pytest.raises((BrokenModelError, MissingModelError), match=r"best_model.pt"):
        trainer(epochs=2).resume()


def test_a_run_on_other_images_or_labels_is_not_resumed(trainer, split):
    """Another dataset of the same size was once taken for the same."""
    made = trainer(epochs=1)
    made.run()
    for data in (
        replace(split, images=split.images[::-1].copy()),
        replace(split, labels=split.labels[::-1].copy()),
    ):
        with pytest.raises(BadInputError, match="is of a run on other images or labels"):
            trainer(epochs=1, data=data).resume()


def test_a_run_from_before_hashes_were_recorded_is_resumed(trainer):
    made = trainer(epochs=1)
    made.run()
    state = read_checkpoint(made.folder / "last.pt")
    save_checkpoint(made.folder / "last.pt", {k: v for k, v in state.items() if not k.endswith("sha256")})
    trainer(epochs=1).resume()


@pytest.fixture(scope="module")
def last_state(split, tmp_path_factory):
    """The state of a run after its first epoch of three."""
    folder = tmp_path_factory.mktemp("first")
    torch.set_num_threads(1)
    made = Trainer(replace(TINY, pairs_per_epoch=4), split.images, split.labels, folder)

    def stop(*_):
        raise InterruptedByTestError

    with pytest.raises(InterruptedByTestError):
        made.run(on_epoch=stop)
    return folder, read_checkpoint(folder / "last.pt")


def changed(state, where, value):
    """A copy of a nested state with one part replaced, or left out."""
    key, *deeper = where
    copy = list(state) if isinstance(state, list) else dict(state)
    if deeper:
        copy[key] = changed(copy[key], deeper, value)
    elif value is ...:
        del copy[key]
    else:
        copy[key] = value
    return copy


CONV = "embedding.conv1.weight"
PARTS = ("model", "optimizer", "scheduler", "history", "best_epoch")
DAMAGE = [
    *(([key], ...) for key in ("recipe", "seed", "scaler", *PARTS)),
    *(([key], value) for key in PARTS for value in (None, "x", 0.5)),
    (["more"], 1),
    (["best_epoch"], 0),
    (["best_epoch"], 2),
    (["best_epoch"], -1),
    (["best_epoch"], True),
    (["history"], []),
    (["history"], [1]),
    (["history", 0, "val_loss"], ...),
    (["history", 0, "val_loss"], "low"),
    (["history", 0, "more"], 1.0),
    (["model", CONV], ...),
    (["model", CONV], torch.zeros(3)),
    (["model", CONV], torch.full((32, 1, 5, 5), torch.nan)),
    (["model", CONV], torch.zeros(1).expand(10**6, 10**6)),
    (["optimizer", "state"], ...),
    (["optimizer", "state"], {}),
    (["optimizer", "state", 0], ...),
    (["optimizer", "state", 0, "exp_avg"], ...),
    (["optimizer", "state", 0, "exp_avg"], torch.zeros(7)),
    (["optimizer", "state", 0, "exp_avg"], torch.zeros(1).expand(10**6, 10**6)),
    (["optimizer", "state", 0, "step"], "one"),
    (["optimizer", "param_groups"], []),
    (["optimizer", "param_groups", 0, "lr"], "fast"),
    (["optimizer", "param_groups", 0, "lr"], ...),
    (["optimizer", "param_groups", 0, "params"], [0]),
    (["scheduler", "best"], "low"),
    (["scheduler", "best"], ...),
    (["scheduler", "step"], 1),  # would hide the scheduler's method of that name
    (["scheduler", "num_bad_epochs"], None),
]  # fmt: skip


@pytest.mark.parametrize(("where", "value"), DAMAGE, ids=lambda part: str(part)[:40])
def test_a_last_checkpoint_with_parts_missing_or_wrong_is_broken(trainer, last_state, where, value):
    folder, state = last_state
    made = trainer(pairs_per_epoch=4)
    (made.folder / "best_model.pt").write_bytes((folder / "best_model.pt").read_bytes())
    before = weights(made.model)
    torch.save(changed(state, where, value), made.folder / "last.pt")

    with pytest.raises(BrokenModelError, match=r"last\.pt") as caught:
        made.resume()

    assert caught.value.exit_code == 3
    assert equal(weights(made.model), before)
    assert made.history == []


def test_the_states_above_are_broken_by_their_damage_alone(trainer, last_state):
    folder, state = last_state
    made = trainer(pairs_per_epoch=4)
    (made.folder / "best_model.pt").write_bytes((folder / "best_model.pt").read_bytes())
    save_checkpoint(made.folder / "last.pt", changed(state, ["scaler"], {"scale": 65536.0}))  # made on a GPU

    made.resume()

    assert len(made.history) == made.best_epoch == 1
    assert equal(weights(made.model), state["model"])


TINY_BATCHES = {
    "pairing": "batch",
    "optimizer": "adamw",
    "schedule": "one-cycle",
    "average": 0.5,
    "precision": "bfloat16",
    "rotation": 10.0,
    "elastic": 0.5,
    "batch_size": 16,
}


def test_a_resumed_run_of_every_lever_ends_as_if_never_interrupted(trainer):
    whole = trainer("whole", epochs=3, **TINY_BATCHES)
    whole.run()

    def stop(record, _):
        if record.epoch == 1:
            raise InterruptedByTestError

    with pytest.raises(InterruptedByTestError):
        trainer("parts", epochs=3, **TINY_BATCHES).run(on_epoch=stop)
    resumed = trainer("parts", epochs=3, **TINY_BATCHES)
    resumed.resume()
    resumed.run()

    assert equal(weights(resumed.model), weights(whole.model))
    assert equal(weights(resumed.kept_model), weights(whole.kept_model))
    assert figures(resumed.history) == figures(whole.history)
    files = [(made.folder / "best_model.pt").read_bytes() for made in (whole, resumed)]
    assert files[0] == files[1]


def test_the_averaged_weights_are_the_ones_that_are_validated_and_kept(trainer):
    made = trainer(epochs=1, **TINY_BATCHES)
    made.run()

    kept = load_model(made.folder / "best_model.pt")
    assert equal(weights(kept), weights(made.kept_model))
    assert not equal(weights(kept), weights(made.model))
    judged = made.validate()
    made._average = None
    assert made.validate() != judged
    assert made.history[0].val_loss == judged.loss


def test_the_average_is_an_exponential_moving_one(trainer):
    made = trainer(epochs=1, **TINY_BATCHES)
    seen = []
    made._optimizer.register_step_post_hook(
        lambda *_: seen.append(made.model.embedding.linear.weight.detach().clone())
    )
    made.run()

    expected = seen[0]
    for weight in seen[1:]:
        expected = 0.5 * expected + 0.5 * weight
    assert len(seen) == made._objective.steps > 2
    assert torch.allclose(made.kept_model.embedding.linear.weight, expected, atol=1e-6)


def test_one_cycle_rises_to_the_recipes_rate_and_falls_to_almost_nothing(trainer):
    made = trainer(epochs=10, **TINY_BATCHES)
    rates = []
    made.run(on_step=lambda *_: rates.append(made._optimizer.param_groups[0]["lr"]))

    peak = int(np.argmax(rates))
    assert len(rates) == 10 * made._objective.steps
    assert max(rates) == pytest.approx(made.recipe.learning_rate, rel=1e-3)
    assert peak / len(rates) == pytest.approx(made.recipe.warm_up, abs=0.03)
    assert rates[: peak + 1] == sorted(rates[: peak + 1])
    assert rates[peak:] == sorted(rates[peak:], reverse=True)
    assert rates[-1] < 1e-6


def test_only_layer_weights_decay_under_adamw(trainer):
    made = trainer(**TINY_BATCHES)
    decayed, spared = made._optimizer.param_groups
    network = made.model.embedding
    assert {id(p) for p in decayed["params"]} == {
        id(layer.weight) for layer in (network.conv1, network.conv2, network.linear)
    }
    assert (decayed["weight_decay"], spared["weight_decay"]) == (made.recipe.weight_decay, 0.0)
    assert len(decayed["params"]) + len(spared["params"]) == len(list(made.model.parameters()))


def test_half_precision_stays_close_to_single_precision(trainer):
    single, half = (
        trainer(precision, epochs=1, **{**TINY_BATCHES, "precision": precision, "learning_rate": 1e-4})
        for precision in ("float32", "bfloat16")
    )
    single.run()
    half.run()

    assert half.history[0].train_loss == pytest.approx(single.history[0].train_loss, rel=0.02)
    if half._precision is torch.bfloat16:
        assert not equal(weights(single.model), weights(half.model))


def test_every_pair_in_a_batch_teaches_more_than_sampled_pairs_of_the_same_images(mnist_train, tmp_path):
    """The same number of embedded images: 2 epochs of 1,536 against 1,536 sampled pairs."""
    data = mnist_train.take(np.arange(2_036))
    common = {"epochs": 2, "batch_size": 128, "held_out_images": 500, "validation_pairs": 2_000}
    batch = replace(BATCH_PAIRS, average=0.0, precision="float32", **common)
    sampled = replace(SIAMESE_PAIRS, pairs_per_epoch=768, **common)
    accuracies = []
    for recipe in (batch, sampled):
        folder = tmp_path / recipe.name
        folder.mkdir()
        made = Trainer(recipe, data.images, data.labels, folder)
        made.run()
        held_out = hold_out(len(data), 500).validation
        vectors = embed(made.kept_model, torch.from_numpy(to_batch(data.images[held_out]))).numpy()
        accuracies.append(r_precision(vectors, data.labels[held_out]))
    assert accuracies[0] > accuracies[1] + 0.03
