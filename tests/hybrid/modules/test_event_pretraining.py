"""The event loss, and event pre-training on skeletons that move."""

from dataclasses import replace

import pytest
import torch
from torch.nn.functional import binary_cross_entropy_with_logits

from fusion.batch import Row
from fusion.event_words import total_counts
from fusion.losses import POSITIVE_WEIGHT, event_loss, event_probabilities
from fusion.tokens import TokenPlan
from hybrid.modules.event_pretraining import EventPretraining
from hybrid.runs.build import build
from skeleton.events.limb_event import LimbEvent
from skeleton.events.targets import columns

PLAN = TokenPlan(
    torch.tensor([2, 2]), torch.tensor([1.0, 1.0]), torch.tensor([[True], [True]]), 1
)  # one limb, two bins


def test_the_event_loss_by_hand():
    size = len(columns())
    predicted, targets = torch.randn(2, 3, size), torch.zeros(2, 3, size)
    targets[:, 1:, :2] = torch.randint(0, 2, (2, 2, 2)).float()
    targets[0, 1:, columns()["wave"]], targets[0, 1:, -1] = 1.0, torch.tensor([1.5, 2.0])
    targets[:, 0] = torch.nan  # null tokens, of which nothing is known
    totals = total_counts(event_probabilities(predicted), PLAN)
    true = total_counts(targets.nan_to_num(0.0), PLAN)
    expected = 0.0
    for row, token in ((0, 1), (0, 2), (1, 1), (1, 2)):
        for column in range(size - 1):
            truth = targets[row, token, column]
            weight = POSITIVE_WEIGHT if truth else 1.0
            expected += weight * binary_cross_entropy_with_logits(predicted[row, token, column], truth)
        expected += (predicted[row, token, -1] - targets[row, token, -1]) ** 2
        if row == 0:  # only this one repeats something
            expected += (totals[row, token] - true[row, token]) ** 2
    torch.testing.assert_close(event_loss(predicted, targets, PLAN), expected / 4)


def test_probabilities_take_the_weight_of_the_loss_back():
    """Predicted as the loss wants it, an event of probability p is told with p."""
    share = torch.tensor(0.2)
    logit = torch.zeros((), requires_grad=True)
    for _ in range(300):
        loss = sum(
            weight * binary_cross_entropy_with_logits(logit, truth, pos_weight=torch.tensor(POSITIVE_WEIGHT))
            for weight, truth in ((share, torch.tensor(1.0)), (1 - share, torch.tensor(0.0)))
        )
        logit = (logit - torch.autograd.grad(loss, logit)[0]).detach().requires_grad_()
    assert event_probabilities(logit.expand(1, 1, 2))[0, 0, 0].item() == pytest.approx(0.2, abs=1e-3)


def test_without_any_events_the_loss_is_zero_and_still_has_a_gradient():
    predicted = torch.randn(2, 3, len(columns()), requires_grad=True)
    for targets in (None, torch.full((2, 3, len(columns())), torch.nan)):
        loss = event_loss(predicted, targets, PLAN)
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
    learner = EventPretraining(
        model.joints, replace(config.train, pretrain_lr=1e-2, weight_decay=0.0, pretrain_steps=80)
    )
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
    known = ~batch.body.events[..., 0].isnan()
    waves = model.joints.events(model.joints.pooled(batch.body).features)[..., columns()["wave"]] > 0
    assert torch.equal(waves[known], batch.body.events[..., columns()["wave"]][known] == 1)
