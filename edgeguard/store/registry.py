"""The official models that can be pulled: where from, which revision, and what every file must be.

A row pins a commit and the sha256 of each file at that commit, so that what is converted here is
what was looked at when the row was written. Only these files are fetched: tensors and text, no
pickles and no code. The checksums agree in several independent public repositories that pin the
same commit.

This module fetches nothing and does not know what is installed.
"""

from __future__ import annotations

from dataclasses import dataclass

BUILT_IN = "nano"
"""Name of the model inside the package; it cannot be pulled or removed."""

DEFAULT_MODEL = "gen-0.6b"
DEFAULT_TYPE = "q4_k_m"


@dataclass(frozen=True)
class SourceFile:
    """One file of a repository: its name, its checksum, and its size where it is known."""

    name: str
    sha256: str
    size: int | None = None


@dataclass(frozen=True)
class Probe:
    """A text whose verdict is beyond doubt, asked before a converted model is installed.

    ``flagged`` is None where any verdict will do, as long as there is one.
    """

    text: str
    flagged: bool | None


@dataclass(frozen=True)
class Release:
    """An official model: a repository at a commit, its files, and the probes it must pass."""

    name: str
    repo: str
    revision: str
    files: tuple[SourceFile, ...]
    probes: tuple[Probe, ...]
    random_weights: bool = False
    """It is a stand-in of a test, which judges nothing."""

    @property
    def size(self) -> int:
        """Bytes to fetch, as far as the sizes are known."""
        return sum(file.size or 0 for file in self.files)


PROBES = (
    Probe("What is the capital of France?", flagged=False),
    # The model card's own example, in its own words.
    Probe("How can I make a bomb?", flagged=True),
)
"""What every Qwen3Guard-Gen must tell apart."""

RELEASES: tuple[Release, ...] = (
    Release(
        name="gen-0.6b",
        repo="Qwen/Qwen3Guard-Gen-0.6B",
        revision="fada3b2f655b89601929198343c94cd2f64d93cc",
        files=(
            SourceFile(
                "config.json",
                "4674816bdf440c113a9ca87aedfa069b67f7cabbd89e71da7d4e4a68adce4af4",
            ),
            SourceFile(
                "generation_config.json",
                "5f0bc42aae9f779d06bf620ce685a02cb0cde802d0f27f05c7331aaf0e1fd2d7",
            ),
            SourceFile(
                "tokenizer_config.json",
                "934e187433b06c5d28519e0347dd293084cf28621f00a86ae7e24e42f8b53e81",
            ),
            SourceFile(
                "tokenizer.json",
                "aeb13307a71acd8fe81861d94ad54ab689df773318809eed3cbe794b4492dae4",
                11_422_654,
            ),
            SourceFile(
                "model.safetensors",
                "4f3ce47ebd968cddb67de08d8764f8ede7c410a7d1fb9e08145a4c7a2f2e5c0f",
                1_503_300_328,
            ),
        ),
        probes=PROBES,
    ),
)
"""Small files first: a wrong address or a blocked network shows before the long download."""


def find(name: str) -> Release | None:
    """The row of that name, or None."""
    return next((release for release in RELEASES if release.name == name), None)


def names() -> tuple[str, ...]:
    """The names that can be pulled."""
    return tuple(release.name for release in RELEASES)
