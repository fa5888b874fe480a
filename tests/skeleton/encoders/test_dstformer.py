"""DSTformer: the published weights fit, and a computation token by token, without the invisible, gives the same."""

import pytest
import torch
from torch.nn import functional

from skeleton.encoders import build_encoder
from skeleton.encoders.dstformer import keys, published_weights
from skeleton.errors import SkeletonError

SIZES = {
    "layout": "h36m17",
    "width": 12,
    "hidden": 8,
    "heads": 2,
    "depth": 2,
    "stride": 2,
    "streams": ["joint"],
    "maxlen": 6,
}
CHANNELS, MAXLEN, JOINTS = 3, 6, 17


def build(**options):
    """A small encoder of which no weight is zero, and large enough ones for attention and fusion to be uneven."""
    torch.manual_seed(0)
    encoder = build_encoder("dstformer", **SIZES | options).double()
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.add_(torch.randn_like(parameter) * 0.5)
    return encoder


def published_shapes(channels, hidden, inner, width, depth, maxlen) -> dict[str, tuple[int, ...]]:
    """Names and shapes of the weights in MotionBERT's checkpoints (lib/model/DSTformer.py), the 3D head included."""
    shapes = {
        "temp_embed": (1, maxlen, 1, hidden),
        "pos_embed": (1, JOINTS, hidden),
        "norm.weight": (hidden,),
        "norm.bias": (hidden,),
    }
    linears = {
        "joints_embed": (hidden, channels),
        "pre_logits.fc": (width, hidden),
        "head": (3, width),
    }
    for place in range(depth):
        linears[f"ts_attn.{place}"] = (2, 2 * hidden)
        for block in (f"blocks_st.{place}", f"blocks_ts.{place}"):
            for kind in "st":
                linears[f"{block}.attn_{kind}.qkv"] = (3 * hidden, hidden)
                linears[f"{block}.attn_{kind}.proj"] = (hidden, hidden)
                linears[f"{block}.mlp_{kind}.fc1"] = (inner, hidden)
                linears[f"{block}.mlp_{kind}.fc2"] = (hidden, inner)
                for norm in ("norm1", "norm2"):
                    shapes[f"{block}.{norm}_{kind}.weight"] = shapes[f"{block}.{norm}_{kind}.bias"] = (hidden,)
    for name, (outputs, inputs) in linears.items():
        shapes[f"{name}.weight"], shapes[f"{name}.bias"] = (outputs, inputs), (outputs,)
    return shapes


@pytest.mark.parametrize(
    ("hidden", "mlp_ratio", "millions"),
    # 42.5 and 16.0 million with the 3D head (paper; files of 162 and 61 MB in MotionBERT's README); its code, by
    # configs/pretrain/MB_pretrain.yaml and MB_lite.yaml, has 42,466,317 and 16,001,549 parameters.
    [(512, 2, 42.466317), (256, 4, 16.001549)],
)
def test_names_shapes_and_number_of_the_published_weights(hidden, mlp_ratio, millions):
    options = {"layout": "h36m17", "width": 512, "depth": 5, "stride": 1, "streams": ["joint"]}
    encoder = build_encoder("dstformer", hidden=hidden, mlp_ratio=mlp_ratio, **options)
    expected = published_shapes(CHANNELS, hidden, 1024, 512, 5, 243)
    head = sum(torch.Size(expected.pop(key)).numel() for key in ("head.weight", "head.bias"))
    assert {key: tuple(value.shape) for key, value in encoder.state_dict().items()} == expected
    assert sum(parameter.numel() for parameter in encoder.parameters()) + head == round(millions * 1e6)


