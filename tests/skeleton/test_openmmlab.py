"""The mends hold: OpenMMLab imports, nms is exact, and no checkpoint runs code."""

import os
import pickle
import sys
from collections import OrderedDict

import numpy as np
import pytest
import torch

from skeleton import openmmlab
from skeleton.errors import SkeletonError
from skeleton.openmmlab import prepare, read_checkpoint


class Intruder:
    """A pickled object that would create the file `mark` when it is loaded."""

    def __init__(self, mark):
        self.mark = mark

    def __reduce__(self):
        return os.mkdir, (str(self.mark),)


class MethodThief:
    """A pickle that asks for another attribute of HistoryBuffer than its statistics."""

    def __reduce__(self):
        from mmengine.logging.history_buffer import HistoryBuffer

        return getattr, (HistoryBuffer, "register_statistics")


def test_prepare_twice_changes_nothing():
    prepare("mmengine", "mmcv", "mmdet", "mmpose", "mmaction")
    names = ("mmcv._ext", "xtcocotools", "xtcocotools.coco", "mmaction.models.localizers.drn")
    before = {name: sys.modules[name] for name in names}
    prepare()
    assert {name: sys.modules[name] for name in names} == before


def test_missing_package_names_the_command():
    with pytest.raises(SkeletonError, match=r"no_such_package must be installed.*pip install no_such_package"):
        prepare("no_such_package")


def test_install_command_keeps_broken_dependencies_out():
    command = openmmlab.install_command(["mmpose", "cv2"])
    assert command == "pip install --no-deps mmpose==1.3.2 && pip install opencv-python-headless"


@pytest.mark.skipif(openmmlab.mmcv_is_full(), reason="this mmcv has compiled operators")
@pytest.mark.parametrize("offset", [0, 1])
def test_nms_equals_the_definition(offset):
    prepare()
    from mmcv.ops import nms

    generator = torch.Generator().manual_seed(3)
    corner = torch.rand(40, 2, generator=generator) * 20
    boxes = torch.cat([corner, corner + 1 + torch.rand(40, 2, generator=generator) * 12], 1)
    scores = torch.rand(40, generator=generator)
    kept = []
    for index in scores.argsort(descending=True).tolist():

        def overlap(other, index=index):
            low = torch.maximum(boxes[index, :2], boxes[other, :2])
            high = torch.minimum(boxes[index, 2:], boxes[other, 2:])
            shared = (high - low + offset).clamp(min=0).prod()
            areas = [(boxes[i, 2:] - boxes[i, :2] + offset).prod() for i in (index, other)]
            return shared / (areas[0] + areas[1] - shared)

        if all(overlap(other) <= 0.4 for other in kept):
            kept.append(index)
    found, order = nms(boxes, scores, iou_threshold=0.4, offset=offset)
    assert 3 < len(kept) < 40
    assert order.tolist() == kept
    assert torch.equal(found[:, 4], scores[kept])


@pytest.mark.skipif(openmmlab.mmcv_is_full(), reason="this mmcv has compiled operators")
def test_other_operators_raise_only_when_called():
    prepare()
    from mmcv.ops import RoIAlign

    align = RoIAlign(output_size=2)
    with pytest.raises(SkeletonError, match="operator roi_align_forward needs a compiled mmcv, found mmcv-lite"):
        align(torch.zeros(1, 1, 4, 4), torch.tensor([[0.0, 0, 0, 2, 2]]))


def test_mmaction_imports_without_drn_and_multimodal():
    prepare("mmaction")
    from mmaction.models.localizers import DRN
    from mmaction.utils.dependency import WITH_MULTIMODAL

    assert WITH_MULTIMODAL is False
    with pytest.raises(SkeletonError, match="DRN needs its source"):
        DRN()


def test_xtcocotools_is_pycocotools():
    prepare()
    import pycocotools.coco
    import xtcocotools.coco
    import xtcocotools.mask

    assert xtcocotools.coco.COCO is pycocotools.coco.COCO
    assert xtcocotools.mask.__name__ == "pycocotools.mask"


@pytest.mark.parametrize("zipped", [True, False])
def test_foreign_object_is_refused_and_never_runs(tmp_path, zipped):
    prepare()
    from mmengine.runner import load_checkpoint

    path, mark = tmp_path / "foreign.pth", tmp_path / "executed"
    model = torch.nn.Linear(2, 2)
    content = {"state_dict": model.state_dict(), "meta": Intruder(mark)}
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    for load in (read_checkpoint, lambda name: load_checkpoint(model, str(name))):
        with pytest.raises(SkeletonError, match=r"found the object posix\.mkdir, which was not loaded"):
            load(path)
    assert not mark.exists()
    torch.load(path, weights_only=False)
    assert mark.exists(), "the test's own object must be able to do harm"


def test_environment_cannot_switch_safety_off(tmp_path, monkeypatch):
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    path, mark = tmp_path / "foreign.pth", tmp_path / "executed"
    torch.save(Intruder(mark), path)
    with pytest.raises(SkeletonError, match="could run code"):
        read_checkpoint(path)
    assert not mark.exists()


def test_mmengine_log_and_numpy_are_read(tmp_path):
    prepare()
    from mmengine.logging.history_buffer import HistoryBuffer

    log = HistoryBuffer([1.5, 2.5], [1, 1])
    meta = {"log": log, "value": np.float64(3.5), "array": np.arange(3), "flags": np.array([True, False])}
    torch.save({"state_dict": OrderedDict(w=torch.ones(2)), "meta": meta}, tmp_path / "log.pth")
    found = read_checkpoint(tmp_path / "log.pth")
    assert found["meta"]["log"].mean() == 2.0
    assert found["meta"]["value"] == 3.5
    assert found["meta"]["array"].tolist() == [0, 1, 2]
    assert found["state_dict"]["w"].tolist() == [1, 1]


def test_only_the_statistics_of_the_log_are_answered(tmp_path):
    prepare()
    torch.save({"meta": MethodThief()}, tmp_path / "thief.pth")
    with pytest.raises(SkeletonError, match=r"found the object builtins\.getattr"):
        read_checkpoint(tmp_path / "thief.pth")


@pytest.mark.parametrize("content", [b"", b"hello, this is text\n", b"PK\x03\x04 half a zip", pickle.dumps([1])[:4]])
def test_unreadable_checkpoint(tmp_path, content):
    path = tmp_path / "bad.pth"
    path.write_bytes(content)
    with pytest.raises(SkeletonError, match=r"bad\.pth must be a file written by torch\.save, found unreadable"):
        read_checkpoint(path)


def test_missing_checkpoint_and_unknown_place(tmp_path):
    prepare()
    from mmengine.runner import load_checkpoint

    with pytest.raises(SkeletonError, match=r"expected a checkpoint file at .*none\.pth, found none"):
        read_checkpoint(tmp_path / "none.pth")
    with pytest.raises(SkeletonError, match="expected a local or http checkpoint, found pavi://x"):
        load_checkpoint(torch.nn.Linear(1, 1), "pavi://x")


def test_doctor_is_content_here(capsys):
    assert openmmlab.main() == 0
    text = capsys.readouterr().out
    for word in ("python", "torchvision", "mmpose", "mmcv kind", "device", "everything needed is here"):
        assert word in text


def test_doctor_names_what_is_missing(monkeypatch, capsys):
    real = openmmlab._version
    monkeypatch.setattr(openmmlab, "_version", lambda name: None if name == "mmpose" else real(name))
    assert openmmlab.main() == 1
    text = capsys.readouterr().out
    assert "missing: mmpose; get it with: pip install --no-deps mmpose==1.3.2" in text
