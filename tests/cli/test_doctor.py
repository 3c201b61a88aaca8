import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from simsearch.cli import doctor
from simsearch.cli.doctor import Check, check_torch, explain_torch_failure, run_checks
from simsearch.data.mnist_files import FILES
from simsearch.data.splits import Split
from simsearch.prepare.inputs import ImageInput


def named(checks: list[Check], name: str) -> Check:
    (check,) = [check for check in checks if check.name == name]
    return check


def test_mismatched_builds_of_torch_and_torchvision_are_recognized() -> None:
    stderr = "Traceback (most recent call last):\nRuntimeError: operator torchvision::nms does not exist\n"
    assert explain_torch_failure(stderr) == (
        "torch and torchvision come from different builds (one for CUDA, one for the CPU); "
        "fix: pip uninstall -y torch torchvision && pip install torch torchvision"
    )
    assert (
        explain_torch_failure("X\nImportError: no libfoo\n") == "importing it fails: ImportError: no libfoo"
    )
    assert explain_torch_failure("") == "importing it fails: no message"


@pytest.mark.parametrize(
    ("code", "passed", "detail"),
    [
        ("print('2.0 0.1')", True, "torch 2.0, torchvision 0.1"),
        (
            "raise RuntimeError('operator torchvision::nms does not exist')",
            False,
            "torch and torchvision come from",
        ),
        ("import time; time.sleep(30)", False, "importing it took more than 1 s"),
    ],
)
def test_torch_is_tried_in_a_process_of_its_own(
    code: str, passed: bool, detail: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real_run = subprocess.run

    def run_other_code(command: list[str], **options: object) -> object:
        return real_run([*command[:-1], code], **options)  # type: ignore[call-overload]

    monkeypatch.setattr(doctor.importlib.util, "find_spec", lambda _: object())
    monkeypatch.setattr(doctor.subprocess, "run", run_other_code)
    monkeypatch.setattr(doctor, "_IMPORT_TIMEOUT_S", 1 if "sleep" in code else 60)
    check = check_torch()
    assert (check.passed, check.detail[: len(detail)]) == (passed, detail)


def test_a_machine_without_torch_is_healthy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor.importlib.util, "find_spec", lambda _: None)
    assert check_torch() == Check(
        "torch", None, "not installed; only training needs it: pip install 'simsearch[train]'"
    )


@pytest.fixture
def no_torch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "check_torch", lambda: Check("torch", None, ""))


@pytest.mark.usefixtures("no_torch")
def test_a_fresh_machine_passes_without_mnist(tmp_path: Path) -> None:
    checks = list(run_checks(tmp_path / "indexes", tmp_path / "data"))
    assert [check.passed for check in checks] == [True, True, True, True, True, None, None]
    assert named(checks, "mnist").detail.endswith("fetched when a command needs it")


@pytest.mark.usefixtures("no_torch")
def test_a_damaged_dataset_and_a_damaged_index_are_named(
    tmp_path: Path, build_toy: Callable[..., Path], toy_gallery: Split
) -> None:
    raw = tmp_path / "data" / "MNIST" / "raw"
    raw.mkdir(parents=True)
    (raw / FILES[1].name).write_bytes(b"short")
    folder = build_toy(toy_gallery, "mnist-test")
    (encoder,) = folder.glob("encoder-*.onnx")
    encoder.write_bytes(b"\0" * encoder.stat().st_size)
    checks = list(run_checks(tmp_path, tmp_path / "data"))
    mnist, index = named(checks, "mnist"), named(checks, "index mnist-test")
    assert (mnist.passed, index.passed) == (False, False)
    assert f"{FILES[1].name} (has 5 bytes instead of 60,008)" in mnist.detail
    assert mnist.detail.endswith("fix: simsearch data fetch mnist")
    assert encoder.name in index.detail


@pytest.mark.usefixtures("no_torch")
def test_an_encoder_that_computes_differently_is_noticed(
    tmp_path: Path, build_toy: Callable[..., Path], toy_gallery: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = build_toy(toy_gallery, "mnist-test")
    monkeypatch.setattr(
        ImageInput, "to_batch", lambda _, images: images[:, None, ::-1].astype("float32") / 255
    )
    index = named(list(run_checks(tmp_path, tmp_path)), "index mnist-test")
    assert index.passed is False
    assert f"the encoder in {folder} gives another vector for item 0" in index.detail


def test_the_interpreter_that_is_checked_is_the_running_one(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[str] = []

    def record(command: list[str], **_: object) -> object:
        seen.append(command[0])
        return subprocess.CompletedProcess(command, 0, "1 2\n", "")

    monkeypatch.setattr(doctor.subprocess, "run", record)
    check_torch()
    assert seen == [sys.executable]
