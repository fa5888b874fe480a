"""SkateFormer: which joints and rows attend to each other, that padding does not count, and the published sizes."""

import math

import pytest
import torch

from skeleton.encoders import build_encoder
from skeleton.encoders.skateformer import Rows
from skeleton.errors import SkeletonError
from skeleton.layouts.layout import LIMBS, get_layout

ROWS, LENGTHS = 4, (10, 6)  # two persons: the second leaves after 6 of 10 rows
BODY = get_layout("coco17")
LIMB = BODY.limb_index.tolist()
PLACE = [BODY.limbs[LIMBS[limb]].index(joint) for joint, limb in zip(BODY.joints, LIMB, strict=True)]


def build(**options):
    torch.manual_seed(0)
    encoder = build_encoder(
        "skateformer", **{"width": 32, "depth": 2, "stride": 1, "rows": ROWS, "streams": ["joint"]} | options
    )
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.normal_(std=0.3)
    return encoder.eval()


def seen(masked: bool) -> torch.Tensor | None:
    if not masked:
        return None
    visible = torch.rand(2, 10, 17, generator=torch.Generator().manual_seed(1)) > 0.3
    visible[:, [0, 5]] = True
    visible[1, LENGTHS[1] :] = False
    return visible


def slot(kind: int, row: int, length: int) -> tuple[int, int]:
    """The group of a row, and its place in the group."""
    if kind < 2:
        return divmod(row, ROWS)
    return divmod(row, math.ceil(length / ROWS))[::-1]


def partners(kind: int, row: int, joint: int, length: int) -> list[tuple[int, int]]:
    """All (row, joint) of the group, by the words of the paper: limb or place, window or stride."""
    apart = PLACE if kind % 2 else LIMB
    group = slot(kind, row, length)[0]
    rows = [other for other in range(10) if slot(kind, other, length)[0] == group]
    return [(other, near) for other in rows for near in range(17) if apart[near] == apart[joint]]


@pytest.mark.parametrize("kind", range(4))
@pytest.mark.parametrize("masked", [False, True])
def test_attention_equals_loops(kind, masked):
    """Softmax over the group's visible tokens, token by token, with the bias of distance in time (and of two limbs)."""
    encoder, visible = build(), seen(masked)
    attention = encoder.stages[0][0].attention[kind]
    heads, size = attention.heads, 3
    tokens = torch.randn(2, 10, 17, 3 * heads * size)
    rows = Rows(ROWS, visible, tokens, encoder.places)
    wide = kind > 1
    grid = rows.spread(torch.cat((tokens, tokens), dim=-1), encoder.places)[wide]
    mixed = attention(grid, rows.wide if wide else rows.local)
    found = rows.collect(mixed, mixed, encoder.places).chunk(2, dim=-1)[wide]
    query, key, value = tokens.unflatten(-1, (3, heads, size)).unbind(3)
    for person in range(2):
        length = LENGTHS[person] if masked else 10
        for row, joint in [(0, 0), (0, 9), (3, 5), (5, 3), (5, 16), (9, 2), (9, 14)]:
            if visible is not None and not visible[person, row, joint]:
                continue
            others = partners(kind, row, joint, length)
            others = [token for token in others if visible is None or visible[person][token]]
            distance = [slot(kind, row, length)[1] - slot(kind, other, length)[1] + ROWS - 1 for other, _ in others]
            if kind % 2:
                bias = [attention.bias[d, LIMB[joint], LIMB[u]] for d, (_, u) in zip(distance, others, strict=True)]
            else:
                bias = [attention.bias[d] for d in distance]
            keys = torch.stack([key[person][token] for token in others])
            scores = torch.einsum("hc,nhc->nh", query[person, row, joint], keys) / heads**0.5 + torch.stack(bias)
            values = torch.stack([value[person][token] for token in others])
            expected = torch.einsum("nh,nhc->hc", scores.softmax(0), values).flatten()
            torch.testing.assert_close(found[person, row, joint], expected)


