"""What the package is, what it needs and what it installs; tool settings are in pyproject.toml.

The version stands in one place, ``speechxfer/__init__.py``, and is read from its text, so building imports nothing.
"""

import re
from pathlib import Path

from setuptools import find_packages, setup

HERE = Path(__file__).resolve().parent
VERSION = re.search(r'^__version__ = "([^"]+)"', (HERE / "speechxfer/__init__.py").read_text("utf-8"), re.MULTILINE)
if VERSION is None:
    raise SystemExit('speechxfer/__init__.py has no line `__version__ = "..."`')
README = HERE / "README.md"

BPE = ["sentencepiece>=0.2"]
LETTERS = ["anyascii>=0.3", "panphon>=0.22"]
PLOT = ["matplotlib>=3.8"]
TENSORBOARD = ["tensorboard>=2.16"]
DEMO = ["espeakng-loader>=0.2.4", "langcodes[data]>=3.5", "num2words>=0.5.13"]
MEDIA = ["av>=14"]  # M4A, MP4, WebM, AMR, video
LORA = ["peft>=0.17"]
STUDIES = ["scikit-learn>=1.5", "scipy>=1.13"]  # rank-sources, self-train, embed
HF = ["transformers>=5", "pyyaml>=6"]  # with transformers come tokenizers and huggingface_hub
ONNX = ["onnx>=1.17", "onnxruntime>=1.20", "onnxscript>=0.5"]
SERVE = [*MEDIA, "starlette>=0.46", "uvicorn>=0.34"]  # what browsers record needs MEDIA
REMOTE = ["fsspec>=2024.6"]  # s3:// needs s3fs too, gs:// gcsfs
TEST = [
    "pytest>=8",
    "pytest-xdist>=3.6",
    "hypothesis>=6.100",
    "lhotse>=1.33",
    "praat-parselmouth>=0.4.7",
    "pympi-ling>=1.71",
    *BPE,
    *LETTERS,
    *STUDIES,
    *PLOT,
    *TENSORBOARD,
    *DEMO,
    *MEDIA,
    *LORA,
    *HF,
    *ONNX,
    *SERVE,
    "httpx>=0.28",
    *REMOTE,
    "sherpa-onnx>=1.12.16",
    "playwright>=1.49",  # drives a Chromium that is installed
    "flashlight-text>=0.0.7; python_version < '3.13'",  # the oracle of the beam search; later versions have no wheels
]
DOCS = ["mkdocs>=1.6,<2", "mkdocs-material>=9.7", "mkdocstrings[python]>=1"]
DEV = ["ruff>=0.15", "mypy>=1.15", *TEST]

setup(
    name="speechxfer",
    version=VERSION[1],
    description="Adapt a pretrained acoustic model to a new language or vocabulary, and measure how well that worked",
    long_description=README.read_text("utf-8") if README.exists() else "",
    long_description_content_type="text/markdown",
    author="The speechxfer authors",
    license="Apache-2.0",
    license_files=["LICENSE", "speechxfer/shipped/NOTICE.md"],
    keywords=["speech recognition", "transfer learning", "acoustic model", "low-resource languages", "CTC", "WER"],
    classifiers=[
        "Development Status :: 3 - Alpha",
        "Environment :: Console",
        "Intended Audience :: Science/Research",
        "Operating System :: MacOS",
        "Operating System :: POSIX :: Linux",
        "Programming Language :: Python :: 3",
        "Programming Language :: Python :: 3.11",
        "Programming Language :: Python :: 3.12",
        "Programming Language :: Python :: 3.13",
        "Topic :: Multimedia :: Sound/Audio :: Speech",
        "Topic :: Scientific/Engineering :: Artificial Intelligence",
        "Typing :: Typed",
    ],
    packages=find_packages(include=["speechxfer", "speechxfer.*"]),
    package_data={
        "speechxfer": [
            "py.typed",
            "shipped/NOTICE.md",
            "shipped/*/*",
            "reporting/templates/*",
            "server/static/*",
            "export/page/*",
        ]
    },
    python_requires=">=3.11",
    install_requires=[
        # One pair, one minor version: torchaudio's compiled part fits only the torch it was built against, and both
        # the feature reference (torchaudio's Kaldi front end) and bit-exact resume are tested with this pair.
        "torch>=2.11,<2.12",
        "torchaudio>=2.11,<2.12",
        "accelerate>=1.10",
        "filelock>=3.16",
        "jinja2>=3.1",
        "jiwer>=4",
        "langcodes>=3.5",
        "librosa>=0.11",
        "numpy>=1.26",
        "pydantic>=2.7",
        "rich>=14.1",
        "safetensors>=0.5",
        "soundfile>=0.13",
        "soxr>=0.5",
        "typer>=0.15",
    ],
    extras_require={
        "bpe": BPE,
        "letters": LETTERS,
        "studies": STUDIES,
        "plot": PLOT,
        "tensorboard": TENSORBOARD,
        "demo": DEMO,
        "media": MEDIA,
        "lora": LORA,
        "hf": HF,
        "onnx": ONNX,
        "serve": SERVE,
        "remote": REMOTE,
        "test": TEST,
        "docs": DOCS,
        "dev": DEV,
    },
    entry_points={"console_scripts": ["speechxfer = speechxfer.cli:main"]},
)
