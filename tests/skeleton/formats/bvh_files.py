"""A small body written as BVH, for the tests of readers and of sets made of it."""

import numpy as np

BODY = {  # joint: (parent, offset in centimetres); x to the left, y up, z forward
    "Hips": (None, (0, 0, 0)),
    "Spine": ("Hips", (0, 10, 0)),
    "Neck": ("Spine", (0, 40, 0)),
    "Head": ("Neck", (0, 10, 2)),
    **{
        name.format(side): (parent.format(side), (sign * x, y, z))
        for side, sign in (("Left", 1), ("Right", -1))
        for name, parent, (x, y, z) in (
            ("{}Shoulder", "Spine", (4, 38, 0)),
            ("{}Arm", "{}Shoulder", (14, 0, 0)),
            ("{}ForeArm", "{}Arm", (28, 0, 0)),
            ("{}Hand", "{}ForeArm", (25, 0, 0)),
            ("{}UpLeg", "Hips", (9, -4, 0)),
            ("{}Leg", "{}UpLeg", (0, -42, 0)),
            ("{}Foot", "{}Leg", (0, -42, 0)),
            ("{}ToeBase", "{}Foot", (0, -6, 13)),
        )
    },
}


def bvh_text(frames=2, fps=30.0, turns=None, path=None, names=str, scale=1.0):
    """BVH of BODY. turns: {joint: {"X": degrees [T]}}; path: [T, 3] of the hips in centimetres, 100 high if None; names
    renames joints; scale: units of the file for a centimetre."""
    path = np.tile([0.0, 100.0, 0.0], (frames, 1)) if path is None else path
    lines, columns = ["HIERARCHY"], []

    def write(joint, depth):
        pad, root = "  " * depth, depth == 0
        x, y, z = (value * scale for value in BODY[joint][1])
        lines.extend(
            [f"{pad}{'ROOT' if root else 'JOINT'} {names(joint)}", pad + "{", f"{pad}  OFFSET {x:g} {y:g} {z:g}"]
        )
        moved = "Xposition Yposition Zposition " if root else ""
        lines.append(f"{pad}  CHANNELS {6 if root else 3} {moved}Zrotation Xrotation Yrotation")
        columns.extend(np.multiply(path, scale).T if root else [])
        columns.extend((turns or {}).get(joint, {}).get(axis, np.zeros(frames)) for axis in "ZXY")
        children = [name for name, (parent, _) in BODY.items() if parent == joint]
        for child in children:
            write(child, depth + 1)
        if not children:
            lines.extend([pad + "  End Site", pad + "  {", pad + "    OFFSET 0 1 0", pad + "  }"])
        lines.append(pad + "}")

    write("Hips", 0)
    rows = [" ".join(f"{value:.5f}" for value in row) for row in np.stack(columns, axis=1)]
    return "\n".join([*lines, "MOTION", f"Frames: {frames}", f"Frame Time: {1 / fps:.6f}", *rows]) + "\n"


def walk(frames=240, yaw=0.0, fps=30.0, metres=0.0, **options):
    """Walks and lifts the left arm in the middle, turned by `yaw` degrees."""
    time = np.arange(frames) / fps
    stride = 20 * np.sin(2 * np.pi * time)
    arm = np.where((time > 2) & (time < 4), 60.0, -80.0)
    turns = {
        "Hips": {"Y": np.full(frames, float(yaw))}, "LeftArm": {"Z": arm}, "RightArm": {"Z": np.full(frames, 80.0)},
        "LeftUpLeg": {"X": stride}, "RightUpLeg": {"X": -stride}, "LeftLeg": {"X": 15 + stride / 2},
    }  # fmt: skip
    forward = np.linspace(0, 100 * metres, frames)[:, None] * (np.sin(np.radians(yaw)), 0, np.cos(np.radians(yaw)))
    return bvh_text(frames, fps, turns, forward + np.array([300, 100, -200]), **options)
