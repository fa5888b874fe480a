"""HumanML3D's joints: one `.npy` of [T, 22, 3] for each motion, metres with y up, 20 frames a second.

The folder is `new_joints`; the 263 features of `new_joint_vecs` are another thing and are not read.
"""

from pathlib import Path
from tokenize import TokenError

import numpy as np

from skeleton.errors import FormatError
from skeleton.formats.common import check_fps, check_metres, require_file
from skeleton.record import Skeleton

FPS = 20.0
_KIND = "a .npy of HumanML3D's new_joints"


def read_humanml3d(path: str | Path, fps: float = FPS) -> Skeleton:
    """The record of one motion: one person, layout smpl22, C=3; joints with a NaN are not visible.

    There is no picture, so frame_size is (1, 1). Raises FormatError for a missing, cut or foreign file.
    """
    fps = check_fps(fps, _KIND)
    path = require_file(path, _KIND)
    try:
        with path.open("rb") as file:
            joints = np.lib.format.read_array(file, allow_pickle=False)
    except (ValueError, TypeError, SyntaxError, TokenError, EOFError, OSError, MemoryError, OverflowError) as error:
        reason = " ".join(str(error).split())[:90]
        raise FormatError(f"{path} must be {_KIND}, found an unreadable file ({reason}); copy it again") from error
    if joints.ndim != 3 or joints.shape[1:] != (22, 3) or not len(joints) or joints.dtype.kind != "f":
        found = f"{list(joints.shape)} {joints.dtype}"
        raise FormatError(f"{path} must hold joints [T, 22, 3] in metres, found {found}; give a file of new_joints")
    visible = np.isfinite(joints).all(-1)[None]
    check_metres(joints[None], visible, path)
    return Skeleton(
        keypoints=np.where(visible[..., None], joints, 0),
        confidence=visible.astype(np.float32),
        visible=visible,
        boxes=np.zeros((1, len(joints), 4)),
        timestamps=np.arange(len(joints)) / fps,
        track_ids=np.zeros(1, np.int64),
        layout="smpl22",
        frame_size=(1, 1),
        source={"file": path.name, "format": "humanml3d", "fps": fps},
    )
