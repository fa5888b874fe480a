"""Visual features sampled at limbs."""

import torch
from torch.nn.functional import grid_sample

from fusion.anchoring import Anchor, hat_weights, sample_features


def test_sampling_equals_torch_grid_sample():
    torch.manual_seed(0)
    features = torch.randn(2, 3, 4, 5, 6)
    points, times = torch.rand(2, 7, 2, 2) * 1.4 - 0.2, torch.rand(2, 7)
    grid = torch.cat([points, times[:, :, None, None].expand(2, 7, 2, 1)], -1)[:, :, :, None] * 2 - 1
    expected = grid_sample(features.permute(0, 4, 1, 2, 3), grid, padding_mode="border", align_corners=False)
    torch.testing.assert_close(sample_features(features, points, times), expected[..., 0].permute(0, 2, 3, 1))


def test_weights_sum_to_one_everywhere():
    weights = hat_weights(torch.linspace(-0.5, 1.5, 41), 4)
    torch.testing.assert_close(weights.sum(-1), torch.ones(41))


def test_the_middle_of_a_cell_reads_that_cell_alone():
    features = torch.arange(2 * 3 * 4.0).reshape(1, 2, 3, 4, 1)
    point = torch.tensor([[[[2.5 / 4, 0.5 / 3]] * 2]])
    assert sample_features(features, point, torch.tensor([[0.75]])).flatten().tolist() == [14.0, 14.0]


def test_tokens_without_place_or_video_are_blind():
    anchor = Anchor(6)
    anchor.blind.data.fill_(3.0)
    volumes = [torch.randn(2, 3, 4, 6), None, torch.randn(1, 2, 2, 6)]
    placed = torch.ones(3, 5, dtype=torch.bool)
    placed[0, 2] = False
    added = anchor(volumes, torch.rand(3, 5, 2, 2), placed, torch.rand(3, 5))
    assert (added[1] == 3).all()
    assert (added[0, 2] == 3).all()
    assert not (added[0, :2] == 3).any()
    assert not (added[2] == 3).any()


def test_videos_of_different_shapes_are_sampled_as_if_alone():
    anchor = Anchor(6)
    volumes = [torch.randn(2, 3, 4, 6), torch.randn(1, 2, 2, 6), torch.randn(2, 3, 4, 6)]
    points, times, placed = torch.rand(3, 5, 2, 2), torch.rand(3, 5), torch.ones(3, 5, dtype=torch.bool)
    together = anchor(volumes, points, placed, times)
    for i in range(3):
        alone = anchor(volumes[i : i + 1], points[i : i + 1], placed[i : i + 1], times[i : i + 1])
        torch.testing.assert_close(together[i], alone[0])
