"""`gradus predict`: pictures of all kinds are brought to the look of the training data, and recognised."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("typer")
Image = pytest.importorskip("PIL.Image")

from gradus.cli import main  # noqa: E402
from gradus.cli.pictures import STYLES, placed, prepare, read_picture, remove_background, resampled, thickened  # noqa: E402
from gradus.data import digits, mnist  # noqa: E402
from gradus.errors import DataError  # noqa: E402
from gradus.train import load_run  # noqa: E402


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "digits"
    with pytest.raises(SystemExit) as ended:
        main(["train", "--epochs", "15", "--out", str(folder)])
    assert ended.value.code == 0
    return folder


def call(*words: str) -> int:
    with pytest.raises(SystemExit) as ended:
        main(words)
    return ended.value.code


def photo(image: np.ndarray, factor: int, seed: int) -> np.ndarray:
    """A dark print of ``image`` somewhere on noisy paper that is darker on one side: (H, W) in 0 … 1."""
    rng = np.random.default_rng(seed)
    large = np.kron(image, np.ones((factor, factor)))
    height, width = int(large.shape[0] * 1.7), int(large.shape[1] * 2.1)
    ink = np.zeros((height, width))
    top, left = rng.integers(4, height - large.shape[0] - 4), rng.integers(4, width - large.shape[1] - 4)
    ink[top : top + large.shape[0], left : left + large.shape[1]] = large
    paper = 0.95 - 0.2 * np.linspace(0, 1, width)
    return np.clip(paper * (1 - ink) + 0.15 * ink + 0.02 * rng.standard_normal(ink.shape), 0, 1)


def save(values: np.ndarray, path: Path) -> str:
    Image.fromarray((255 * values).round().astype(np.uint8)).save(path)
    return str(path)


def answers(out: str) -> list[str]:
    """The first row of each table."""
    return re.findall(r":[^\n]*\n +(\S+)", out)


def test_photos_are_recognised(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, _, images, labels = (part.numpy() for part in digits())
    files = [save(photo(images[i], 24, i), tmp_path / f"{i}.{'png' if i % 2 else 'jpg'}") for i in range(60)]
    assert call("predict", str(run), *files) == 0
    out = capsys.readouterr().out
    right = np.array(answers(out)) == labels[:60].astype(str)
    assert right.mean() >= 0.85
    assert "inverted (dark on light), cropped to" in out
    assert "32×32 bitmap, counted in 4×4 blocks" in out


def test_images_like_the_training_data_are_taken_as_they_are(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, _, images, _ = (part.numpy() for part in digits())
    files = []
    for i, scale in enumerate([1.0, 16, 255]):
        np.save(tmp_path / f"{i}.npy", images[i] if scale == 1 else np.floor(images[i] * scale).astype(np.uint8))
        files.append(str(tmp_path / f"{i}.npy"))
    assert call("predict", str(run / "model.safetensors"), *files) == 0
    out = capsys.readouterr().out
    assert out.count("8×8, light on dark: taken as it is") == 3
    assert answers(out) == load_run(run).predict(images[:3]).tolist()
    shown = sorted(float(number) for number in re.findall(r"([\d.]+) %", out.split("1.npy")[0]))
    np.testing.assert_allclose(shown, np.sort(100 * load_run(run).predict_proba(images[:1])[0]), atol=0.051)
    np.testing.assert_allclose(sum(shown), 100, atol=0.5)


def test_mnist_photos_match_their_originals(gradus_data: Path) -> None:
    """Print, photograph and prepare: the network's inputs come back, centred by mass in the 20×20 box."""
    images = mnist()[2].numpy()[:50]
    again = np.stack([prepare(photo(images[i], 12, i), STYLES["mnist"], "")[0] for i in range(50)])
    assert np.abs(again - images).mean() < 0.08
    grid = np.arange(28) + 0.5
    centre = [(image.sum(1) @ grid / image.sum(), image.sum(0) @ grid / image.sum()) for image in again]
    assert np.abs(np.array(centre) - 14).max() < 0.6


def test_inverting_a_picture_changes_nothing() -> None:
    page = photo(digits()[2].numpy()[3], 20, 0)
    for style in STYLES.values():
        np.testing.assert_allclose(prepare(page, style, "")[0], prepare(1 - page, style, "")[0], atol=1e-9)


