"""ST-GCN and ST-GCN++ give what mmaction2's networks give, with the same weights."""

import pytest
import torch
from torch.nn import functional

from hybrid.benches.encoder import mmaction_stgcnpp
from skeleton.encoders import build_encoder, stgcnpp
from skeleton.encoders.mmaction import graph_of
from skeleton.encoders.stgcnpp import STGCNPP, image, published
from skeleton.layouts.layout import LAYOUTS, LIMBS, Layout
from skeleton.openmmlab import prepare, read_checkpoint


@pytest.mark.parametrize(("layout", "coordinates"), [("coco17", 2), ("ntu25", 3)])
@pytest.mark.parametrize("training", [False, True])
def test_stgcn_equals_mmaction2(layout, coordinates, training):
    prepare("mmaction")
    from mmaction.models import STGCN

    torch.manual_seed(0)
    theirs = STGCN({"layout": graph_of(layout), "mode": "stgcn_spatial"}, in_channels=coordinates + 1).train(training)
    ours = build_encoder(
        "stgcn", layout=layout, width=256, depth=10, stride=4, streams=["joint"], coordinates=coordinates
    )
    ours.load_state_dict(theirs.state_dict())
    ours.train(training)
    joints = ours.num_joints
    inputs = torch.randn(2, 2, 20, joints, coordinates + 1)
    expected = theirs(inputs).flatten(0, 1).permute(0, 2, 3, 1)
    torch.testing.assert_close(ours.encode(inputs.flatten(0, 1), None), expected, atol=1e-4, rtol=1e-4)
    after = theirs.state_dict()
    for key, value in ours.state_dict().items():
        torch.testing.assert_close(value, after[key])


def disturb(network: torch.nn.Module) -> None:
    """Statistics and scales of batch norms that are not those of a new network."""
    for name, value in network.state_dict().items():
        if "running_var" in name:
            value.uniform_(0.5, 2)
        elif "running_mean" in name or ("bn" in name and name.endswith("bias")):
            value.normal_(std=0.3)


@pytest.mark.parametrize("training", [False, True])
def test_stgcnpp_equals_mmaction2(training):
    """In double precision: ten layers of batch statistics enlarge what single precision rounds."""
    torch.manual_seed(0)
    theirs = mmaction_stgcnpp("coco17", 3).double().train(training)
    disturb(theirs)
    ours = build_encoder("stgcnpp", width=256, depth=10, stride=4, streams=["joint"]).double().train(training)
    ours.load_state_dict(published(theirs.state_dict(), prefix=""))
    assert sum(p.numel() for p in ours.parameters()) == sum(p.numel() for p in theirs.parameters())
    inputs = torch.randn(2, 2, 20, 17, 3, dtype=torch.float64)
    found, expected = ours.encode(inputs.flatten(0, 1), None), theirs(inputs).flatten(0, 1).permute(0, 2, 3, 1)
    torch.testing.assert_close(found, expected, atol=1e-9, rtol=1e-9)
    target = torch.randn_like(found)
    (found * target).sum().backward()
    (expected * target).sum().backward()
    after = published(theirs.state_dict(), prefix="")
    for key, value in ours.state_dict().items():
        torch.testing.assert_close(value, after[key])
    gradients = {name: p.grad for name, p in theirs.named_parameters()} | dict(theirs.named_buffers())
    wanted = published(gradients, prefix="")
    for name, parameter in ours.named_parameters():
        torch.testing.assert_close(parameter.grad, wanted[name], atol=1e-8, rtol=1e-6, msg=name)


def test_convolutions_find_the_channels_last_in_memory():
    rows = torch.randn(6, 2, 17, 8)
    found = image(rows)
    assert found.shape == (1, 8, 6, 34) and found.data_ptr() == rows.data_ptr()
    assert functional.conv2d(found, torch.randn(8, 8, 3, 1)).is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(found[0, 3, :, 17 + 5], rows[:, 1, 5, 3])


@pytest.mark.parametrize("persons", [7, 1])
def test_long_clips_are_read_in_pieces_alike(persons, monkeypatch):
    torch.manual_seed(0)
    encoder = build_encoder("stgcnpp", width=32, depth=3, stride=4, streams=["joint"]).eval()
    disturb(encoder)
    visible = torch.rand(persons, 20, 17) > 0.3
    inputs = torch.randn(persons, 20, 17, 3) * visible[..., None]
    for seen in (None, visible):
        with torch.no_grad():
            whole = encoder.encode(inputs, seen)
            monkeypatch.setattr(stgcnpp, "PIECE", inputs[:2, ..., 0].numel() * encoder.first)
            calls, together = [], encoder.together
            monkeypatch.setattr(
                encoder, "together", lambda *a, together=together, calls=calls: calls.append(a) or together(*a)
            )
            torch.testing.assert_close(encoder.encode(inputs, seen), whole)
        assert [len(call[0]) for call in calls] == ([2, 2, 2, 1] if persons == 7 else [1])
        monkeypatch.undo()


def test_published_weights_give_the_published_logits(shared, monkeypatch):
    """ST-GCN++ of PYSKL for hand gestures: 21 joints of a hand, two coordinates, six blocks, 40 classes."""
    joints = tuple(f"joint{number}" for number in range(21))
    limbs = dict.fromkeys(LIMBS, ()) | {"right arm": joints}
    hand = Layout("hand21", joints, tuple((joints[0], joint) for joint in joints[1:]), (), limbs, joints[0])
    monkeypatch.setitem(LAYOUTS, "hand21", hand)
    state = read_checkpoint(shared / "data" / "weights" / "stgcnpp_hagrid_hand21.pth")
    theirs = mmaction_stgcnpp("hand21", 2, num_stages=6, inflate_stages=[6], down_stages=[6]).eval()
    body = {key.removeprefix("backbone."): value for key, value in state.items() if key.startswith("backbone.")}
    theirs.load_state_dict(body)
    ours = STGCNPP("hand21", width=128, depth=6, stride=2, halved=[5], streams=("joint",), coordinates=1).eval()
    ours.load_state_dict(published(state))
    head = torch.nn.Linear(128, 40)
    head.load_state_dict({"weight": state["cls_head.fc_cls.weight"], "bias": state["cls_head.fc_cls.bias"]})
    inputs = torch.randn(4, 1, 12, 21, 2, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = head(theirs(inputs)[:, 0].mean((2, 3)))
        found = head(ours.encode(inputs[:, 0], None).mean((1, 2)))
    assert expected.std() > 0.5
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
