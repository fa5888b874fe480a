"""Visual features sampled at limbs."""

import torch
from torch.nn.functional import grid_sample

from fusion.anchoring import (
    CELLS,
    RANGE,
    Anchor,
    colour_volume,
    hat_weights,
    mean_of_person,
    sample_colours,
    sample_features,
)


def test_sampling_equals_torch_grid_sample():
    torch.manual_seed(0)
    features = torch.randn(2, 3, 4, 5, 6)
    points, times = torch.rand(2, 7, 2, 2) * 1.4 - 0.2, torch.rand(2, 7)
    grid = torch.cat([points, times[:, :, None, None].expand(2, 7, 2, 1)], -1)[:, :, :, None] * 2 - 1
    expected = grid_sample(features.permute(0, 4, 1, 2, 3), grid, padding_mode="border", align_corners=False)
    torch.testing.assert_close(sample_features(features, points, times), expected[..., 0].permute(0, 2, 3, 1))
    torch.testing.assert_close(sample_colours(features, points, times), expected[..., 0].permute(0, 2, 3, 1))


def test_a_colour_is_read_where_it_is():
    frames = torch.zeros(2, 48, 64, 3, dtype=torch.uint8)
    frames[1, 24:, :32] = torch.tensor([255, 0, 51], dtype=torch.uint8)  # later, below, to the left
    colours = colour_volume(frames)
    assert colours.shape == (2, CELLS, CELLS, 3)
    points = torch.tensor([[[[0.2, 0.8], [0.8, 0.8]]]])
    read = sample_colours(colours[None], points, torch.tensor([[0.75]]))[0, 0]
    torch.testing.assert_close(read, RANGE * torch.tensor([[1.0, -1.0, -0.6], [-1.0, -1.0, -1.0]]))


def test_weights_sum_to_one_everywhere():
    weights = hat_weights(torch.linspace(-0.5, 1.5, 41), 4)
    torch.testing.assert_close(weights.sum(-1), torch.ones(41))


def test_the_middle_of_a_cell_reads_that_cell_alone():
    features = torch.arange(2 * 3 * 4.0).reshape(1, 2, 3, 4, 1)
    point = torch.tensor([[[[2.5 / 4, 0.5 / 3]] * 2]])
    assert sample_features(features, point, torch.tensor([[0.75]])).flatten().tolist() == [14.0, 14.0]


def filled(anchor):
    """An anchor that does not begin by ignoring the tower's features."""
    for part in (anchor.limb, anchor.torso):
        torch.nn.init.normal_(part.weight)
    return anchor


def test_tokens_without_place_or_video_are_blind():
    anchor = filled(Anchor(6))
    anchor.blind.data.fill_(3.0)
    volumes, colours = (
        [torch.randn(2, 3, 4, 6), None, torch.randn(1, 2, 2, 6)],
        [torch.rand(4, 8, 8, 3), None, torch.rand(2, 8, 8, 3)],
    )
    placed = torch.ones(3, 5, dtype=torch.bool)
    placed[0, 2] = False
    added = anchor(volumes, colours, torch.rand(3, 5, 2, 2), placed, torch.rand(3, 5), persons=2)
    assert (added[1] == 3).all()
    assert (added[0, 2] == 3).all()
    assert not (added[0, :2] == 3).any()
    assert not (added[2] == 3).any()


def test_videos_of_different_shapes_are_sampled_as_if_alone():
    anchor = filled(Anchor(6))
    volumes = [torch.randn(2, 3, 4, 6), torch.randn(1, 2, 2, 6), torch.randn(2, 3, 4, 6)]
    colours = [torch.rand(4, 8, 8, 3), torch.rand(2, 8, 8, 3), torch.rand(4, 8, 8, 3)]
    points, times, placed = torch.rand(3, 5, 2, 2), torch.rand(3, 5), torch.ones(3, 5, dtype=torch.bool)
    together = anchor(volumes, colours, points, placed, times, 2)
    for i in range(3):
        alone = anchor(
            volumes[i : i + 1], colours[i : i + 1], points[i : i + 1], placed[i : i + 1], times[i : i + 1], 2
        )
        torch.testing.assert_close(together[i], alone[0])


def test_a_look_is_the_mean_over_what_is_seen_of_a_person():
    values = torch.tensor([[[9.0], [1.0], [3.0], [5.0], [7.0]]])
    placed = torch.tensor([[False, True, False, True, True]])
    assert mean_of_person(values, placed, 2).flatten().tolist() == [9.0, 1.0, 1.0, 6.0, 6.0]
    assert mean_of_person(values, placed & False, 2).flatten().tolist() == [9.0, 0.0, 0.0, 0.0, 0.0]
