"""Joint groups: each limb's embedding is its own, masks, any number of rows, the number of parameters."""

import pytest
import torch

from skeleton.encoders import build_encoder
from skeleton.encoders.jointgroups import Attention, Block, sinusoids
from skeleton.errors import SkeletonError
from skeleton.layouts.layout import LIMBS, get_layout


def build(**options):
    torch.manual_seed(0)
    return build_encoder(
        "jointgroups", **{"width": 16, "depth": 2, "stride": 2, "streams": ["position"], "heads": 4} | options
    ).eval()


def test_left_and_right_are_kept_apart():
    """A mirrored body is not the same body with its joints in another order, unless both sides have the same weights."""
    encoder = build()
    body = get_layout("coco17")
    mirror = torch.tensor(body.mirror)
    torch.nn.init.zeros_(encoder.joints)
    inputs = torch.randn(2, 8, 17, 3)

    def difference() -> torch.Tensor:
        whole, swapped = encoder.encode(inputs, None), encoder.encode(inputs[:, :, mirror], None)
        return (whole[:, :, mirror] - swapped).abs().amax((0, 1, 3))

    assert (difference()[body.limb_index >= 2] > 0.05).all()
    left, right = ([LIMBS.index(f"{side} {limb}") for limb in ("arm", "leg")] for side in ("left", "right"))
    with torch.no_grad():
        encoder.weight[right], encoder.bias[right] = encoder.weight[left], encoder.bias[left]
        encoder.clip[:, ...] = encoder.clip[:1]
    assert difference().max() < 1e-5


def test_each_joint_is_embedded_by_its_limb():
    encoder = build(layout="penn13")
    torch.nn.init.normal_(encoder.bias)
    inputs, seen = torch.randn(1, 4, 13, 3), torch.rand(1, 4, 13) < 0.6
    seen[0, 2] = False
    found = encoder._embed(inputs * seen[..., None], seen)
    assert found.shape == (1, 5, 14, 16)
    rows = encoder.pace * sinusoids(4, 16)
    for row in range(4):
        for joint, limb in enumerate(get_layout("penn13").limb_index):
            point = inputs[0, row, joint] * seen[0, row, joint]
            expected = point @ encoder.weight[limb] + encoder.bias[limb] + rows[row] + encoder.joints[joint]
            torch.testing.assert_close(found[0, row, joint], expected)
        some = inputs[0, row][seen[0, row]]
        mean = some.mean(0) if len(some) else torch.zeros(3)
        expected = mean @ encoder.weight[6] + encoder.bias[6] + rows[row] + encoder.joints[13]
        torch.testing.assert_close(found[0, row, 13], expected)
    torch.testing.assert_close(found[0, 4], encoder.clip + encoder.joints)


def test_attention_equals_attention_among_the_visible():
    torch.manual_seed(0)
    attention = Attention(8, 2)
    inputs, seen = torch.randn(3, 5, 8), torch.rand(3, 5) < 0.6
    seen[2] = False
    found = attention(inputs, seen)
    for one in range(2):
        alone = inputs[one, seen[one]]
        query, key, value = attention.qkv(alone).chunk(3, dim=-1)
        heads = []
        for part in (slice(0, 4), slice(4, 8)):
            scores = (query[:, part] @ key[:, part].T / 2).softmax(-1)
            heads.append(scores @ value[:, part])
        torch.testing.assert_close(found[one, seen[one]], attention.proj(torch.cat(heads, dim=-1)))
    torch.testing.assert_close(found[2], attention(inputs[2:], None)[0])


def test_a_block_reads_a_joints_row_and_a_joints_clip():
    """Space reaches one row and time one joint: of the rest, only what they reached first."""
    torch.manual_seed(0)
    block, hidden = Block(8, 2, 2), torch.randn(1, 4, 5, 8)
    torch.nn.init.zeros_(block.time.proj.weight)
    changed = hidden.clone()
    changed[0, 1, 2] += 1
    moved = (block(changed, None) - block(hidden, None)).abs().amax(-1)[0] > 1e-6
    assert moved.nonzero()[:, 0].unique().tolist() == [1]
    block = Block(8, 2, 2)
    torch.nn.init.zeros_(block.space.proj.weight)
    moved = (block(changed, None) - block(hidden, None)).abs().amax(-1)[0] > 1e-6
    assert moved.nonzero()[:, 1].unique().tolist() == [2]


