"""Photographs from the installed packages, and a rendered road with known lane lines (ground truth).

None of the installed photographs shows a road, so one is rendered, as a camera in a car sees it. The surfaces
are photographs that scikit-image and scikit-learn ship (gravel as asphalt, grass as the verge, sky and trees
from a view of a palace). The geometry is a pinhole camera above a flat road. So the position of every painted
line in the image is known to a fraction of a pixel, and the error of a line detector can be measured.

A point X metres to the right and Z metres ahead on the ground is seen at

    u = u0 + f X / Z        v = v0 + f h / Z

with the camera `h` metres above the road and the vanishing point (u0, v0). A line along the road has
X = const, so u = u0 + (v - v0) X / h: a straight line through the vanishing point.
"""

import warnings
from dataclasses import dataclass

import cv2
import numpy as np
from tqdm import TqdmWarning

# ----------------------------------------------------------------------------------------------------
# Photographs that come inside scikit-image, by name: nothing is downloaded.

NAMES = (
    *(
        "astronaut",
        "cat",
        "coffee",
        "hubble_deep_field",
        "immunohistochemistry",
        "retina",
        "rocket",
    ),  # colour
    *("brick", "camera", "cell", "clock", "coins", "grass", "gravel", "moon", "page", "text"),  # grey
)


def photograph(name: str) -> np.ndarray:
    """Return one of `NAMES`: uint8 of shape (height, width, 3), or (height, width) where it is grey.

    Raises
    ------
    ValueError
        When the name is another one: scikit-image would have to download it.

    Examples
    --------
    >>> photograph("coffee").shape, photograph("gravel").shape
    ((400, 600, 3), (512, 512))
    """
    if name not in NAMES:
        raise ValueError(f"photograph {name!r} should be one of {', '.join(NAMES)}")
    with warnings.catch_warnings():  # it imports tqdm.auto, which warns in a kernel without ipywidgets
        warnings.simplefilter("ignore", TqdmWarning)
        from skimage import data

        return getattr(data, name)()


HEIGHT, WIDTH = 256, 384  # pixels of the image
CAMERA_HEIGHT = 1.9  # metres
FOCAL = 300.0  # pixels
LANE = 3.5  # metres between the middles of the two painted lines
STRIPE = 0.16  # metres
_OVERSAMPLING = 2


@dataclass(frozen=True, eq=False)
class RoadScene:
    """A picture of a road, and where the borders of the car's lane are in it.

    Attributes
    ----------
    image : uint8 ndarray of shape (256, 384, 3)
        RGB.
    vanishing_point : (float, float)
        Column and row in which all lines along the road meet.
    slopes : dict
        Columns per row of the ``left`` and ``right`` border, counted from the vanishing point downwards.
    """

    image: np.ndarray
    vanishing_point: tuple[float, float]
    slopes: dict[str, float]

    def column(self, border: str, row: float) -> float:
        """Return the column, in pixels, of the middle of a border's painted line in an image row.

        >>> scene = road_scene()
        >>> scene.column("left", 255) < scene.column("right", 255)
        True
        """
        u0, v0 = self.vanishing_point
        return u0 + (row - v0) * self.slopes[border]


def road_scene(seed: int = 0, *, shadows: bool = True, noise: float = 8.0) -> RoadScene:
    """Render a road; each seed gives another place in the lane, other shadows, dashes and noise.

    Parameters
    ----------
    seed : int
        Of all random choices.
    shadows : bool
        Whether trees cast shadows across the road.
    noise : float
        Standard deviation of the sensor's noise, in grey levels.

    Returns
    -------
    RoadScene
    """
    rng = np.random.default_rng(seed)
    u0, v0 = WIDTH / 2 + rng.uniform(-18, 18), 88 + rng.uniform(-6, 6)
    middle = rng.uniform(-0.25, 0.25)  # of the lane, in metres right of the camera
    phase, bands = rng.uniform(0, 9), rng.uniform((6.0, 0.6), (30.0, 2.2), (4, 2))

    side = 1 / _OVERSAMPLING
    rows, columns = np.mgrid[0:HEIGHT:side, 0:WIDTH:side].astype(np.float32) + (side - 1) / 2
    first = int(np.searchsorted(rows[:, 0], v0 + 0.5))  # the rows above it are sky and trees
    ahead = np.float32(FOCAL * CAMERA_HEIGHT) / (rows[first:] - np.float32(v0))
    right = (columns[first:] - np.float32(u0)) * ahead / FOCAL - np.float32(middle)
    ground = _ground(right, ahead, phase)
    if shadows:
        ground *= _shade(right, ahead, bands)[..., None]
    image = np.concatenate([_background(rows[:first] - np.float32(v0), columns[:first]), ground])
    image = cv2.resize(image, (WIDTH, HEIGHT), interpolation=cv2.INTER_AREA)
    image = cv2.GaussianBlur(image, (0, 0), 0.6) + rng.normal(0, noise, image.shape)
    slopes = {"left": (middle - LANE / 2) / CAMERA_HEIGHT, "right": (middle + LANE / 2) / CAMERA_HEIGHT}
    return RoadScene(np.clip(np.rint(image), 0, 255).astype(np.uint8), (u0, v0), slopes)


