"""Pictures of any kind made to look like the images that a network was trained on.

Sources: LeCun and others 1998, "Gradient-based learning applied to document recognition", section 3.1 (MNIST: 20×20 box, centred by mass);
Alpaydin and Kaynak 1998, UCI "Optical recognition of handwritten digits" (32×32 bitmaps, counts in 4×4 blocks);
Xiao and others 2017, "Fashion-MNIST", section 2.
"""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

import numpy as np

from gradus.errors import DataError, missing_extra

THIN = 0.2  # share of inked pixels in the box of a digit below which the pen was thinner than those of the training data


class Style(NamedTuple):
    """How a data set's images were made: ``size`` of the image, ``box`` that its content fills."""

    size: int
    box: int
    by_mass: bool
    bitmap: bool
    thicken: bool


STYLES = {
    "digits": Style(size=32, box=32, by_mass=False, bitmap=True, thicken=True),
    "mnist": Style(size=28, box=20, by_mass=True, bitmap=False, thicken=True),
    "fashion": Style(size=28, box=28, by_mass=False, bitmap=False, thicken=False),
}
BLOCK = 4  # pixels of the digits' bitmaps that are counted together, each way
NARROWEST = 18  # pixels of 32 that even a "1" of the digits is wide


def read_picture(path: Path) -> np.ndarray:
    """A picture as grey values in 0 … 1, float64 (H, W). Transparent parts count as white.

    Raises:
        DataError: no such file, not a picture, or an array of another shape or range.
        MissingExtraError: a PNG or JPEG, and Pillow is not installed.
    """
    if path.is_dir():
        raise DataError(f"{path} is a folder", wanted="a PNG, JPEG or .npy file", where="")
    if not path.is_file():
        raise DataError(f"there is no picture {path}", where="")
    if path.suffix.lower() == ".npy":
        return read_array(path)
    try:
        from PIL import Image, ImageOps
    except ImportError as error:
        raise missing_extra("Pillow", "data", "Reading PNG and JPEG pictures") from error
    try:
        with Image.open(path) as image:
            upright = ImageOps.exif_transpose(image)
            if upright.mode.startswith("I;16") or upright.mode in ("I", "F"):
                values = np.asarray(upright, dtype=np.float64)
                return values / max(float(values.max()), 1.0)
            coloured = upright.convert("RGBA")
            white = Image.new("RGBA", coloured.size, "white")
            return np.asarray(Image.alpha_composite(white, coloured).convert("L"), dtype=np.float64) / 255
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise DataError(f"{path} cannot be read as a picture", why=str(error), wanted="a PNG, JPEG or .npy file", where="") from error


def read_array(path: Path) -> np.ndarray:
    """A .npy file of shape (H, W), or (H, W, 3) in colour, with values in 0 … 1, 0 … 16 (8×8 digits) or 0 … 255."""
    try:
        array = np.load(path, allow_pickle=False)
    except OSError as error:
        raise DataError(f"{path} cannot be read as an array", why=str(error), wanted="a .npy file of numbers", where="") from error
    except (ValueError, EOFError) as error:  # NumPy's own words recommend to load pickles
        why = "it is damaged, no .npy file, or holds Python objects"
        raise DataError(f"{path} cannot be read as an array", why=why, wanted="a .npy file of numbers", where="") from error
    if (
        not isinstance(array, np.ndarray)
        or array.dtype.kind not in "buif"
        or array.ndim not in (2, 3)
        or 0 in array.shape
        or (array.ndim == 3 and array.shape[2] not in (1, 3))
    ):
        got = f"shape {array.shape}, dtype {array.dtype}" if isinstance(array, np.ndarray) else type(array).__name__
        raise DataError(f"{path} does not hold one picture", got=got, wanted="numbers of shape (H, W) or (H, W, 3)", where="")
    values = array.astype(np.float64)
    if values.ndim == 3:
        values = values.mean(2)
    if not np.isfinite(values).all() or values.min() < 0 or values.max() > 255:
        raise DataError(f"{path} does not hold grey values", got=f"{values.min()} … {values.max()}", wanted="0 … 1 or 0 … 255", where="")
    if values.max() <= 1 and array.dtype.kind in "bf":
        return values
    return values / (16 if values.shape == (8, 8) and values.max() <= 16 else 255)


