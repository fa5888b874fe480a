"""ST-GCN and ST-GCN++ give what mmaction2's networks give, with the same weights."""

import pytest
import torch

from skeleton.encoders import build_encoder
from skeleton.layouts import get_layout
from skeleton.openmmlab import prepare


def graph_of(layout: str, mode: str) -> dict:
    body = get_layout(layout)
    inward = [(body.index(child), body.index(parent)) for parent, child in body.bones]
    graph = {"num_node": len(body.joints), "inward": inward, "center": body.index(body.center)}
    return {"layout": graph, "mode": mode}


@pytest.mark.parametrize(("layout", "coordinates"), [("coco17", 2), ("ntu25", 3)])
@pytest.mark.parametrize("training", [False, True])
def test_stgcn_equals_mmaction2(layout, coordinates, training):
    prepare("mmaction")
    from mmaction.models import STGCN

    torch.manual_seed(0)
    theirs = STGCN(graph_of(layout, "stgcn_spatial"), in_channels=coordinates + 1).train(training)
    ours = build_encoder("stgcn", layout=layout, width=256, depth=10, stride=4, streams=["joint"], coordinates=coordinates)
    ours.load_state_dict(theirs.state_dict())
    ours.train(training)
    joints = ours.num_joints
    inputs = torch.randn(2, 2, 20, joints, coordinates + 1)
    expected = theirs(inputs).flatten(0, 1).permute(0, 2, 3, 1)
    torch.testing.assert_close(ours.encode(inputs.flatten(0, 1), None), expected, atol=1e-4, rtol=1e-4)
    after = theirs.state_dict()
    for key, value in ours.state_dict().items():
        torch.testing.assert_close(value, after[key])
