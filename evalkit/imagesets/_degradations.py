"""Damage to pictures as cameras and messengers do it: exposure, noise, blur, JPEG.

Light is float64, linear, 1 where the sensor clips; shape ``(height, width)`` or
``(height, width, 3)``. Pictures are uint8, sRGB. The same call makes the same bytes.
"""

import io

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from evalkit.images.scaling import shrink

Light = NDArray[np.float64]
Bytes = NDArray[np.uint8]


def to_light(image: Bytes) -> Light:
    """Decode sRGB (IEC 61966-2-1)."""
    x = image / 255
    return np.where(x <= 0.04045, x / 12.92, ((x + 0.055) / 1.055) ** 2.4)


def to_image(light: Light) -> Bytes:
    """Clip as a sensor does, and encode as sRGB."""
    x = np.clip(light, 0, 1)
    encoded = np.where(x <= 0.0031308, 12.92 * x, 1.055 * x ** (1 / 2.4) - 0.055)
    return np.asarray(np.rint(encoded * 255), np.uint8)


def blur(light: Light, sigma_px: float) -> Light:
    """Out of focus, as a Gaussian."""
    from scipy.ndimage import gaussian_filter

    sigmas = (sigma_px, sigma_px, 0)[: light.ndim]
    return np.asarray(gaussian_filter(light, sigmas))


def overexpose(light: Light, stops: float, glow_px: float) -> Light:
    """Too much light: highlights clip, and glow over what is beside them."""
    bright = light * 2**stops
    return bright + 0.05 * blur(np.clip(bright, 0, 2.5), glow_px)


def backlight(light: Light, subject: Light, glow_px: float) -> Light:
    """A subject three stops too dark before a ground nearly three stops too bright.

    `light` is in colour; `subject` is ``(height, width)``, 1 inside, 0 outside; stray
    light reaches `glow_px` into the subject.
    """
    inside = subject[..., None]
    scene = np.clip(light * (inside * 0.125 + (1 - inside) * 7), 0, 1.6)
    return scene + 0.035 * blur(scene, glow_px) + 0.02 * blur(scene, glow_px / 4)


def backlight_dark_parts(light: Light, glow_px: float) -> Light:
    """Dark parts fall by over three stops: the picture is exposed for the ground.

    The tone curve bends at half of full light, measured on a slightly blurred
    luminance (ITU-R BT.709), so that it follows things and not their texture.
    """
    luminance = blur(light @ np.array([0.2126, 0.7152, 0.0722]), glow_px / 10)
    gain = 0.1 + 1.05 / (1 + np.exp(-(luminance - 0.5) / 0.06))
    scene = light * gain[..., None]
    return scene + 0.03 * blur(scene, glow_px)


def add_noise(light: Light, shot: float, read: float, seed: int) -> Light:
    """Sensor noise, a little coarser than one pixel as after demosaicing.

    `shot` is the variance at full light, growing with light; `read` the standard
    deviation without light.
    """
    grain = blur(np.random.default_rng(seed).standard_normal(light.shape), 0.6)
    grain /= grain.std()
    return light + grain * np.sqrt(shot * np.clip(light, 0, None) + read**2)


def jpeg(image: Bytes, quality: int) -> Bytes:
    """Through a JPEG file, chroma at half size, as phones and messengers save."""
    file = io.BytesIO()
    Image.fromarray(image).save(file, "JPEG", quality=quality, subsampling="4:2:0")
    return np.array(Image.open(file))


def filled_polygon(
    corners: tuple[tuple[float, float], ...], width_px: int, height_px: int
) -> Light:
    """``(height, width)``: 1 inside, 0 outside, with a soft edge.

    The corners are x, y as shares of width and height.
    """
    fine = 4
    mask = Image.new("L", (width_px * fine, height_px * fine))
    points = [(x * width_px * fine, y * height_px * fine) for x, y in corners]
    ImageDraw.Draw(mask).polygon(points, fill=255)
    return blur(shrink(np.array(mask), width_px, height_px) / 255, 0.7)