def test_the_point_and_the_clip_are_read_where_they_stand_for_something():
    """Of a person whose wrist is seen in row 0 and whose nose in row 2: their points in these rows, their places in the clip."""
    encoder, found = build(), []
    encoder.blocks[0].register_forward_pre_hook(lambda block, inputs: found.append(inputs[1]))
    seen = torch.zeros(1, 4, 17, dtype=torch.bool)
    seen[0, 0, 9] = seen[0, 2, 0] = True
    encoder.encode(torch.zeros(1, 4, 17, 3), seen)
    assert found[0].shape == (1, 5, 18)
    assert found[0][0].nonzero().tolist() == [[0, 9], [0, 17], [2, 0], [2, 17], [4, 0], [4, 9], [4, 17]]


def test_features_are_means_of_the_visible_rows():
    """The same weights at the full rate of rows, then averaged by hand."""
    encoder, fine = build(stride=4), build(stride=1)
    fine.load_state_dict(encoder.state_dict())
    inputs, seen = torch.randn(2, 8, 17, 3), torch.rand(2, 8, 17) < 0.4
    inputs = inputs * seen[..., None]
    rows, found = fine.encode(inputs, seen), encoder.encode(inputs, seen)
    for person in range(2):
        for place in range(2):
            for joint in range(17):
                there = seen[person, 4 * place : 4 * place + 4, joint]
                some = rows[person, 4 * place : 4 * place + 4, joint][there]
                expected = some.mean(0) if len(some) else torch.zeros(16)
                torch.testing.assert_close(found[person, place, joint], expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("frames", [4, 600])
def test_rows_without_limit(frames):
    """Published: at most 500. Rows that are not seen change nothing."""
    encoder = build(stride=4)
    inputs, seen = torch.randn(1, frames, 17, 3), torch.ones(1, frames, 17, dtype=torch.bool)
    longer = torch.nn.functional.pad(inputs, (0, 0, 0, 0, 0, 8)), torch.nn.functional.pad(seen, (0, 0, 0, 8))
    found = encoder.encode(*longer)
    torch.testing.assert_close(found[:, : frames // 4], encoder.encode(inputs, None), atol=1e-5, rtol=1e-5)
    assert (found[:, frames // 4 :] == 0).all()


def published(joints: int, width: int, depth: int, channels: int, frames: int) -> int:
    """Parameters of CSUBioGroup/MoChat's ST_Transformer that are used, by its layers; four groups, joints with the point."""
    wide = joints * width
    space = 2 * width + 4 * width * width + 4 * width
    time = 2 * wide + 4 * wide * wide + 4 * wide
    mlp = 2 * wide + 4 * wide * wide + 3 * wide
    head = 2 * wide + 2 * (wide * wide + 3 * wide)
    return depth * (space + time + mlp) + head + 4 * (channels + 1) * width + (frames + 2) * wide


def test_number_of_parameters():
    """As published, but with time, MLP, norms and head of one joint, seven groups, and joints, one row and a number for rows."""
    encoder = build(width=48, depth=4, heads=8, stride=4)
    space = 2 * 48 + 4 * 48 * 48 + 4 * 48
    mlp = 2 * 48 + 4 * 48 * 48 + 3 * 48
    head = 2 * 48 + 2 * (48 * 48 + 3 * 48)
    expected = 4 * (2 * space + mlp) + head + 7 * (3 + 1) * 48 + 2 * 18 * 48 + 1
    assert sum(p.numel() for p in encoder.parameters()) == expected
    assert round(expected / 1e6, 2) == 0.12
    assert round(published(23, 48, 4, 3, 500) / 1e6, 1) == 42.1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 20, "heads": 8}, "expected an even width that is a multiple of the 8 heads, found 20"),
        ({"width": 9, "heads": 3}, "found 9"),
        ({"heads": 0}, "multiple of the 0 heads"),
        ({"depth": 0}, "expected at least 1, found depth 0"),
    ],
)
def test_options_that_cannot_be(options, message):
    with pytest.raises(SkeletonError, match=message):
        build(**options)