def test_colour_transparency_and_rotation(tmp_path: Path) -> None:
    grey = np.full((40, 30), 255, np.uint8)
    grey[5:20, 10:14] = 30
    clear = np.zeros((40, 30, 4), np.uint8)
    clear[5:20, 10:14] = (30, 30, 30, 255)
    Image.fromarray(grey).save(tmp_path / "grey.png")
    Image.fromarray(clear).save(tmp_path / "clear.png")
    np.testing.assert_allclose(read_picture(tmp_path / "clear.png"), read_picture(tmp_path / "grey.png"), atol=1e-6)
    turned = Image.fromarray(np.rot90(grey))
    exif = turned.getexif()
    exif[0x0112] = 6  # "turn by 90° to the right to see it upright"
    turned.save(tmp_path / "turned.png", exif=exif)
    np.testing.assert_allclose(read_picture(tmp_path / "turned.png"), read_picture(tmp_path / "grey.png"), atol=1e-6)
    Image.fromarray(grey.astype(np.uint16) * 257).save(tmp_path / "deep.png")
    np.testing.assert_allclose(read_picture(tmp_path / "deep.png"), read_picture(tmp_path / "grey.png"), atol=1e-6)


def test_the_slope_of_the_light_is_taken_away() -> None:
    paper = np.add.outer(np.linspace(0, 0.2, 50), np.linspace(0.6, 0.7, 40))
    paper[20:30, 15:20] -= 0.4
    ink = remove_background(paper, light=True)
    assert ink[:15].max() < 1e-9
    np.testing.assert_allclose(ink[20:30, 15:20], 0.4)


def test_resampling_keeps_the_mean() -> None:
    image = np.random.default_rng(0).random((37, 53))
    assert resampled(image, 10, 7).mean() == pytest.approx(image.mean(), rel=1e-12)
    np.testing.assert_allclose(resampled(image, 37, 53), image)
    np.testing.assert_allclose(resampled(np.kron(image, np.ones((3, 3))), 37, 53), image)


def test_thin_strokes_are_thickened_and_thick_ones_kept() -> None:
    thin = np.zeros((100, 60))
    thin[:, 30] = 1
    thin[50] = 1
    assert (thickened(thin) > 0.5).mean() > 2 * (thin > 0.5).mean()
    thick = np.kron(np.eye(2), np.ones((30, 30)))
    assert thickened(thick) is thick


def test_a_one_stays_narrow_and_centred() -> None:
    image = placed(np.ones((100, 5)), STYLES["mnist"])
    assert image.shape == (28, 28)
    assert np.flatnonzero(image.any(1)).tolist() == list(range(4, 24))
    assert np.flatnonzero(image.any(0)).tolist() in ([13], [14])


@pytest.mark.parametrize(
    "name, content, complaint",
    [
        ("gone.png", None, "there is no picture"),
        ("folder.png", "folder", "is a folder"),
        ("text.npy", b"hello", "it is damaged, no .npy file, or holds Python objects"),
        ("text.png", b"hello", "cannot be read as a picture"),
        ("cut.png", "truncated", "cannot be read as a picture"),
        ("empty.npy", b"", "cannot be read as an array"),
        ("objects.npy", np.array([{"a": 1}], dtype=object), "cannot be read as an array"),
        ("row.npy", np.zeros(64), "does not hold one picture"),
        ("none.npy", np.zeros((0, 8)), "does not hold one picture"),
        ("nan.npy", np.full((8, 8), np.nan), "does not hold grey values"),
        ("minus.npy", -np.ones((8, 8)), "does not hold grey values"),
        ("white.npy", np.ones((50, 50)), "one even colour"),
    ],
)
def test_bad_pictures_end_in_one_sentence(
    run: Path, tmp_path: Path, name: str, content, complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    path = tmp_path / name
    if isinstance(content, bytes):
        path.write_bytes(content)
    elif isinstance(content, np.ndarray):
        np.save(path, content, allow_pickle=True)
    elif content == "folder":
        path.mkdir()
    elif content == "truncated":
        save(np.random.default_rng(0).random((60, 60)), path)
        path.write_bytes(path.read_bytes()[:700])
    assert call("predict", str(run), str(path)) == 2
    captured = capsys.readouterr()
    assert captured.err.count("\n") == 1
    assert complaint in captured.err
    assert name in captured.err


def test_a_wrong_run_folder(run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    np.save(tmp_path / "x.npy", digits()[2].numpy()[0])
    (tmp_path / "other").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "config.json").write_text("{")
    (tmp_path / "unfinished").mkdir()
    (tmp_path / "unfinished" / "config.json").write_bytes((run / "config.json").read_bytes())
    for folder, complaint in [("other", "has no config.json"), ("broken", "damaged"), ("unfinished", "no model.safetensors")]:
        assert call("predict", str(tmp_path / folder), str(tmp_path / "x.npy")) == 2
        captured = capsys.readouterr()
        assert captured.err.count("\n") == 1
        assert complaint in captured.err


def test_a_plain_picture_is_refused_by_name() -> None:
    with pytest.raises(DataError, match="sheet"):
        prepare(np.full((40, 40), 0.5), STYLES["mnist"], "sheet")
