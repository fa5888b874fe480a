"""What holds of every encoder in the package; a new one is tested by being there."""

from copy import deepcopy
from dataclasses import replace

import pytest
import torch

from skeleton.encoders import ENCODERS, build_encoder
from skeleton.errors import LayoutError, SkeletonError
from skeleton.inputs.batch import SkeletonBatch
from tests.skeleton.encoders.batches import make, pad

every_encoder = pytest.mark.parametrize("name", ENCODERS)
STRIDE, WIDTH = 4, 48
OPTIONS = {"posec3d": {"size": 16}}  # pixels of its heatmaps: less to compute
ROWS = ("keypoints", "confidence", "visible", "times", "frames", "aspect")


def build(name, seed=0, **options):
    """A small encoder whose weights are all at work: nothing is left at zero."""
    torch.manual_seed(seed)
    sizes = {"width": WIDTH, "depth": 3, "stride": STRIDE, "streams": ["joint", "position"]}
    encoder = build_encoder(name, **sizes | OPTIONS.get(name, {}) | options)
    with torch.no_grad():
        for parameter in encoder.parameters():
            if not parameter.any():
                parameter.normal_(std=0.1)
    return encoder


def everyone(batch: SkeletonBatch) -> SkeletonBatch:
    return replace(batch, visible=torch.ones_like(batch.visible), confidence=torch.ones_like(batch.confidence))


