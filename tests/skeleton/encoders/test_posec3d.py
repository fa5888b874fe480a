"""PoseC3D: mmaction2's heatmaps and network, and features read where a joint is."""

import math
from functools import partial

import pytest
import torch

from skeleton.encoders import build_encoder
from skeleton.encoders.posec3d import average, draw, read, to_pixels
from skeleton.errors import SkeletonError
from skeleton.openmmlab import prepare
from tests.skeleton.encoders import test_contract as contract

SMALL = {"width": 48, "depth": 3, "stride": 4, "streams": ["position"], "size": 16}


def test_the_square_around_what_is_seen():
    """A person of 0.4 by 0.8 around (0.5, 0.1), and a far point that is not seen."""
    points = torch.tensor([[[[0.3, -0.3], [0.7, 0.5]], [[0.5, 0.1], [9.0, 9.0]]]])
    seen = torch.tensor([[[True, True], [True, False]]])
    pixels = to_pixels(points, seen, size=50, margin=0.25)
    torch.testing.assert_close(pixels[0, 0], torch.tensor([[15.0, 5.0], [35.0, 45.0]]))
    torch.testing.assert_close(pixels[0, 1, 0], torch.tensor([25.0, 25.0]))
    nobody = to_pixels(points, torch.zeros_like(seen), size=50, margin=0.25)
    assert torch.isfinite(nobody).all()


def test_heatmaps_equal_mmaction2():
    """Theirs end at three sigma, where a peak is down to exp(-4.5)."""
    prepare("mmaction")
    from mmaction.datasets.transforms import GeneratePoseTarget

    torch.manual_seed(0)
    pixels, heights = torch.rand(2, 3, 4, 2) * 28, torch.rand(2, 3, 4)
    found = draw(pixels, heights, size=28, sigma=0.6)
    assert found.shape == (2, 4, 3, 28, 28)
    theirs = torch.zeros_like(found)
    target = GeneratePoseTarget(sigma=0.6)
    for person in range(2):
        for row in range(3):
            for joint in range(4):
                place, height = pixels[person, row, joint].numpy(), heights[person, row, joint].numpy()
                target.generate_a_heatmap(theirs[person, joint, row].numpy(), place[None], height[None])
    assert (found - theirs).abs().max() <= math.exp(-4.5)
    inside = theirs > 0.02
    assert inside.sum() > 100
    torch.testing.assert_close(found[inside], theirs[inside])


def test_peaks_lie_at_the_joints():
    pixels = torch.tensor([[[[3.0, 7.0], [9.2, 1.9]]]])
    volume = draw(pixels, torch.tensor([[[0.5, 0.0]]]), size=12, sigma=0.6)
    assert volume[0, 0, 0].argmax() == 7 * 12 + 3
    assert volume[0, 0, 0, 7, 3] == 0.5
    assert (volume[0, 1] == 0).all()


def test_features_are_read_where_the_joint_is():
    """At pixel 8 i of 56, map 7 has its feature i; half way to the next one lies their mean."""
    torch.manual_seed(0)
    maps = torch.randn(2, 5, 3, 7, 7)
    across, down = torch.randint(0, 7, (2, 3, 4)), torch.randint(0, 6, (2, 3, 4))
    found = read(maps, 8.0 * torch.stack((across, down), dim=-1), size=56)
    between = read(maps, torch.stack((8.0 * across, 8.0 * down + 4), dim=-1), size=56)
    for person in range(2):
        for row in range(3):
            for joint in range(4):
                x, y = across[person, row, joint], down[person, row, joint]
                here, below = maps[person, :, row, y, x], maps[person, :, row, y + 1, x]
                torch.testing.assert_close(found[person, row, joint], here, atol=1e-5, rtol=1e-5)
                torch.testing.assert_close(between[person, row, joint], (here + below) / 2, atol=1e-5, rtol=1e-5)


def test_the_networks_features_look_at_their_pixel():
    """What reaches feature 3 of 7 lies evenly around pixel 24: the grid by which `read` reads is that of the network."""
    options = {"stage_blocks": (1, 1, 1)}
    encoder = build_encoder("posec3d", **SMALL | {"size": 56}, options=options).eval()
    torch.nn.init.ones_(encoder.backbone.layer3[0].conv3.bn.weight)
    volume = torch.rand(1, 17, 1, 56, 56, requires_grad=True)
    maps = encoder.backbone(volume)
    assert maps.shape == (1, 48, 1, 7, 7)
    maps[..., 3, 3].sum().backward()
    reached = volume.grad.abs().sum((0, 1, 2))
    for dim in (0, 1):
        places = reached.sum(dim).nonzero()
        assert places.min() + places.max() == 48


