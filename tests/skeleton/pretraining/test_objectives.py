"""What holds of every objective, and what each one is about."""

from dataclasses import replace
from functools import cache

import pytest
import torch
from torch.nn import functional

from skeleton.encoders import build_encoder
from skeleton.errors import SkeletonError
from skeleton.inputs.batch import SkeletonBatch
from skeleton.pretraining import OBJECTIVES, build_objective
from skeleton.pretraining.contrast import pooled, views
from tests.skeleton.encoders.batches import make, pad


def random(seed=0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def waving(size=12, seed=0) -> SkeletonBatch:
    """Clips whose wrists move, the left or the right one, at speeds of their own."""
    batch = make(size=size, persons=1, frames=32, missing=0.0, seed=seed)
    points = batch.keypoints[:, :, :1].expand_as(batch.keypoints).clone()
    speeds = torch.linspace(0.2, 1.2, size)
    moved = 0.2 * torch.sin(speeds[:, None] * torch.arange(32))
    for clip in range(size):
        points[clip, 0, :, (9, 10)[clip % 2], 1] += moved[clip]
    return replace(batch, keypoints=points)


def build(name, **options):
    torch.manual_seed(0)
    encoder = build_encoder("prenorm", width=32, depth=2, stride=4, streams=["joint"])
    if name == "alignment":
        options = {"text_width": 16} | options
    return encoder, build_objective(name, encoder, **options)


def loss_of(encoder, objective, batch, seed=0):
    if hasattr(objective, "texts"):
        groups = torch.eye(16)[torch.arange(len(batch.aspect)) % 2]
        objective.texts = groups[:, None].expand(-1, 7, -1)
    return objective(encoder, batch, cache(lambda: encoder(batch)), random(seed))


@pytest.mark.parametrize("name", OBJECTIVES)
def test_falls_and_reaches_the_encoder(name):
    encoder, objective = build(name)
    batch = waving()
    parameters = [p for p in [*encoder.parameters(), *objective.parameters()] if p.requires_grad]
    optimizer = torch.optim.AdamW(parameters, lr=5e-3)
    losses = []
    for step in range(40):
        loss = loss_of(encoder, objective, batch, step)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-5:]) / 5 < 0.93 * sum(losses[:5]) / 5
    silent = [key for key, p in encoder.named_parameters() if p.grad is None or not p.grad.any()]
    assert silent == []


@pytest.mark.parametrize("name", OBJECTIVES)
def test_nobody_is_no_error(name):
    encoder, objective = build(name)
    batch = make(size=2)
    loss = loss_of(encoder, objective, replace(batch, visible=torch.zeros_like(batch.visible)))
    loss.backward()
    assert torch.isfinite(loss)
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in encoder.parameters())


@pytest.mark.parametrize("name", ["velocity", "alignment"])
def test_padding_changes_nothing(name):
    encoder, objective = build(name)
    batch = make(size=4, frames=18)
    one = loss_of(encoder, objective, batch)
    two = loss_of(encoder, objective, pad(batch, persons=1, frames=9))
    torch.testing.assert_close(one, two, atol=1e-5, rtol=1e-5)


def test_what_is_hidden_is_about_the_share_and_what_moves_more():
    _, objective = build("masked_motion", share=0.5)
    known = torch.ones(6, 1, 16, 17, dtype=torch.bool)
    known[:, :, :, 16] = False
    moving = torch.zeros(6, 1, 16, 17)
    moving[..., 9] = 5.0
    hide = objective.choose(moving, known, random())
    assert not hide[..., 16].any()
    assert hide[..., :16].float().mean().item() == pytest.approx(0.5, abs=0.01)
    assert hide[..., 9].float().mean() > 0.7 > hide[..., 3].float().mean()
    pairs = hide.unflatten(2, (8, 2))
    assert (pairs[:, :, :, 0] == pairs[:, :, :, 1]).all()
    shares = hide.flatten(1).float().mean(1)
    assert shares.std() < 0.01


def test_hidden_joints_are_invisible_to_the_encoder():
    encoder, objective = build("masked_joints", share=0.5)
    seen = []
    original = encoder.forward
    encoder.forward = lambda batch: seen.append(batch) or original(batch)
    batch = make(size=3, frames=16, missing=0.2)
    one = loss_of(encoder, objective, batch)
    hidden = batch.visible & ~seen[0].visible
    assert hidden.float().mean() > 0.25
    assert (seen[0].keypoints[hidden] == 0).all() and (seen[0].confidence[hidden] == 0).all()
    points = torch.where(batch.visible[..., None], batch.keypoints, 7.0)
    torch.testing.assert_close(
        loss_of(encoder, objective, replace(batch, keypoints=points * batch.visible[..., None])), one
    )