def prepare(picture: np.ndarray, style: Style, name: str) -> tuple[np.ndarray, list[str]]:
    """The picture as the training data has it, light on dark in 0 … 1, and what was done to it, in words.

    Raises:
        DataError: the picture is of one even colour.
    """
    size = style.size // BLOCK if style.bitmap else style.size
    border = np.concatenate([picture[0], picture[-1], picture[:, 0], picture[:, -1]])
    light = float(np.median(border)) > 0.5
    if picture.shape == (size, size) and not light:
        return picture, [f"{size}×{size}, light on dark: taken as it is"]
    steps = ["grey"]
    ink = remove_background(picture, light)
    if light:
        steps.append("inverted (dark on light)")
    threshold = otsu(ink)
    mask = ink > threshold
    if ink.max() < 0.05 or not mask.any():
        raise DataError(
            f"{name} shows nothing: it is of one even colour",
            got=f"contrast {ink.max():.2f}",
            wanted="a dark digit on light paper, or the reverse",
            where="",
        )
    rows, columns = np.flatnonzero(mask.any(1)), np.flatnonzero(mask.any(0))
    ink = np.where(ink > threshold / 2, ink / np.percentile(ink[mask], 90), 0).clip(0, 1)
    content = ink[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    steps.append(f"cropped to {content.shape[1]}×{content.shape[0]}")
    if style.thicken and (thicker := thickened(content)) is not content:
        content = thicker
        steps.append("strokes thickened")
    image = placed(content, style)
    if style.bitmap:
        image = (image > 0.5).reshape(size, BLOCK, size, BLOCK).mean((1, 3))
        return image, [*steps, f"scaled to a {style.size}×{style.size} bitmap, counted in {BLOCK}×{BLOCK} blocks"]
    return image, [*steps, f"scaled into {style.box}×{style.box}, centred {'by mass ' if style.by_mass else ''}in {size}×{size}"]


def remove_background(picture: np.ndarray, light: bool) -> np.ndarray:
    """How far each pixel is from the paper, whose brightness may slope from side to side (a plane through the border pixels)."""
    height, width = picture.shape
    y, x = np.mgrid[0:height, 0:width]
    edge = np.ones((height, width), bool)
    edge[1:-1, 1:-1] = False
    values = picture[edge]
    usual = np.abs(values - np.median(values)) < 0.25  # ink that runs over the border is not paper
    terms = np.stack([np.ones(int(edge.sum())), y[edge], x[edge]], 1)
    plane, *_ = np.linalg.lstsq(terms[usual], values[usual], rcond=None)
    paper = plane[0] + plane[1] * y + plane[2] * x
    return np.clip(paper - picture if light else picture - paper, 0, None)


def otsu(values: np.ndarray) -> float:
    """The threshold that parts values into two groups of least variance (Otsu 1979)."""
    counts, edges = np.histogram(values, bins=256)
    centres = (edges[:-1] + edges[1:]) / 2
    below, above = np.cumsum(counts), counts.sum() - np.cumsum(counts)
    sums = np.cumsum(counts * centres)
    with np.errstate(divide="ignore", invalid="ignore"):
        between = below * above * (sums / below - (sums[-1] - sums) / above) ** 2
    return float(edges[1:][int(np.nanargmax(between))]) if np.isfinite(between).any() else float(edges[-1])


def thickened(content: np.ndarray) -> np.ndarray:
    """The content with its strokes widened until they cover a usual share of the box; the content itself when they do."""
    step = max(1, round(max(content.shape) / 40))
    for _ in range(3):
        if (content > 0.5).mean() >= THIN:
            break
        padded = np.pad(content, step)
        shifts = [(0, step), (2 * step, step), (step, 0), (step, 2 * step), (step, step)]
        content = np.maximum.reduce([padded[y : y + content.shape[0], x : x + content.shape[1]] for y, x in shifts])
    return content


def placed(content: np.ndarray, style: Style) -> np.ndarray:
    """The content scaled into its box, its sides in proportion, and centred in an empty image."""
    height, width = content.shape
    scale = style.box / max(height, width)
    high, wide = (max(1, round(side * scale)) for side in (height, width))
    if style.bitmap:  # these were normalised to their full height, whatever their proportions
        high, wide = style.box, int(np.clip(round(width * style.box / height), NARROWEST, 0.875 * style.box))
    small = resampled(content, high, wide)
    top, left = (style.size - high) // 2, (style.size - wide) // 2
    if style.by_mass:
        total = small.sum()
        top = round(style.size / 2 - float((small.sum(1) * (np.arange(high) + 0.5)).sum() / total))
        left = round(style.size / 2 - float((small.sum(0) * (np.arange(wide) + 0.5)).sum() / total))
        top, left = int(np.clip(top, 0, style.size - high)), int(np.clip(left, 0, style.size - wide))
    image = np.zeros((style.size, style.size))
    image[top : top + high, left : left + wide] = small
    return image


def resampled(image: np.ndarray, height: int, width: int) -> np.ndarray:
    """The image at another size; each new pixel is the mean of the area that it covers.

    >>> resampled(np.array([[0.0, 1.0, 1.0, 1.0]]), 1, 2)
    array([[0.5, 1. ]])
    """
    return np.asarray(coverage(height, image.shape[0]) @ image @ coverage(width, image.shape[1]).T)


def coverage(new: int, old: int) -> np.ndarray:
    """Row i: the share of each of ``old`` pixels in new pixel i."""
    edges = np.linspace(0, old, new + 1)
    pixels = np.arange(old)
    overlap = np.clip(np.minimum(edges[1:, None], pixels + 1) - np.maximum(edges[:-1, None], pixels), 0, None)
    return np.asarray(overlap / overlap.sum(1, keepdims=True))