@every_encoder
@pytest.mark.parametrize("training", [True, False])
def test_padded_equals_unpadded(name, training):
    """More slots, rows and samples change nothing, and neither do the statistics that training leaves."""
    encoder = build(name).train(training)
    other, batch = deepcopy(encoder), make(frames=18)
    alone, padded = encoder(batch), other(pad(batch, size=1, persons=2, frames=13))
    assert alone.features.shape == (3, 2, 5, 17, WIDTH)
    assert padded.features.shape == (4, 4, 8, 17, WIDTH)
    torch.testing.assert_close(padded.features[:3, :2, :5], alone.features, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(padded.times[:3, :5], alone.times)
    for rest in (padded.features[3:], padded.features[:, 2:], padded.features[:, :, 5:]):
        assert (rest == 0).all()
    assert (padded.visible[:3, :2, :5] == alone.visible).all()
    assert padded.visible.sum() == alone.visible.sum()
    assert padded.frames.tolist() == [[True] * 5 + [False] * 3] * 3 + [[False] * 8]
    for (key, one), two in zip(encoder.named_buffers(), other.buffers(), strict=True):
        torch.testing.assert_close(one, two, msg=key)


@every_encoder
@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_batch_equals_single(name, missing):
    encoder, batch = build(name).eval(), make(size=4, missing=missing)
    together = encoder(batch).features
    for row in range(4):
        one = replace(batch, **{key: getattr(batch, key)[row : row + 1] for key in ROWS})
        torch.testing.assert_close(encoder(one).features[0], together[row], atol=1e-4, rtol=1e-4)


@every_encoder
@pytest.mark.parametrize("training", [True, False])
def test_a_mask_that_hides_nothing_changes_nothing(name, training):
    """The way for whole skeletons and the way with a mask are one network."""
    encoder = build(name).train(training)
    other, batch = deepcopy(encoder), everyone(make(size=2, frames=16))
    whole = encoder(batch).features
    inputs = torch.randn(4, 16, 17, encoder.channels)
    seen = torch.ones(inputs.shape[:-1], dtype=torch.bool)
    again = deepcopy(encoder)
    torch.testing.assert_close(encoder.encode(inputs, None), again.encode(inputs, seen), atol=1e-4, rtol=1e-4)
    rest = pad(batch, persons=1)
    torch.testing.assert_close(other(rest).features[:, :2], whole, atol=1e-4, rtol=1e-4)
    for (key, one), two in zip(encoder.named_buffers(), again.buffers(), strict=True):
        torch.testing.assert_close(one, two, msg=key, atol=1e-5, rtol=1e-4)


@every_encoder
@pytest.mark.parametrize("training", [True, False])
def test_invisible_joints_are_zero_and_never_read(name, training):
    encoder, batch = build(name).train(training), make()
    points = batch.keypoints.clone()
    points[~batch.visible] = 55.0
    changed = replace(batch, keypoints=points, confidence=batch.confidence + ~batch.visible * 0.4)
    output = encoder(batch)
    torch.testing.assert_close(encoder(changed).features, output.features, atol=1e-5, rtol=1e-5)
    assert (output.features[~output.visible] == 0).all()
    assert (output.features[output.visible].abs().sum(-1) > 0).float().mean() > 0.95


@every_encoder
def test_what_is_visible_matters(name):
    encoder, batch = build(name).eval(), make(missing=0.0)
    inputs = torch.randn(2, 16, 17, encoder.channels)
    seen = torch.ones(2, 16, 17, dtype=torch.bool)
    fewer = seen.clone()
    fewer[:, :, 9] = False
    near = torch.tensor([7, 5])
    one, two = encoder.encode(inputs, seen)[:, :, near], encoder.encode(inputs, fewer)[:, :, near]
    assert (one - two).abs().max() > 1e-4
    moved = replace(batch, keypoints=batch.keypoints.roll(1, dims=2))
    assert (encoder(batch).features - encoder(moved).features).abs().max() > 1e-3


@every_encoder
def test_nobody_gives_zeros_and_zero_gradients(name):
    encoder, batch = build(name), make()
    before = deepcopy(encoder.state_dict())
    output = encoder(replace(batch, visible=torch.zeros_like(batch.visible)))
    assert output.features.shape == (3, 2, 5, 17, WIDTH)
    assert (output.features == 0).all()
    output.features.sum().backward()
    assert all(p.grad is not None and (p.grad == 0).all() for p in encoder.parameters())
    for key, value in encoder.state_dict().items():
        if "num_batches" not in key:
            torch.testing.assert_close(value, before[key], msg=key)


@every_encoder
@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_every_parameter_and_the_keypoints_get_gradients(name, missing):
    encoder, batch = build(name), make(missing=missing)
    points = batch.keypoints.clone().requires_grad_()
    target = torch.randn(3, 2, 5, 17, WIDTH, generator=torch.Generator().manual_seed(2))
    (encoder(replace(batch, keypoints=points)).features * target).sum().backward()
    gradients = {key: p.grad for key, p in encoder.named_parameters()}
    assert all(gradient is not None for gradient in gradients.values())
    silent = [key for key, gradient in gradients.items() if not (gradient != 0).any()]
    # A batch norm takes the biases before it off again: their gradient is rounding, and exactly 0 in ST-GCN++.
    taken_off = ("down.bias", "reduce.bias", "expand.bias", "residual.bias", "time.bias", "point.bias")
    assert all(name == "stgcnpp" and key.endswith(taken_off) for key in silent)
    assert torch.isfinite(points.grad).all()
    assert (points.grad != 0).any()


@every_encoder
@pytest.mark.parametrize("missing", [0.0, 0.3])
def test_trains_in_mixed_precision(name, missing):
    encoder, batch = build(name), make(missing=missing)
    encoder.eval()
    expected = encoder(batch).features
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert (encoder(batch).features - expected).abs().max() < 0.1 * expected.abs().max()
        output = encoder.train()(batch).features
    output.float().square().mean().backward()
    assert all(torch.isfinite(p.grad).all() for p in encoder.parameters())


@every_encoder
def test_several_passes_before_the_backward_one(name):
    encoder = build(name)
    encoder.train()
    outputs = [encoder(make(missing=missing)).features for missing in (0.0, 0.3, 0.0, 0.3)]
    torch.stack(outputs).square().mean().backward()
    assert all(torch.isfinite(p.grad).all() for p in encoder.parameters())


@every_encoder
@pytest.mark.parametrize("layout", ["ntu25", "penn13", "kinect20"])
def test_other_layouts_and_metres(name, layout):
    encoder = build(name, layout=layout, coordinates=3, streams=["joint"])
    output = encoder(make(coordinates=3, layout=layout, frames=7))
    assert output.features.shape[2:] == (2, encoder.num_joints, WIDTH)
    assert torch.isfinite(output.features).all()
    with pytest.raises(SkeletonError, match="reads C=3 coordinates, found C=2"):
        encoder(make(layout=layout))
    with pytest.raises(LayoutError, match=f"this encoder reads layout {layout}, found coco17"):
        encoder(make(coordinates=3))


@every_encoder
def test_learns(name):
    """At most 60 steps on two clips that differ in one moving wrist halve the loss."""
    encoder = build(name)
    batch = make(size=2, persons=1, frames=16, missing=0.1)
    points = batch.keypoints.clone()
    points[1] = points[0]
    points[1, 0, ::2, 9] += 0.5
    batch = replace(batch, keypoints=points, visible=batch.visible[:1].expand(2, -1, -1, -1).clone())
    head = torch.nn.Linear(WIDTH, 2)
    optimizer = torch.optim.AdamW([*encoder.parameters(), *head.parameters()], lr=3e-3)
    losses = []
    for _ in range(60):
        logits = head(encoder(batch).features.mean((1, 2, 3)))
        loss = torch.nn.functional.cross_entropy(logits, torch.tensor([0, 1]))
        losses.append(loss.item())
        if losses[-1] < 0.5 * losses[0]:
            return
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    pytest.fail(f"expected half the first loss within 60 steps, found {losses[::6]}")


def test_times_are_the_mean_of_the_real_rows():
    output = build("prenorm")(make(frames=18))
    torch.testing.assert_close(output.times[0], torch.tensor([1.5, 5.5, 9.5, 13.5, 16.5]) / 24)
    assert output.times.dtype == torch.float32


def test_unknown_name():
    with pytest.raises(SkeletonError, match=f"unknown encoder 'gcn'; choose one of {', '.join(ENCODERS)}"):
        build_encoder("gcn")


@every_encoder
def test_an_unknown_option_is_named(name):
    with pytest.raises(
        SkeletonError, match=f"expected options of the encoder {name} among layout, .*, found 'grap'; drop it"
    ):
        build(name, grap="pyg")