def test_targets_of_masked_joints_are_the_stream(monkeypatch):
    """A decoder that told the normalised target exactly would have no loss."""
    encoder, objective = build("masked_joints", share=0.4)
    batch = waving()
    from skeleton.inputs.streams import streams

    values = streams(batch, ("joint",))[..., :2].unflatten(2, (8, 4)).transpose(3, 4)  # [B, M, K, V, stride, C]
    mean = values.mean((-1, -2), keepdim=True)
    normal = (values - mean) * ((values - mean).square().mean((-1, -2), keepdim=True) + 1e-4).rsqrt()
    monkeypatch.setattr(objective, "fill", lambda found, hide: normal)
    assert loss_of(encoder, objective, batch) < 1e-8
    monkeypatch.setattr(objective, "fill", lambda found, hide: torch.zeros_like(normal))
    assert loss_of(encoder, objective, batch).item() == pytest.approx(1, abs=0.05)


def test_velocities_are_means_over_the_bin():
    encoder, objective = build("velocity", unit=1.0)
    batch = make(size=1, persons=1, frames=8, missing=0.0)
    points = torch.zeros_like(batch.keypoints)
    points[0, 0, 0, :, 1] = torch.linspace(0, 1, 17)
    points[0, 0] = points[0, 0, :1] + 0.05 * torch.arange(8)[:, None, None] * torch.tensor([1.0, 0.0])
    batch = replace(batch, keypoints=points)
    from skeleton.inputs.streams import torso_lengths

    speed = 0.05 * 24 / torso_lengths(batch).item()
    with torch.no_grad():
        objective.head.weight.zero_()
        objective.head.bias.copy_(torch.tensor([speed, 0.0]))
    assert loss_of(encoder, objective, batch).item() == pytest.approx(0, abs=1e-6)


def test_views_grow_and_the_teacher_follows():
    encoder, objective = build("contrast", momentum=0.5, queue=32)
    batch = waving()
    weak, normal, strong = views(batch, 1.0, random())
    assert weak.visible.all() and normal.visible.all()
    assert 0.4 < strong.visible.float().mean() < 0.6
    assert (weak.keypoints - batch.keypoints).abs().mean() < (normal.keypoints - batch.keypoints).abs().mean()
    objective.train()
    teacher = objective.teacher[0].stem.weight.clone()
    with torch.no_grad():
        encoder.stem.weight.add_(1.0)
    loss_of(encoder, objective, batch)
    torch.testing.assert_close(objective.teacher[0].stem.weight, teacher + 0.5)
    assert int(objective.filled) == 12
    for _ in range(4):
        loss_of(encoder, objective, batch)
    assert int(objective.filled) == 32
    objective.eval()
    kept = objective.queue.clone()
    loss_of(encoder, objective, batch)
    torch.testing.assert_close(objective.queue, kept)
    assert not any(p.requires_grad for p in objective.teacher.parameters())


def test_alignment_brings_limbs_to_their_texts():
    encoder, objective = build("alignment")
    batch = waving()
    optimizer = torch.optim.AdamW([*encoder.parameters(), *objective.parameters()], lr=5e-3)
    for step in range(60):
        loss = loss_of(encoder, objective, batch, step)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    texts = torch.eye(16)[:2]
    bodies = functional.normalize(objective.heads[0](pooled(encoder(batch))), dim=1)
    assert (bodies @ texts.T).argmax(1).tolist() == [0, 1] * 6
    objective.texts = torch.full((12, 7, 16), torch.nan)
    assert objective(encoder, batch, cache(lambda: encoder(batch)), random()) == 0
    objective.texts = None
    with pytest.raises(SkeletonError, match="expected texts of 12 clips for alignment, found none"):
        objective(encoder, batch, cache(lambda: encoder(batch)), random())


def test_wrong_names_and_shares():
    encoder, _ = build("velocity")
    with pytest.raises(SkeletonError, match="unknown objective 'mae'; choose one of masked_joints"):
        build_objective("mae", encoder)
    with pytest.raises(
        SkeletonError, match=r"expected a share in 0 .. 1 and a stretch of 1 bin or more, found 1.5 and 2"
    ):
        build_objective("masked_joints", encoder, share=1.5)