@pytest.mark.parametrize("kind", range(4))
@pytest.mark.parametrize("masked", [False, True])
def test_each_branch_reads_its_partition(kind, masked):
    """Of a block with one branch alone, a token has gradients from itself and its visible partners, and from nothing else."""
    encoder, visible = build(), seen(masked)
    block = encoder.stages[0][0]
    with torch.no_grad():
        keep = torch.zeros(8).index_fill(0, torch.tensor(4 + kind), 1).repeat_interleave(4)
        block.proj.weight *= keep
    hidden = torch.randn(2, 10, 17, 32, requires_grad=True)
    mask = None if visible is None else visible[..., None].float()
    output = block(hidden, mask, Rows(ROWS, visible, hidden, encoder.places), encoder.places)
    for person in range(2):
        length = LENGTHS[person] if masked else 10
        for row, joint in ((0, 0), (5, 9), (5, 12), (9, 16)):
            if visible is not None and not visible[person, row, joint]:
                continue
            (gradient,) = torch.autograd.grad(output[person, row, joint].square().sum(), hidden, retain_graph=True)
            read = {tuple(token) for token in gradient.abs().amax(-1).nonzero().tolist()}
            group = partners(kind, row, joint, length)
            assert read == {(person, *token) for token in group if visible is None or visible[person][token]}


@pytest.mark.parametrize("frames", [4, 20, 64])
def test_padding_does_not_count(frames):
    """Neither rows behind the last visible one nor persons without a joint change anything or give NaN."""
    encoder = build(stride=4, depth=3, rows=8)
    inputs = torch.randn(2, frames, 17, 3)
    whole = encoder.encode(inputs, None)
    assert whole.shape == (2, frames // 4, 17, 32)
    padded = torch.nn.functional.pad(inputs, (0, 0, 0, 0, 0, 44, 0, 1)).requires_grad_()
    output = encoder.encode(padded, padded.abs().sum(-1) > 0)
    torch.testing.assert_close(output[:2, : frames // 4], whole, atol=1e-4, rtol=1e-4)
    assert (output[2] == 0).all()
    assert (output[:, frames // 4 :] == 0).all()
    output.square().sum().backward()
    assert torch.isfinite(padded.grad).all()


def test_skate_embedding():
    encoder, visible = build(), seen(True)
    found = encoder._skate_embedding(torch.zeros(2, 10, 17, 3), visible)
    for person, row, joint, channel in ((0, 0, 3, 0), (0, 9, 16, 31), (1, 5, 2, 6), (1, 4, 7, 13)):
        angle = (2 * row / LENGTHS[person] - 1) * 10000 ** -(channel // 2 * 2 / 32)
        wave = math.cos(angle) if channel % 2 else math.sin(angle)
        assert found[person, row, joint, channel].item() == pytest.approx(
            wave * encoder.embedding[joint, channel].item(), abs=1e-5
        )


def test_published_size():
    """3,616,083 is model/SkateFormer.py with config/train/ntu_cs/SkateFormer_j.yaml (3.62 M on its model card).

    3,402,739 is the same code for one person of 25 points and six limbs; both count a classifier of 60 classes.
    """
    encoder = build_encoder("skateformer", "ntu25", 192, 8, 8, ["joint"])
    found = sum(parameter.numel() for parameter in encoder.parameters())
    classifier = 192 * 60 + 60
    assert found + classifier == 3_402_739

    def of_points(points: int, limbs: int) -> int:
        return 8 * (8 * points**2 + 2 * 15 * limbs**2 * 4) + 96 * points

    assert found + classifier - of_points(25, 6) + of_points(48, 12) == 3_616_083
    assert [len(blocks) for blocks in encoder.stages] == [2, 2, 2, 2]
    assert [blocks[0].mapping.in_features for blocks in encoder.stages] == [96, 192, 192, 192]
    assert {attention.heads for blocks in encoder.stages for block in blocks for attention in block.attention} == {4}


def test_dropping_is_for_training():
    inputs, plain = torch.randn(8, 10, 17, 3), build()
    for option in ({"drop_path": 0.5}, {"drop_attention": 0.5}):
        encoder = build(**option)
        torch.testing.assert_close(encoder.encode(inputs, None), plain.encode(inputs, None))
        encoder.train()
        assert not torch.equal(encoder.encode(inputs, None), encoder.encode(inputs, None))
    assert torch.equal(plain.train().encode(inputs, None), plain.encode(inputs, None))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 40, "stride": 2}, "expected a width that 16 divides, .* found 40"),
        ({"width": 12}, "expected a width that 8 divides, .* found 12"),
        ({"heads": 3}, "expected heads that divide width / 8 = 4, found heads 3 and width 32"),
        ({"stride": 4}, "found stride 4, depth 2"),
        ({"kernel": 4}, "an odd kernel .* found rows 4, kernel 4"),
        ({"mlp_ratio": 0}, "an MLP with channels, found .* mlp_ratio 0"),
        ({"drop_path": 1}, "below 1, found drop_attention 0 and drop_path 1"),
    ],
)
def test_sizes_that_cannot_be(options, message):
    with pytest.raises(SkeletonError, match=message):
        build(**options)
