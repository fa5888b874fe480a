"""Limb tokens: how many, where, what they hold."""

from types import SimpleNamespace

import pytest
import torch

from fusion.errors import FusionError
from fusion.tokens import LimbTokens, bin_matrix, plan_tokens, pool

LIMB_INDEX = torch.tensor([0, 1, 1, 2])


def batch(persons=2, frames=8, seconds=4.0, size=1, seed=0):
    """Encoder output and input of random numbers: 4 joints in 3 limbs, two input rows for each row of features."""
    draw = torch.Generator().manual_seed(seed)
    times = torch.arange(frames) * seconds / frames
    joints = SimpleNamespace(
        features=torch.randn(size, persons, frames, 4, 5, generator=draw),
        visible=torch.rand(size, persons, frames, 4, generator=draw) > 0.2,
        times=times.expand(size, -1),
    )
    body = SimpleNamespace(
        keypoints=torch.rand(size, persons, frames, 4, 2, generator=draw),
        visible=joints.visible,
        times=joints.times,
        frames=torch.ones(size, frames, dtype=torch.bool),
        aspect=torch.full((size,), 2.0),
    )
    return joints, body


def test_a_plan_counts_persons_bins_and_limbs():
    persons = torch.tensor([[True, True], [True, False], [False, False]])
    plan = plan_tokens(persons, torch.tensor([2.0, 1.2, 3.0]), limbs=3, bin_seconds=0.5, max_tokens=100)
    assert plan.bins.tolist() == [4, 3, 6]
    assert plan.mask.sum(1).tolist() == [2 * 4 * 3, 3 * 3, 1]
    assert plan.mask[:, 0].tolist() == [False, False, True]
    assert plan.times[0][plan.mask[0]][:4].tolist() == [0.25, 0.25, 0.25, 0.75]


def test_long_clips_get_wider_bins_within_the_budget():
    plan = plan_tokens(torch.tensor([[True, True]]), torch.tensor([100.0]), limbs=3, bin_seconds=0.5, max_tokens=64)
    assert plan.bins.tolist() == [10]
    assert plan.widths.tolist() == [10.0]
    assert plan.times[0, -1] == 95.0


def test_a_budget_below_one_bin_is_an_error():
    with pytest.raises(FusionError, match=r"max_tokens is 5, but 2 persons with 3 limbs need at least 6"):
        plan_tokens(torch.tensor([[True, True]]), torch.tensor([1.0]), limbs=3, bin_seconds=0.5, max_tokens=5)


def test_pooling_equals_a_loop_over_limbs_and_bins():
    joints, _ = batch()
    plan = plan_tokens(torch.ones(1, 2, dtype=torch.bool), torch.tensor([4.0]), 3, bin_seconds=1.0, max_tokens=99)
    bins = bin_matrix(joints.times, torch.ones(1, 8, dtype=torch.bool), plan)
    limbs = torch.nn.functional.one_hot(LIMB_INDEX).float()
    means, counts = pool(joints.features, joints.visible.float(), bins, limbs)
    for person in range(2):
        for step in range(4):
            for limb in range(3):
                kept = [
                    joints.features[0, person, row, joint]
                    for row in (2 * step, 2 * step + 1)
                    for joint in range(4)
                    if LIMB_INDEX[joint] == limb and joints.visible[0, person, row, joint]
                ]
                expected = torch.stack(kept).mean(0) if kept else torch.zeros(5)
                torch.testing.assert_close(means[0, person, step, limb], expected)
                assert counts[0, person, step, limb] == len(kept)


def test_tokens_are_the_same_alone_and_in_a_padded_batch():
    torch.manual_seed(0)
    tokenizer = LimbTokens(5, LIMB_INDEX, max_persons=3)
    small, body = batch(persons=1, frames=4, seconds=2.0)
    alone = tokenizer(small, body, plan_tokens(torch.ones(1, 1, dtype=torch.bool), torch.tensor([2.0]), 3, 1.0, 99))

    def padded(value, persons=2, frames=8):
        wide = torch.zeros(1, persons, frames, *value.shape[3:], dtype=value.dtype)
        wide[:, :1, :4] = value
        return wide

    big, big_body = batch(persons=2, frames=8, seconds=4.0, seed=1)
    times = torch.cat([small.times, small.times[:, -1:].expand(1, 4)], 1)
    joints = SimpleNamespace(
        features=torch.cat([big.features, padded(small.features)]),
        visible=torch.cat([big.visible, padded(small.visible)]),
        times=torch.cat([big.times, times]),
    )
    both = SimpleNamespace(
        keypoints=torch.cat([big_body.keypoints, padded(body.keypoints)]),
        visible=joints.visible,
        times=joints.times,
        frames=torch.tensor([[True] * 8, [True] * 4 + [False] * 4]),
        aspect=torch.full((2,), 2.0),
    )
    persons = torch.tensor([[True, True], [True, False]])
    together = tokenizer(joints, both, plan_tokens(persons, torch.tensor([4.0, 2.0]), 3, 1.0, 99))
    mask = together.mask[1]
    torch.testing.assert_close(together.features[1, mask], alone.features[0, alone.mask[0]])
    torch.testing.assert_close(together.points[1, mask], alone.points[0, alone.mask[0]])
    assert together.placed[1, mask].tolist() == alone.placed[0, alone.mask[0]].tolist()


def test_points_are_shares_of_the_frame():
    tokenizer = LimbTokens(5, LIMB_INDEX, max_persons=2)
    joints, body = batch(persons=1)
    body.keypoints = torch.ones_like(body.keypoints) * torch.tensor([1.0, 0.5])  # frame heights; the frame is 2 wide
    body.visible = torch.ones_like(body.visible)
    plan = plan_tokens(torch.ones(1, 1, dtype=torch.bool), torch.tensor([4.0]), 3, 1.0, 99)
    tokens = tokenizer(joints, body, plan)
    assert torch.allclose(tokens.points[0, 1:], torch.tensor([0.5, 0.5]))
    assert tokens.placed[0, 1:].all()
    assert not tokens.placed[0, 0]


def test_an_unseen_limb_and_an_absent_skeleton_have_their_own_vectors():
    tokenizer = LimbTokens(5, LIMB_INDEX, max_persons=2)
    joints, body = batch(persons=1)
    joints.visible[...] = body.visible[...] = False
    present = torch.ones(1, 1, dtype=torch.bool)
    unseen = tokenizer(joints, body, plan_tokens(present, torch.tensor([4.0]), 3, 1.0, 99))
    expected = tokenizer.unseen + tokenizer.limb.weight[0] + tokenizer.person.weight[0]
    expected = expected + tokenizer.embed_time(torch.tensor(0.5))
    torch.testing.assert_close(unseen.features[0, 1], expected)
    absent = tokenizer(joints, body, plan_tokens(~present, torch.tensor([4.0]), 3, 1.0, 99))
    assert absent.mask.sum() == 1
    torch.testing.assert_close(absent.features[0, 0], tokenizer.null + tokenizer.embed_time(torch.tensor(0.0)))


def test_embedding_of_seconds_tells_a_sixteenth_of_a_second_apart():
    tokenizer = LimbTokens(64, LIMB_INDEX, max_persons=2)
    times = tokenizer.embed_time(torch.arange(0, 10, 1 / 16))
    gaps = torch.cdist(times, times) + 1e9 * torch.eye(len(times))
    assert gaps.min() > 0.05
