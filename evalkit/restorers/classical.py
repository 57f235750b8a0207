"""Lanczos and bicubic interpolation: the baselines, and the low anchor of a rating."""

from collections.abc import Mapping

from evalkit.images import Picture
from evalkit.images.scaling import Interpolation, scaled_by_alpha
from evalkit.restorers._options import Option
from evalkit.restorers._protocol import Context, Plan, Restorer, RestorerSpec, Settings
from evalkit.restorers._work import CostBound

OPTIONS = {
    "scale": Option(
        default=4, low=1, high=16, description="output side divided by source side"
    )
}


HOW: Mapping[str, Interpolation] = {"lanczos": "lanczos", "bicubic": "cubic"}


class Enlargement(Restorer):
    """OpenCV's enlargement, on the sRGB values; colours count by their alpha."""

    def _restore(self, image: Picture, context: Context) -> Picture:
        scale = self.plan.resolved["scale"]
        height, width = image.shape[:2]
        how = HOW[self.plan.spec.name]
        with context.watch("resize"):
            output = scaled_by_alpha(
                image, int(width * scale), int(height * scale), how
            )
        context.progress(1, 1)
        return output


def plan(spec: RestorerSpec, settings: Settings) -> Plan:
    """Nothing to resolve and no weights."""
    return Plan(spec=spec, requested=settings, resolved=settings)


def work(settings: Settings, height: int, width: int) -> CostBound:
    """See `RestorerSpec.work`: a grey picture of 8 bits, read, and its output, made."""
    n_bytes = height * width * (1 + settings["scale"] ** 2)
    return CostBound("none", 0, n_bytes, n_bytes)


def _entry(name: str, citation: str) -> RestorerSpec:
    return RestorerSpec(
        name=name,
        task="interpolation: no detail is added",
        scale=4,
        citation=citation,
        licence="Apache-2.0 (OpenCV)",
        plan=plan,
        build=Enlargement,
        work=work,
        options=OPTIONS,
    )


ENTRIES = (
    _entry(
        "lanczos",
        "Lanczos kernel, a = 4 (cv2.INTER_LANCZOS4); Duchon, Lanczos Filtering in One "
        "and Two Dimensions, J. Appl. Meteorol. 18(8), 1979",
    ),
    _entry(
        "bicubic",
        "cubic convolution, a = -0.75 (cv2.INTER_CUBIC); Keys, Cubic Convolution "
        "Interpolation for Digital Image Processing, IEEE Trans. Acoust., Speech, "
        "Signal Process. 29(6), 1981",
    ),
)
