"""The article's figures, each with its cell of a study or its score of a panel."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from evalkit.article._register import load_claims
from evalkit.experiments import BUSY, MEMORY, TIME

GPEN, X4PLUS = "gpen-512", "realesrgan-x4plus"

CLAIMS = {claim.id: claim for claim in load_claims()}
CLAIMED = {name: claim.claimed for name, claim in CLAIMS.items()}

SAME = 1.25
"""The article gives one value without a spread: within this factor ours is the same."""

SINGLE = ("cost", "frame", "precision", "cpu")
"""Experiments of one picture as it is, under a condition's settings or some of them."""

LIMIT_PX = 1280
"""The longest side above which the article says that GPEN's cost jumps."""

PEAK_TFLOP_S = {"fp32": 82.6, "fp16": 330.3}
"""The article's GPU: TF32, in which cuDNN's convolutions run by default, and FP16
added up in FP16, which PyTorch does not even do. NVIDIA Ada GPU Architecture
whitepaper, 2022, GeForce RTX 4090, dense."""

COPY_GIB_S = 1008e9 / 2**30
"""Its memory's bandwidth, ibid."""


@dataclass(frozen=True, slots=True)
class Figure:
    """One number of the article.

    Attributes
    ----------
    restorer, device, precision, n_pictures
        The cell: as the original's script has it, without tiles or background. The
        article gives no precision but for FP16; it tells FP16 from the rest, so the
        rest is taken for fp32.
    quantity
        One of `evalkit.experiments.UNITS`.
    against
        The claim with which its ratio is compared on another machine.
    width_px, height_px
        A picture's size; one that is `LIMIT_PX` long stands for all that are longer.

    """

    restorer: str
    quantity: str
    against: str
    device: str = "cuda"
    precision: str = "fp32"
    n_pictures: int = 1
    width_px: int = 1024
    height_px: int = 768

    @property
    def setting(self) -> Mapping[str, Any]:
        """The settings that the work of the cell depends on."""
        return {
            "runner": "upstream",
            "device": self.device,
            "precision": self.precision,
            "tile": 0,
            **({"scale": 4} if self.restorer == X4PLUS else {"background": "none"}),
        }

    def is_of_size(self, width_px: int, height_px: int) -> bool:
        """Whether a picture has the figure's size, either way up."""
        if self.width_px == LIMIT_PX:
            return max(width_px, height_px) > LIMIT_PX
        return sorted((width_px, height_px)) == sorted((self.width_px, self.height_px))

    def in_units(self, claimed: float) -> float:
        """The claimed number in the quantity's unit; GB are read as GiB, the larger."""
        return claimed * 1024 if self.quantity == MEMORY else claimed


FIGURES: Mapping[str, Figure] = {
    "G1": Figure(GPEN, MEMORY, "G10"),
    "G2": Figure(GPEN, TIME, "G11"),
    "G3": Figure(GPEN, MEMORY, "G1", n_pictures=5),
    "G4": Figure(GPEN, TIME, "G2", n_pictures=5),
    "G5": Figure(GPEN, MEMORY, "G1", device="cpu"),
    "G6": Figure(GPEN, TIME, "G2", device="cpu"),
    "G7": Figure(GPEN, MEMORY, "G1", width_px=LIMIT_PX, height_px=960),
    "G10": Figure(X4PLUS, MEMORY, "G1"),
    "G11": Figure(X4PLUS, TIME, "G2"),
    "G12": Figure(X4PLUS, MEMORY, "G10", n_pictures=5),
    "G13": Figure(X4PLUS, TIME, "G11", n_pictures=5),
    "G15": Figure(X4PLUS, MEMORY, "G10", precision="fp16"),
    "G16": Figure(X4PLUS, TIME, "G11", precision="fp16"),
    "G19": Figure(GPEN, BUSY, "G20"),
    "G20": Figure(X4PLUS, BUSY, "G19"),
}
"""By claim."""

TABLES: Mapping[str, tuple[str, ...]] = {
    "3.3": ("G1", "G2", "G9", "G3", "G4", "G5", "G6"),
    "4.3": ("G10", "G11", "G26", "G12", "G13", "G14", "G15", "G16"),
    "5.2": ("G19", "G1", "G20", "G10"),
}
"""The claims in the article's tables of cost, by section."""

SERIES: Mapping[str, tuple[str, tuple[int, ...]]] = {
    "G9": (GPEN, (1, 5)),
    "G14": (X4PLUS, (5,)),
    "G26": (X4PLUS, (1,)),
}
"""Restorer and pictures of a run's batch, by claim on failures in a series."""

MEANS: Mapping[str, tuple[str, str]] = {
    "Q1": (GPEN, "portrait"),
    "Q2": (X4PLUS, "portrait"),
    "Q3": (GPEN, "building"),
    "Q4": (X4PLUS, "building"),
    "Q5": (GPEN, "text"),
    "Q6": (X4PLUS, "text"),
}
"""Restorer and kind of picture, by claim that is a mean score."""
