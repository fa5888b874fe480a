"""The encoder: both graph forms agree, padding changes nothing, and every parameter learns."""

from dataclasses import replace

import pytest
import torch

from skeleton.encoders import ENCODERS, build_encoder
from skeleton.encoders.base import pool_any
from skeleton.errors import LayoutError, SkeletonError
from skeleton.layouts import LAYOUTS, get_layout
from skeleton.transforms import SkeletonBatch

FORMS = ("dense", "pyg")


def make(size=3, persons=2, frames=20, layout="coco17", seed=0, coordinates=2) -> SkeletonBatch:
    random = torch.Generator().manual_seed(seed)
    shape = (size, persons, frames, len(get_layout(layout).joints))
    visible = torch.rand(shape, generator=random) > 0.3
    return SkeletonBatch(
        keypoints=torch.rand(*shape, coordinates, generator=random) * visible[..., None],
        confidence=torch.rand(shape, generator=random) * visible,
        visible=visible,
        times=(torch.arange(frames) / 24).expand(size, frames),
        frames=torch.ones(size, frames, dtype=torch.bool),
        aspect=torch.full((size,), 1.5),
        layout=layout,
    )


def build(seed=0, width=32, **options):
    """An encoder whose learned adjacency offsets are no longer zero."""
    torch.manual_seed(seed)
    encoder = build_encoder("stgcnpp", width=width, **options)
    for block in encoder.blocks:
        torch.nn.init.normal_(block.graph.offset, std=0.1)
        torch.nn.init.normal_(block.graph.bias, std=0.1)
    return encoder


def pad(batch: SkeletonBatch, size=0, persons=0, frames=0) -> SkeletonBatch:
    """Garbage where padding is: only masks say that it is padding."""
    b, m, t, v, c = batch.keypoints.shape
    points = torch.full((b + size, m + persons, t + frames, v, c), 9.0)
    points[:b, :m, :t] = batch.keypoints
    confidence = torch.full(points.shape[:-1], 0.5)
    confidence[:b, :m, :t] = batch.confidence
    visible = torch.zeros(points.shape[:-1], dtype=torch.bool)
    visible[:b, :m, :t] = batch.visible
    times = torch.zeros(b + size, t + frames)
    times[:b] = batch.times[:, -1:]
    times[:b, :t] = batch.times
    real = torch.zeros(b + size, t + frames, dtype=torch.bool)
    real[:b, :t] = batch.frames
    aspect = torch.ones(b + size)
    aspect[:b] = batch.aspect
    return SkeletonBatch(points, confidence, visible, times, real, aspect, batch.layout)


@pytest.mark.parametrize(
    ("layout", "mode"), [*((layout, "spatial") for layout in LAYOUTS), ("coco17", "uniform")]
)
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


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("training", [True, False])
def test_padded_equals_unpadded(form, training):
    encoder = build(graph=form).train(training)
    batch = make(frames=20)
    alone, padded = encoder(batch), encoder(pad(batch, size=1, persons=2, frames=13))
    assert alone.features.shape == (3, 2, 3, 17, 32)
    assert padded.features.shape == (4, 4, 5, 17, 32)
    torch.testing.assert_close(padded.features[:3, :2, :3], alone.features, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(padded.times[:3, :3], alone.times)
    for rest in (padded.features[3:], padded.features[:, 2:], padded.features[:, :, 3:]):
        assert (rest == 0).all()
    assert (padded.visible[:3, :2, :3] == alone.visible).all()
    assert padded.visible.sum() == alone.visible.sum()
    assert padded.frames.tolist() == [[True] * 3 + [False] * 2] * 3 + [[False] * 5]
    assert padded.persons.tolist() == [[True, True, False, False]] * 3 + [[False] * 4]


def test_batch_equals_single():
    encoder, batch = build(), make(size=4)
    together = encoder(batch).features
    for row in range(4):
        names = ("keypoints", "confidence", "visible", "times", "frames", "aspect")
        one = replace(batch, **{name: getattr(batch, name)[row : row + 1] for name in names})
        torch.testing.assert_close(encoder(one).features[0], together[row], atol=1e-5, rtol=1e-5)


def test_invisible_joints_are_zero_and_never_read():
    encoder, batch = build(), make()
    points = batch.keypoints.clone()
    points[~batch.visible] = 55.0
    changed = replace(batch, keypoints=points, confidence=batch.confidence + ~batch.visible * 0.4)
    output = encoder(batch)
    torch.testing.assert_close(encoder(changed).features, output.features)
    assert (output.features[~output.visible] == 0).all()
    assert (output.features[output.visible].abs().sum(-1) > 0).all()
    seen = torch.stack([batch.visible[:, :, t : t + 8].any(2) for t in (0, 8, 16)], dim=2)
    assert (output.visible == seen).all()


def test_times_are_the_mean_of_the_real_rows():
    batch = make(frames=20)
    output = build()(batch)
    torch.testing.assert_close(output.times[0], torch.tensor([3.5, 11.5, 17.5]) / 24)
    assert output.times.dtype == torch.float32


@pytest.mark.parametrize("form", FORMS)
def test_nobody_gives_zeros_and_zero_gradients(form):
    encoder, batch = build(graph=form), make()
    nobody = replace(batch, visible=torch.zeros_like(batch.visible))
    output = encoder(nobody)
    assert output.features.shape == (3, 2, 3, 17, 32)
    assert (output.features == 0).all()
    output.features.sum().backward()
    assert all(p.grad is not None and (p.grad == 0).all() for p in encoder.parameters())


@pytest.mark.parametrize("form", FORMS)
def test_every_parameter_and_the_keypoints_get_gradients(form):
    encoder, batch = build(graph=form), make()
    points = batch.keypoints.clone().requires_grad_()
    target = torch.randn(3, 2, 3, 17, 32, generator=torch.Generator().manual_seed(2))
    (encoder(replace(batch, keypoints=points)).features * target).sum().backward()
    silent = [name for name, p in encoder.named_parameters() if p.grad is None or not (p.grad != 0).any()]
    assert silent == []
    assert torch.isfinite(points.grad).all()
    assert (points.grad != 0).any()


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


def test_metres():
    encoder = build(coordinates=3)
    assert encoder(make(coordinates=3)).features.shape[-1] == 32
    with pytest.raises(SkeletonError, match="reads C=3 coordinates, found C=2"):
        encoder(make())


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
        build_encoder("stgcnpp", **options)


def test_wrong_layout_and_unknown_name():
    with pytest.raises(LayoutError, match="this encoder reads layout penn13, found coco17"):
        build(layout="penn13")(make())
    with pytest.raises(SkeletonError, match=f"unknown encoder 'stgcn'; choose one of {', '.join(ENCODERS)}"):
        build_encoder("stgcn")
