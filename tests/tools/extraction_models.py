"""Networks of a few nodes and videos of a few frames, for running tools/extract.py whole, quickly and without weights."""

from pathlib import Path

import numpy as np

from tests.skeleton.extraction.tiny_onnx import constant_model, heatmap_model

SIZE = (48, 64)


def write_models(folder: Path, persons: int = 1) -> list[str]:
    """A detector that always finds `persons` boxes, an estimator that follows brightness; the tool's arguments."""
    folder.mkdir(parents=True, exist_ok=True)
    places = np.linspace(0, 40, persons)
    dets = np.array([[[x, 2, x + 20, 60, 0.9] for x in places]], np.float32).reshape(1, persons, 5)
    answers = {"dets": dets, "labels": np.zeros((1, persons), np.int64)}
    (folder / f"detector{persons}.onnx").write_bytes(constant_model(answers, (1, 3, 64, 64)))
    weights = np.random.default_rng(0).normal(size=(17, 3, 4, 4))
    (folder / "estimator.onnx").write_bytes(heatmap_model(weights, SIZE))
    return [
        "detector.config=rtmdet",
        f"detector.checkpoint={folder / f'detector{persons}.onnx'}",
        f"estimator.checkpoint={folder / 'estimator.onnx'}",
        "device=cpu",
    ]


def frames(count: int, height: int = 64, width: int = 64, seed: int = 0) -> list[np.ndarray]:
    """Frames of coarse noise, RGB uint8."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(60, 255, (count, 4, 4, 3), dtype=np.uint8)
    repeats = -(-height // 4), -(-width // 4)
    return [np.kron(one, np.ones((*repeats, 1), np.uint8))[:height, :width] for one in coarse]


def tree(folder: Path) -> dict[str, bytes]:
    """Every file of a folder, hidden ones too, with its bytes."""
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
