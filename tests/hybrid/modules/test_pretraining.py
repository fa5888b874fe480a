"""The event loss, and event pre-training on skeletons that move."""

from dataclasses import replace

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from hybrid.build import build
from hybrid.data.collation import Row
from hybrid.data.event_targets import columns
from hybrid.joints import RARE, event_loss
from hybrid.modules.pretraining import EventPretraining
from skeleton.events import LimbEvent


def test_the_event_loss_by_hand():
    predicted, targets = torch.randn(2, 3, 4), torch.randint(0, 2, (2, 3, 4)).float()
    targets[..., -1] = torch.rand(2, 3)
    targets[0, 1] = torch.nan  # a token of which nothing is known
    expected = 0.0
    for row, token in ((0, 0), (0, 2), (1, 0), (1, 1), (1, 2)):
        for column in range(3):
            truth = targets[row, token, column]
            weight = RARE if truth else 1.0
            expected += weight * binary_cross_entropy_with_logits(predicted[row, token, column], truth)
        expected += (predicted[row, token, 3] - targets[row, token, 3]) ** 2
    torch.testing.assert_close(event_loss(predicted, targets), expected / 5)


def test_without_any_events_the_loss_is_zero_and_still_has_a_gradient():
    predicted = torch.randn(2, 3, 4, requires_grad=True)
    for targets in (None, torch.full((2, 3, 4), torch.nan)):
        loss = event_loss(predicted, targets)
        assert loss == 0
        loss.backward()


@pytest.fixture
def rows(body):
    """Eight clips of one person who waves with one arm: the wrist of that arm swings by a torso, twice a second."""

    def clip(number: int) -> Row:
        skeleton, side = body(1, 3.0, seed=number), ("left", "right")[number % 2]
        keypoints = skeleton.keypoints.copy()
        keypoints[:] = keypoints[:, :1]
        wrist = 9 if side == "left" else 10
        keypoints[0, :, wrist, 0] += 30 * torch.sin(torch.arange(48) * 2 * torch.pi / 8).numpy()
        still = replace(skeleton, keypoints=keypoints, visible=skeleton.visible | True)
        event = LimbEvent(person=0, limb=f"{side} arm", movement="wave", start=0.0, end=3.0, count=6)
        return Row(None, still, 3.0, (), (event,))

    return [clip(number) for number in range(8)]


def test_pretraining_learns_which_arm_waves(tiny_config, tiny_samples, rows):
    config = replace(tiny_config, train=replace(tiny_config.train, event_loss=1.0), data=tiny_config.data)
    model, collator = build(config, tiny_samples)
    learner = EventPretraining(model.joints, replace(config.train, pretrain_lr=1e-2, weight_decay=0.0, pretrain_steps=80))
    learner.log = lambda *_args, **_kwargs: None
    chosen = learner.configure_optimizers()
    optimizer, schedule = chosen["optimizer"], chosen["lr_scheduler"]["scheduler"]
    batch, losses = collator(rows), []
    for _ in range(80):
        optimizer.zero_grad()
        loss = learner.training_step(batch, 0)
        loss.backward()
        optimizer.step()
        schedule.step()
        losses.append(float(loss))
    assert losses[-1] < 0.05 * losses[0]
    known = ~batch.events[..., 0].isnan()
    waves = model.joints.events(model.joints.pooled(batch).features)[..., columns()["wave"]] > 0
    assert torch.equal(waves[known], batch.events[..., columns()["wave"]][known] == 1)