@pytest.mark.parametrize("training", [False, True])
def test_equals_mmaction2_to_the_bit(training):
    prepare("mmaction")
    from mmaction.models.backbones import ResNet3dSlowOnly

    torch.manual_seed(0)
    three = {
        "stage_blocks": (4, 6, 3),
        "inflate": (0, 1, 1),
        "dilations": (1, 1, 1),
        "out_indices": (2,),
        "pretrained": None,
    }
    three |= {"spatial_strides": (2, 2, 2), "temporal_strides": (1, 1, 2), "conv1_stride_s": 1, "pool1_stride_s": 1}
    theirs = ResNet3dSlowOnly(in_channels=17, base_channels=3, num_stages=3, **three)
    theirs.train(training)
    ours = build_encoder("posec3d", **SMALL, options={"temporal_strides": (1, 1, 2)}).train(training)
    ours.backbone.load_state_dict(theirs.state_dict())
    inputs, seen = torch.rand(2, 8, 17, 3), torch.ones(2, 8, 17, dtype=torch.bool)
    pixels = to_pixels(inputs[..., :2], seen, 16, 0.25)
    maps = theirs(draw(pixels, inputs[..., 2], 16, 0.6))
    assert maps.shape[2] == 4
    features = read(maps, pixels.unflatten(1, (4, 2)).mean(2), 16)
    torch.testing.assert_close(ours.encode(inputs, None), features.unflatten(1, (2, 2)).mean(2))
    for (key, one), two in zip(ours.backbone.state_dict().items(), theirs.state_dict().values(), strict=True):
        assert torch.equal(one, two), key


def test_number_of_parameters():
    """mmaction2's configs/skeleton/posec3d/metafile.yml has 2.0 million, with a linear head for 60 classes."""
    encoder = build_encoder("posec3d", width=512, depth=3, stride=4, streams=["position"])
    count = sum(p.numel() for p in encoder.parameters()) + 513 * 60
    assert count / 1e6 == pytest.approx(2.0, rel=0.02)


def test_a_joint_that_is_hidden_is_not_drawn_and_rows_are_averaged_by_what_is_seen():
    values = torch.arange(8.0).view(1, 4, 2, 1)
    seen = torch.tensor([[[True, False], [True, False], [False, False], [True, False]]])
    assert average(values, seen, 2)[..., 0].tolist() == [[[1.0, 0.0], [6.0, 0.0]]]


def test_contract_with_time_halved_in_the_network(monkeypatch):
    """test_contract.py has the network that keeps all rows."""
    options = {"size": 16, "options": {"temporal_strides": (1, 1, 2), "stage_blocks": (1, 1, 1)}}
    monkeypatch.setattr(contract, "build_encoder", partial(build_encoder, **options))
    for training in (True, False):
        contract.test_padded_equals_unpadded("posec3d", training)
        contract.test_a_mask_that_hides_nothing_changes_nothing("posec3d", training)
        contract.test_invisible_joints_are_zero_and_never_read("posec3d", training)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"backbone": "STGCN"}, "expected a ResNet3d of mmaction2, found STGCN"),
        ({"streams": ["bone"]}, r"expected the stream position or joint, found \['bone'\]"),
        ({"depth": 5}, "expected 1 to 4 stages and one of .* layers, found 5 and 50"),
        ({"options": {"depth": 7}}, "found 3 and 7"),
        ({"width": 40}, "expected a width that is a multiple of 16 at depth 3, found 40"),
    ],
)
def test_options_that_cannot_be(options, message):
    with pytest.raises(SkeletonError, match=message):
        build_encoder("posec3d", **SMALL | options)


def test_time_halved_too_often():
    encoder = build_encoder("posec3d", **SMALL | {"stride": 1}, options={"temporal_strides": (1, 1, 2)})
    with pytest.raises(SkeletonError, match="temporal_strides that divide the stride 1, found 2 rows for 4 bins"):
        encoder.encode(torch.rand(1, 4, 17, 3), None)
