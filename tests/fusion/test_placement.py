"""Position ids on one clock, and the attention of questions behind one prefix."""

import pytest
import torch

from fusion.errors import FusionError
from fusion.placement import joint_positions, tree_mask


def video(steps=4, height=3, width=5, first=7):
    """Position ids [3, T, H, W] as an M-RoPE model gives them: two temporal ids a step."""
    t, h, w = torch.meshgrid(2 * torch.arange(steps), torch.arange(height), torch.arange(width), indexing="ij")
    return torch.stack([t, h, w]) + first


def test_a_joint_token_takes_the_temporal_id_of_its_own_second():
    ids = joint_positions(torch.tensor([0.1, 1.1, 3.9, 4.0]), video(), 4.0, start=50, dims=3, mode="time")
    assert ids[0].tolist() == [7, 9, 13, 13]
    assert ids[1].unique().tolist() == [8]
    assert ids[2].unique().tolist() == [9]


def test_without_a_video_half_seconds_count_from_the_start():
    ids = joint_positions(torch.tensor([0.1, 1.1, 2.6]), None, 4.0, start=5, dims=3, mode="time")
    assert ids.tolist() == [[5, 7, 10], [5, 5, 5], [5, 5, 5]]


def test_text_order_continues_the_text():
    ids = joint_positions(torch.tensor([0.1, 1.1]), video(), 4.0, start=50, dims=3, mode="text")
    assert ids.tolist() == [[50, 51]] * 3


def test_one_dimensional_positions_have_no_clock():
    with pytest.raises(FusionError, match="position=time needs a model with"):
        joint_positions(torch.tensor([0.1]), None, 4.0, start=0, dims=1, mode="time")


def test_a_tree_sees_its_ancestors_and_its_own_past():
    # prefix 0-1, question 2-3 with answers 4 and 5, question 6 with answer 7; place 8 is padding
    until = torch.tensor([[8, 8, 6, 6, 5, 6, 8, 8, 0]])
    parents = {0: None, 1: 0, 2: 1, 3: 1, 4: 0, 5: 4}
    segment = [0, 0, 1, 1, 2, 3, 4, 5]

    def line(node):
        return [] if node is None else [node, *line(parents[node])]

    seen = tree_mask(until, torch.float32)[0, 0] == 0
    for i in range(8):
        for j in range(8):
            assert seen[i, j] == (j <= i and segment[j] in line(segment[i])), (i, j)
    assert seen[8].tolist() == [False] * 8 + [True]
    assert not seen[:8, 8].any()
