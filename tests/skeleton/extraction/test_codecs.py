"""Crops and decoding for many boxes at once against mmpose's transforms and codecs, one by one."""

import numpy as np
import pytest

from skeleton.extraction.codecs import Crops, decode_heatmaps, decode_simcc
from skeleton.openmmlab import prepare

prepare("mmpose")
from mmpose.codecs import MSRAHeatmap, SimCCLabel  # noqa: E402
from mmpose.datasets.transforms import GetBBoxCenterScale, TopdownAffine  # noqa: E402

BOXES = np.array([[10, 20, 60, 150], [-8, 5, 90, 40.5], [100.3, 80.2, 180, 200]], np.float32)


@pytest.mark.parametrize("size", [(192, 256), (48, 64)])
def test_crops_are_mmposes(size):
    image = np.random.default_rng(0).integers(0, 255, (210, 190, 3), dtype=np.uint8)
    crops = Crops.around(BOXES, size)
    for index, box in enumerate(BOXES):
        sample = {"img": image.copy(), "bbox": box[None]}
        expected = TopdownAffine(size).transform(GetBBoxCenterScale(padding=1.25).transform(sample))
        apart = np.abs(crops.cut(image, index).astype(int) - expected["img"].astype(int))
        assert apart.max() <= 3, "the matrix comes out of a solver there"
        np.testing.assert_allclose(crops.centers[index], expected["input_center"], atol=1e-3)
        np.testing.assert_allclose(crops.sides[index], expected["input_scale"], rtol=1e-5)


def test_points_go_back_to_where_the_crop_was_cut():
    image = np.zeros((210, 190, 3), np.uint8)
    image[100:104, 120:124] = 255
    crops = Crops.around(BOXES[2:], (192, 256))
    ys, xs = np.nonzero(crops.cut(image, 0)[..., 0] > 128)
    back = crops.to_image(np.array([[[xs.mean(), ys.mean()]]]))
    np.testing.assert_allclose(back[0, 0], [121.5, 101.5], atol=0.5)


def test_heatmaps_are_read_as_msra_does():
    rng = np.random.default_rng(1)
    heatmaps = rng.random((4, 17, 16, 12), dtype=np.float32)
    heatmaps[1, 3] = -1.0  # nobody there
    heatmaps[2, :, 0, 0] = 2.0  # in the corner
    heatmaps[3, :, 7, 1] = 2.0  # one from the edge
    codec = MSRAHeatmap((48, 64), (12, 16), sigma=2)
    points, scores = decode_heatmaps(heatmaps, (48, 64))
    for index, one in enumerate(heatmaps):
        expected, confidence = codec.decode(one)
        np.testing.assert_allclose(points[index], expected[0], atol=1e-5)
        np.testing.assert_allclose(scores[index], confidence[0])


def test_simcc_vectors_are_read_as_mmpose_does():
    rng = np.random.default_rng(2)
    along_x, along_y = rng.random((3, 17, 96)), rng.random((3, 17, 128))
    along_x[1, 5] = -1.0
    codec = SimCCLabel((48, 64), sigma=2, simcc_split_ratio=2.0)
    points, scores = decode_simcc(along_x, along_y, 2.0)
    for index in range(3):
        expected, confidence = codec.decode(along_x[index : index + 1].copy(), along_y[index : index + 1].copy())
        np.testing.assert_allclose(points[index], expected[0], atol=1e-5)
        np.testing.assert_allclose(scores[index], confidence[0])
