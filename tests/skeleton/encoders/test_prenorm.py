"""Our own encoder: both graph forms agree, and its sizes are what was asked for."""

from dataclasses import replace

import pytest
import torch

from skeleton.encoders import build_encoder
from skeleton.encoders.base import pool_any
from skeleton.errors import SkeletonError
from skeleton.layouts.layout import LAYOUTS
from tests.skeleton.encoders.batches import make


def build(seed=0, width=32, **options):
    """An encoder whose learned adjacency offsets are no longer zero."""
    torch.manual_seed(seed)
    encoder = build_encoder("prenorm", width=width, **options)
    for block in encoder.blocks:
        torch.nn.init.normal_(block.graph.offset, std=0.1)
        torch.nn.init.normal_(block.graph.bias, std=0.1)
    return encoder


@pytest.mark.parametrize(("layout", "mode"), [*((layout, "spatial") for layout in LAYOUTS), ("coco17", "uniform")])
def test_dense_equals_torch_geometric(layout, mode):
    dense, pyg = build(layout=layout, mode=mode), build(layout=layout, mode=mode, graph="pyg", seed=1)
    pyg.load_state_dict(dense.state_dict())
    batch = make(size=2, layout=layout)
    grads = []
    for encoder in (dense, pyg):
        output = encoder(batch).features
        output.square().mean().backward()
        grads.append((output, [p.grad for p in encoder.parameters()]))
    torch.testing.assert_close(grads[0][0], grads[1][0], atol=1e-5, rtol=1e-5)
    assert grads[0][0].std() > 0.1
    for a, b in zip(grads[0][1], grads[1][1], strict=True):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=1e-4)


def test_a_change_reaches_far_joints_and_near_rows_only():
    """One wrist in one row: the ankles hear of it, a row out of reach of all kernels does not."""
    encoder = build(streams=("position",), depth=2, stride=2)
    batch = make(size=1, persons=1, frames=120)
    batch = replace(batch, visible=torch.ones_like(batch.visible))
    points = batch.keypoints.clone()
    points[0, 0, 60, 9] += 0.2
    difference = encoder(replace(batch, keypoints=points)).features - encoder(batch).features
    changed = difference[0, 0].abs().amax(-1) > 1e-6
    assert changed[30].all()
    assert changed.any(1).nonzero().flatten().tolist()[0] >= 30 - 8
    assert changed.any(1).nonzero().flatten().tolist()[-1] <= 30 + 8


@pytest.mark.parametrize(("stride", "depth"), [(1, 1), (2, 1), (4, 2), (8, 3), (8, 5), (16, 4)])
@pytest.mark.parametrize("frames", [1, 16, 21])
def test_stride_and_depth(stride, depth, frames):
    encoder = build(stride=stride, depth=depth)
    output = encoder(make(frames=frames))
    assert (encoder.width, encoder.stride, len(encoder.blocks)) == (32, stride, depth)
    assert output.features.shape == (3, 2, -(-frames // stride), 17, 32)
    assert torch.isfinite(output.features).all()


def test_pool_any():
    mask = torch.tensor([[True, False, False, False, True]])
    assert pool_any(mask, 2, dim=1).tolist() == [[True, False, True]]
    assert pool_any(mask, 4, dim=1).tolist() == [[True, True]]
    assert pool_any(mask.T, 2, dim=0).shape == (3, 1)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"stride": 6}, r"stride must be a power of two up to 2 \*\* \(depth \+ 1\), found 6"),
        ({"stride": 8, "depth": 1}, "found 8, depth 1"),
        ({"width": 36}, r"width must be a multiple of 8, found 36"),
        ({"graph": "sparse"}, "graph must be dense or pyg, found 'sparse'"),
        ({"layout": "coco"}, "unknown joint layout 'coco'"),
        ({"streams": ["joints"]}, "expected streams among joint"),
    ],
)
def test_options_that_cannot_be(options, message):
    with pytest.raises(SkeletonError, match=message):
        build_encoder("prenorm", **options)