def _ground(right: np.ndarray, ahead: np.ndarray, phase: float) -> np.ndarray:
    """Return the colours of the ground: asphalt, painted lines, verge; `right` is from the lane's middle."""
    far = np.clip(ahead / 45, 0, 1)[..., None]  # texture fades and colours turn to haze
    gravel = _texture("gravel", right, ahead, 0.0028)[..., None]
    grass = _texture("grass", right, ahead, 0.006)[..., None]
    worn = _texture("gravel", right + 40, ahead + 7, 0.012)[..., None]
    asphalt = np.float32([104, 104, 108]) + 100 * gravel * (1 - far) + 14 * worn
    verge = np.float32([92, 112, 58]) * (1 + 1.3 * grass * (1 - 0.7 * far))
    paint = np.float32([214, 212, 204]) + 60 * gravel * (1 - far) + 40 * np.minimum(worn, 0)

    def near(place: float) -> np.ndarray:
        return np.abs(right - place) < STRIPE / 2

    dashes = (ahead + phase) % 9 < 5
    painted = near(LANE / 2) | near(-1.5 * LANE) | (near(-LANE / 2) & dashes)
    on_road = (right < LANE / 2 + 0.7) & (right > -1.5 * LANE - 0.7)
    seam = np.abs(right - 0.12 - 0.05 * np.sin(ahead / 2)) < 0.025
    colours = np.where(on_road[..., None], np.where(seam[..., None], 0.72 * asphalt, asphalt), verge)
    colours = np.where(painted[..., None], paint, colours)
    haze = 0.45 * np.clip(ahead / 150, 0, 1)[..., None]
    return ((1 - haze) * colours + haze * np.float32([188, 196, 204])).astype(np.float32)


def _shade(right: np.ndarray, ahead: np.ndarray, bands: np.ndarray) -> np.ndarray:
    """Return the fraction of light that is left by the shadows of trees beside the road, in (0, 1]."""
    light = np.ones_like(ahead)
    slanted = ahead + 0.45 * right + 0.12 * np.sin(8.3 * right)
    for distance, breadth in bands.astype(np.float32):
        ragged = slanted + 0.25 * np.sin(3.1 * right + distance)
        inside = np.clip((breadth / 2 - np.abs(ragged - distance)) / 0.12, 0, 1)
        light = np.minimum(light, 1 - 0.48 * inside)
    return light


def _background(above: np.ndarray, columns: np.ndarray) -> np.ndarray:
    """Return the colours of sky and trees; `above` is the row counted from the horizon, negative upwards."""
    from sklearn.datasets import load_sample_image

    palace = load_sample_image("china.jpg").astype(np.float32)
    sky, trees = np.ascontiguousarray(palace[0:130, 400:630]), np.ascontiguousarray(palace[322:422, 400:630])
    colours = cv2.remap(sky, columns * 0.59, np.clip(129 + above * 1.2, 0, 129), cv2.INTER_LINEAR)
    skyline = -13 - 7 * np.sin(columns / 41) - 3 * np.sin(columns / 11 + 1)
    wood = cv2.remap(trees, (columns * 1.7) % 229, 60 + above * 2, cv2.INTER_LINEAR)
    return np.where((above > skyline)[..., None], 0.5 * wood + np.float32([66, 74, 72]), colours)


def _texture(name: str, right: np.ndarray, ahead: np.ndarray, metres: float) -> np.ndarray:
    """Return a grey photograph laid on the ground, `metres` per pixel, as values around 0."""
    grey = photograph(name)
    height, width = grey.shape
    values = (grey.astype(np.float32) - grey.mean()) / 255
    x, y = (right / metres) % (width - 1), (ahead / metres) % (height - 1)
    return cv2.remap(values, x.astype(np.float32), y.astype(np.float32), cv2.INTER_LINEAR)
