"""NTU RGB+D's text: metres and pixels, tracking states, every body, cut files."""

import numpy as np
import pytest

from skeleton.errors import FormatError
from skeleton.formats import read

BODY = 72057594037931101


def joint(v, t, state):
    return f"{0.1 * v} {1 + t} {3.5} 250.1 200.2 {900 + v} {500 - v} -0.2 0.01 0.9 -0.04 {state}"


def text(frames):
    """frames: for each frame {body id: list of 25 tracking states}."""
    lines = [str(len(frames))]
    for t, bodies in enumerate(frames):
        lines.append(str(len(bodies)))
        for body, states in bodies.items():
            lines += [f"{body} 0 1 1 1 1 0 -0.26 -0.43 2", str(len(states))]
            lines += [joint(v, t, state) for v, state in enumerate(states)]
    return "\r\n".join(lines) + "\r\n"


@pytest.fixture
def path(tmp_path):
    states = [2] * 23 + [1, 0]
    path = tmp_path / "S001C001P001R001A001.skeleton"
    path.write_text(text([{BODY: states}, {}, {BODY: states, 5: [2] * 25}]))
    return path


def test_metres(path):
    skeleton = read(path, "ntu")
    assert skeleton.keypoints.shape == (2, 3, 25, 3) and skeleton.track_ids.tolist() == [BODY, 5]
    assert (skeleton.layout, skeleton.frame_size) == ("ntu25", (1080, 1920))
    np.testing.assert_allclose(skeleton.timestamps, [0, 1 / 30, 2 / 30])
    assert skeleton.visible.any(2).tolist() == [[True, False, True], [False, False, True]]
    assert skeleton.visible[0, 0].tolist() == [True] * 24 + [False]
    np.testing.assert_allclose(skeleton.confidence[0, 0], [1] * 23 + [0.5, 0])
    np.testing.assert_allclose(skeleton.keypoints[0, 2, 7], [0.7, 3, 3.5], rtol=1e-6)
    np.testing.assert_allclose(skeleton.boxes[0, 0], [900, 477, 923, 500])
    assert not skeleton.boxes[0, 1].any()


def test_pixels(path):
    skeleton = read(path, "ntu", space="colour", fps=15)
    assert skeleton.keypoints.shape == (2, 3, 25, 2) and skeleton.timestamps[2] == 2 / 15
    np.testing.assert_allclose(skeleton.keypoints[0, 0, 7], [907, 493])
    path.write_text(path.read_text().replace("903 497", "-inf nan"))
    skeleton = read(path, "ntu", space="colour")
    assert np.flatnonzero(~skeleton.visible[0, 0]).tolist() == [3, 24]
    assert read(path, "ntu").visible[0, 0, 3]


def test_nobody(tmp_path):
    (tmp_path / "a.skeleton").write_text("2\n0\n0\n")
    skeleton = read(tmp_path / "a.skeleton", "ntu")
    assert (skeleton.num_persons, skeleton.num_frames) == (0, 2)


def test_bad_files(tmp_path, path):
    whole = path.read_bytes().decode()

    def refused(content, message, **options):
        (tmp_path / "a.skeleton").write_bytes(content if isinstance(content, bytes) else content.encode())
        with pytest.raises(FormatError, match=message):
            read(tmp_path / "a.skeleton", "ntu", **options)

    with pytest.raises(
        FormatError, match="expected a .skeleton file of NTU RGB.D at .*none.skeleton, found no such file"
    ):
        read(tmp_path / "none.skeleton", "ntu")
    lines = whole.splitlines()
    for count in (1, 2, 3, 10, len(lines) - 1):
        refused("\n".join(lines[:count]), "is cut: expected more lines, found its end")
    refused("", "is cut")
    refused("0\n", "must hold at least one frame, found 0")
    refused("many\n", "line 1: expected 1 number of .*found 'many'")
    refused(whole.replace(lines[5], lines[5][:30], 1), "line 6: expected 12 numbers of")
    refused(
        whole.replace("\r\n25\r\n", "\r\n20\r\n", 1), "must hold each body once in a frame, with 25 joints, found .* 20"
    )
    refused(whole.replace("-0.04 1", "-0.04 7"), "tracking states must be 0, 1 or 2")
    refused(whole + "0\n", "must end after its 3 frames, found more lines")
    refused(b"\x80\x04\xff\xfe", "found bytes that are no text")
    refused(whole, "expected space to be one of camera, colour, found 'depth'", space="depth")
    refused(whole, "fps must be frames a second above 0, found 0", fps=0)
