"""The package, in ranges; constraints.txt holds the exact versions that `make setup` installs.

`pip install -e .` leaves a torch that is already there alone. That is why torchvision is an extra: each
torchvision asks for one exact torch and would replace another. Bring the pair, or ask for [vision].
The OpenMMLab packages are in no extra, because what they declare cannot be installed: see the Makefile.
"""

from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent
README = ROOT / "README.md"

setup(
    name="hybrid-pose",
    version="0.1.0",
    description="Skeletons beside visual tokens: video language models that see limbs",
    long_description=README.read_text(encoding="utf-8") if README.is_file() else "",
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    author="The hybrid-pose authors",
    python_requires=">=3.11,<3.13",
    packages=find_packages(include=["skeleton", "skeleton.*", "fusion", "fusion.*", "hybrid", "hybrid.*"]),
    package_data={"": ["*.json"]},
    install_requires=[
        "torch>=2.6",
        "numpy>=1.26",
        "scipy>=1.12",
        "av>=13",
        "opencv-python-headless>=4.10,<5",
        "pillow>=10",
        "einops>=0.8",
        "filelock>=3.20",
        "omegaconf>=2.3",
        "pyyaml>=6",
        "safetensors>=0.4",
        "tqdm>=4.66",
        "transformers>=5.17,<6",
        "lightning>=2.5,!=2.6.2,!=2.6.3",  # those two were malicious uploads
        "tensorboard>=2.17",
        "torch-geometric>=2.6",
    ],
    extras_require={
        "vision": ["torchvision>=0.21"],
        # what mmengine, mmcv-lite, mmdet, mmpose and mmaction2 need; they themselves go in with --no-deps
        "openmmlab": [
            "addict",
            "yapf",
            "termcolor",
            "rich",
            "json_tricks",
            "munkres",
            "six",
            "terminaltables",
            "shapely",
            "pycocotools",
            "importlib_metadata",
            "matplotlib",
        ],
        "lora": ["peft>=0.18"],
        "onnx": ["onnxruntime>=1.20"],
        "dev": ["pytest>=8", "pytest-xdist>=3.6", "hypothesis>=6.100", "ruff>=0.9", "mypy>=1.14", "pre-commit>=4"],
    },
    classifiers=[
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
    ],
)