@pytest.mark.parametrize("file", ["plain", "pose", "action"])
def test_published_files_load(file):
    shapes = published_shapes(CHANNELS, 8, 16, 12, 2, MAXLEN)
    weights = {key: torch.randn(shape, dtype=torch.double) for key, shape in shapes.items()}
    checkpoint = {
        "plain": weights,
        "pose": {"epoch": 90, "lr": 5e-4, "model_pos": {f"module.{key}": value for key, value in weights.items()}},
        "action": {
            "epoch": 300,
            "model": {f"module.backbone.{key}": value for key, value in weights.items()}
            | {"module.head.bn.num_batches_tracked": torch.tensor(7), "module.head.fc2.bias": torch.zeros(60)},
        },
    }[file]
    encoder = build()
    encoder.load_state_dict(published_weights(checkpoint))
    for key, value in encoder.state_dict().items():
        assert torch.equal(value, weights[key]), key


def naive(weights, inputs, visible, stride=2, depth=2, heads=2):
    """The network one token at a time: {(row, joint): vector} holds the visible ones; there is nothing else to read."""

    def linear(name, vector):
        return weights[f"{name}.weight"] @ vector + weights[f"{name}.bias"]

    def norm(name, vector):
        centred = vector - vector.mean()
        return centred / (centred.square().mean() + 1e-6).sqrt() * weights[f"{name}.weight"] + weights[f"{name}.bias"]

    def attend(name, tokens, place):
        """place 0: among the tokens of one row; 1: among those of one joint."""
        parts = {at: linear(f"{name}.qkv", vector).chunk(3) for at, vector in tokens.items()}
        updates = {}
        for at, (query, _, _) in parts.items():
            others = [other for other in tokens if other[place] == at[place]]
            mixed = []
            for head in range(heads):
                part = slice(head * len(query) // heads, (head + 1) * len(query) // heads)
                scores = torch.stack([query[part] @ parts[other][1][part] for other in others])
                shares = (scores / (len(query) / heads) ** 0.5).exp()
                shares = shares / shares.sum()
                mixed.append(sum(share * parts[other][2][part] for share, other in zip(shares, others, strict=True)))
            updates[at] = linear(f"{name}.proj", torch.cat(mixed))
        return updates

    def step(block, kind, tokens):
        normed = {at: norm(f"{block}.norm1_{kind}", vector) for at, vector in tokens.items()}
        updates = attend(f"{block}.attn_{kind}", normed, place="st".index(kind))
        tokens = {at: vector + updates[at] for at, vector in tokens.items()}
        inner = {at: linear(f"{block}.mlp_{kind}.fc1", norm(f"{block}.norm2_{kind}", v)) for at, v in tokens.items()}
        return {at: v + linear(f"{block}.mlp_{kind}.fc2", functional.gelu(inner[at])) for at, v in tokens.items()}

    tokens = {
        (t, v): linear("joints_embed", inputs[t, v]) + weights["pos_embed"][0, v] + weights["temp_embed"][0, t, 0]
        for t, v in visible.nonzero().tolist()
    }
    for place in range(depth):
        space_first = step(f"blocks_st.{place}", "t", step(f"blocks_st.{place}", "s", tokens))
        time_first = step(f"blocks_ts.{place}", "s", step(f"blocks_ts.{place}", "t", tokens))
        for at in tokens:
            one, two = space_first[at], time_first[at]
            first, second = linear(f"ts_attn.{place}", torch.cat((one, two))).exp()
            tokens[at] = (first * one + second * two) / (first + second)
    features = torch.zeros(
        len(inputs) // stride, inputs.shape[1], len(weights["pre_logits.fc.bias"]), dtype=inputs.dtype
    )
    for (t, v), vector in tokens.items():
        count = visible[t // stride * stride : (t // stride + 1) * stride, v].sum()
        features[t // stride, v] += linear("pre_logits.fc", norm("norm", vector)).tanh() / count
    return features


@pytest.mark.parametrize("everyone", [True, False])
def test_equals_one_token_at_a_time(everyone):
    """Both orders of streams, the fusion, the mean of each bin, and that nothing attends to what is not visible."""
    encoder = build()
    inputs = torch.randn(1, 4, JOINTS, CHANNELS, dtype=torch.double)
    visible = torch.rand(1, 4, JOINTS) < 0.7
    visible[:, 1], visible[:, :, 3], visible[:, 2:, 5] = False, False, False
    visible |= torch.tensor(everyone)
    inputs = inputs * visible[..., None]
    with torch.no_grad():
        found = encoder.encode(inputs, None if everyone else visible)
        expected = naive(encoder.state_dict(), inputs[0], visible[0])[None]
    torch.testing.assert_close(found, expected, atol=1e-9, rtol=1e-9)
    assert ((found != 0).any(-1) == visible.unflatten(1, (2, 2)).any(2)).all()


def test_every_query_has_a_key():
    """Some kernels of attention give no number for a softmax over nothing; elsewhere the keys are what is visible."""
    visible = torch.tensor([[[True, False, True], [False, False, False]]])
    joints, rows = keys(visible)
    assert joints[:, 0, 0].tolist() == [[True, False, True], [True, True, True]]
    assert rows[:, 0, 0].tolist() == [[True, False], [True, True], [True, False]]


def test_fusion_weights_add_to_one():
    """Two streams that change nothing, fused in any shares, change nothing."""
    encoder = build(stride=1)
    inputs = torch.randn(1, 4, JOINTS, CHANNELS, dtype=torch.double)
    with torch.no_grad():
        before = encoder.encode(inputs, None)
        for key, parameter in encoder.named_parameters():
            if "proj" in key or "fc2" in key:
                parameter.zero_()
        found = encoder.encode(inputs, None)
        embedded = encoder.joints_embed(inputs) + encoder.pos_embed[:, None] + encoder.temp_embed[:, :4]
        expected = encoder.pre_logits(encoder.norm(embedded))
    torch.testing.assert_close(found, expected)
    assert (before - expected).abs().max() > 0.1


def test_rows_behind_maxlen_may_be_padding_but_hold_no_joint():
    encoder = build()
    inputs = torch.zeros(1, 10, JOINTS, CHANNELS, dtype=torch.double)
    inputs[:, :6] = torch.randn(1, 6, JOINTS, CHANNELS, dtype=torch.double)
    visible = (torch.arange(10) < 6)[None, :, None].expand(1, 10, JOINTS)
    found = encoder.encode(inputs, visible)
    torch.testing.assert_close(found[:, :3], encoder.encode(inputs[:, :6], None))
    assert (found[:, 3:] == 0).all()
    message = (
        r"at most maxlen=6 rows, found visible joints in later ones \(the batch has 10 rows\); cut the clips or build"
    )
    with pytest.raises(SkeletonError, match=message):
        encoder.encode(inputs, visible.roll(1, dims=1))
    with pytest.raises(SkeletonError, match=message):
        encoder.encode(inputs, None)


def test_first_weights():
    """As published: both streams count the same, small weights; but the embeddings do not drown the coordinates."""
    encoder = build_encoder("dstformer", **SIZES | {"hidden": 64})
    for fusion in encoder.ts_attn:
        assert (fusion.weight == 0).all()
        assert (fusion.bias == 0.5).all()
    assert encoder.blocks_st[0].attn_s.qkv.weight.std().item() == pytest.approx(0.02, rel=0.1)
    assert (encoder.blocks_st[0].attn_s.qkv.bias == 0).all()
    assert encoder.temp_embed.std().item() == pytest.approx(0.02, rel=0.2)
    assert encoder.joints_embed.weight.std().item() > 0.2


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"width": 20, "hidden": None, "heads": 8},
            "a hidden width that the heads divide, found hidden 20 and heads 8",
        ),
        ({"heads": 0}, "found hidden 8 and heads 0"),
        ({"stride": 3}, "expected a stride that is a power of two, found 3"),
        ({"stride": 0}, "power of two, found 0"),
        ({"depth": 0}, "found width 12, depth 0, mlp_ratio 2 and maxlen 6"),
        ({"mlp_ratio": 0.1}, "mlp_ratio 0.1"),
        ({"maxlen": 0}, "maxlen 0"),
    ],
)
def test_options_that_cannot_be(options, message):
    with pytest.raises(SkeletonError, match=message):
        build_encoder("dstformer", **SIZES | options)
