"""How the settings of a condition change its cost."""

from evalkit.experiments._sweep import Sweep

ENTRIES = (
    Sweep(
        name="precision",
        setting="precision",
        values=("fp32", "tf32", "fp16", "bf16"),
        values_on_cpu=("fp32", "fp16", "bf16"),
    ),
    Sweep(
        name="scale",
        setting="scale",
        axis="scale, output side over source side",
        values=(2, 4, 8),
    ),
    Sweep(
        name="background",
        setting="background",
        values=("none", "realesrnet", "realesrgan"),
    ),
    Sweep(name="cpu", setting="device", values=("cpu",)),
)
