# %% [markdown]
# # Assignment 1: from a road to its lines
#
# A car that keeps its lane has to find it first. You write the classical way to do it, every step of it: colour to
# grey, smoothing, gradient, thin edges, hysteresis, votes for lines. Then you choose its parameters for a road, and
# defend them.
#
# | question | points | minutes |
# |---|---|---|
# | 1 Grey | 1 | 10 |
# | 2 Convolution | 3 | 25 |
# | 3 A Gaussian kernel | 2 | 10 |
# | 4 Gradient | 2 | 15 |
# | 5 Thin edges | 2 | 20 |
# | 6 Hysteresis | 2 | 15 |
# | 7 Votes for lines | 2 | 20 |
# | 8 The lane | 2 | 20 |
# | 9 Defend your parameters | 4 | 30 |
# | **all** | **20** | **165** |
#
# You need the second lecture of this week, *Filters, edges, lines*. Work in your own copy, in your folder below
# `members/`. Replace each `raise NotImplementedError(...)` by your code, in plain NumPy unless the question says
# otherwise. After each question a check tries your function on inputs of its own: it says what is wrong, and often why.
# Questions 1 to 8 are graded by these checks, question 9 by a reader.

# %%
import cv2
import numpy as np

from common.checks import week01
from common.data.pictures import photograph, road_scene
from common.figures import CourseFigure, use_course_style

use_course_style()

# %% [markdown]
# ## The road
#
# This is no photograph: none of a road comes with our libraries. It is rendered from photographs of gravel, grass, sky
# and trees, with perspective, worn paint, shadows and a sensor's noise. In return we know where the lines really are, to
# a fraction of a pixel, and can measure a result. `road_scene(seed)` gives as many roads as you like.

# %%
scene = road_scene(0)
road = scene.image
print("shape", road.shape, "dtype", road.dtype, "range", road.min() // 32 * 32, "to", road.max())

fig = CourseFigure(height=2.0)
axes = fig.subplots(1, 2)
for ax, picture, title in zip(axes, (road, road_scene(1).image), ("Seed 0", "Seed 1"), strict=True):
    _ = ax.imshow(picture)
    ax.set_title(title)
    ax.set_axis_off()
fig

# %% [markdown]
# Two roads through grass to the horizon. The lane is bordered by a dashed line on its left and an unbroken one on its
# right; further left is the edge of the opposite lane. Shadows cross the road, a dark seam runs along it. Each of these
# has edges, and only two of them are wanted.

# %% [markdown]
# ## Question 1: Grey (1 point)
#
# The eye is most sensitive to green and least to blue, so the grey value of a pixel is
# $Y = 0.299\,R + 0.587\,G + 0.114\,B$. The image is RGB, `uint8`; so is the result, rounded to the nearest integer.


# %%
def to_grey(image: np.ndarray) -> np.ndarray:
    """RGB, uint8 of shape (h, w, 3), to grey, uint8 of shape (h, w)."""
    # solution: Question 1: weigh the channels in float, round, convert to uint8.
    return np.rint(image @ np.array([0.299, 0.587, 0.114])).astype(np.uint8)
    # end solution


week01.check_to_grey(to_grey)

# %% [markdown]
# ## Question 2: Convolution (3 points)
#
# $$(I * K)[y, x] = \sum_{j, i} K[j, i]\; I[y - j, x - i],$$
#
# where $j$ and $i$ count from the kernel's middle. Mind the signs: the kernel is *flipped*. The result has the image's
# shape and is `float64`. Where the kernel reaches over the border, the image is reflected about its outermost pixel,
# which is not repeated: `... c b | a b c ...`. The kernel's sides are odd, and may differ.
#
# Loop over the kernel's entries, not over the pixels: for each of them, add a shifted copy of the padded image. NumPy's
# `np.pad` pads; `cv2.filter2D` and SciPy are for comparing, not for answering.


# %%
def convolve(image: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Convolve a grey image of shape (h, w) with a kernel of odd sides; float64 of shape (h, w)."""
    # solution: Question 2: pad by reflection, flip the kernel, add up shifted copies.
    rows, columns = kernel.shape
    height, width = image.shape
    border = ((rows // 2, rows // 2), (columns // 2, columns // 2))
    padded = np.pad(image.astype(np.float64), border, mode="reflect")
    flipped = kernel[::-1, ::-1]
    total = np.zeros((height, width))
    for j in range(rows):
        for i in range(columns):
            total += flipped[j, i] * padded[j : j + height, i : i + width]
    return total
    # end solution


week01.check_convolve(convolve)

# %% [markdown]
# ## Question 3: A Gaussian kernel (2 points)
#
# $K[j, i] \propto \exp\!\left(-\frac{i^2 + j^2}{2 \sigma^2}\right)$ for $i$ and $j$ from $-\lceil 3\sigma \rceil$ to
# $\lceil 3\sigma \rceil$, scaled so that its entries sum to 1.


# %%
def gaussian_kernel(sigma: float) -> np.ndarray:
    """A Gaussian of standard deviation sigma, square, of side 2 * ceil(3 * sigma) + 1 and sum 1."""
    # solution: Question 3: exponentials, a column times a row; divide by the sum.
    reach = int(np.ceil(3 * sigma))
    row = np.exp(-(np.arange(-reach, reach + 1) ** 2) / (2 * sigma**2))
    kernel = np.outer(row, row)
    return kernel / kernel.sum()
    # end solution


week01.check_gaussian_kernel(gaussian_kernel)

# %% [markdown]
# ## Question 4: Gradient (2 points)
#
# Sobel's kernels estimate the two derivatives: weights $(1, 2, 1)$ across, $(-1, 0, 1)$ along. With $g_x$ positive where
# it gets brighter to the right, and $g_y$ where it gets brighter *downwards*, the gradient has the magnitude
# $\sqrt{g_x^2 + g_y^2}$ and the direction $\operatorname{atan2}(g_y, g_x)$ in radians. Use your `convolve`, and remember
# what it does to a kernel.


# %%
def gradient(image: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Sobel gradient of a grey image: magnitude, and direction in (-pi, pi]; both of shape (h, w)."""
    # solution: Question 4: two convolutions (flipped!), hypot, arctan2.
    sobel = np.outer([1, 2, 1], [1, 0, -1])  # written flipped, so that the convolution turns it back
    gx, gy = convolve(image, sobel), convolve(image, sobel.T)
    return np.hypot(gx, gy), np.arctan2(gy, gx)
    # end solution


week01.check_gradient(gradient)

# %% [markdown]
# Your first three steps on the road:

# %% tags=["raises-exception"]
smooth = convolve(to_grey(road), gaussian_kernel(1.4))
magnitude, direction = gradient(smooth)
theirs = cv2.GaussianBlur(to_grey(road).astype(np.float64), (11, 11), 1.4)
assert np.abs(smooth - theirs).max() < 1e-6, "OpenCV smooths otherwise"

fig = CourseFigure(height=2.5)
for ax, picture, title in zip(fig.subplots(1, 2), (smooth, magnitude), ("Smoothed", "Gradient"), strict=True):
    _ = ax.imshow(picture, vmax=np.quantile(picture, 0.995))
    ax.set_title(title)
    ax.set_axis_off()
fig

# %% [markdown]
# *What you should see:* on the left the road in grey, its grain gone. On the right every painted line as a **pair** of
# bright curves, one for each side of the paint; the borders of the shadows and the skyline are bright too.

# %% [markdown]
# ## Question 5: Thin edges (2 points)
#
# An edge should be one pixel wide. Round the direction of the gradient to the nearest multiple of 45 degrees (opposite
# directions are the same), and look at the two neighbours that lie in it. A pixel keeps its magnitude if neither of the
# two is *larger*; else it becomes 0. (So two equal neighbours both stay; OpenCV, in the lecture, drops one of them.) The
# outermost pixels become 0.


# %%
def thin(magnitude: np.ndarray, direction: np.ndarray) -> np.ndarray:
    """Non-maximum suppression: the magnitude where it is a maximum along the gradient, else 0."""
    # solution: Question 5: four directions, two neighbours each; keep what is not smaller.
    sector = np.rint(direction / (np.pi / 4)).astype(int) % 4
    padded = np.pad(magnitude, 1)
    height, width = magnitude.shape
    keeps = np.zeros(magnitude.shape, bool)
    for number, (dy, dx) in enumerate([(0, 1), (1, 1), (1, 0), (1, -1)]):
        ahead = padded[1 + dy : 1 + dy + height, 1 + dx : 1 + dx + width]
        behind = padded[1 - dy : 1 - dy + height, 1 - dx : 1 - dx + width]
        keeps |= (sector == number) & (magnitude >= ahead) & (magnitude >= behind)
    keeps[[0, -1]] = keeps[:, [0, -1]] = False
    return np.where(keeps, magnitude, 0.0)
    # end solution


week01.check_thin(thin)

# %% [markdown]
# ## Question 6: Hysteresis (2 points)
#
# One threshold either breaks lines or lets noise in; Canny takes two. A pixel of at least `high` is an edge. A pixel of
# at least `low` is one if it is joined to such a pixel through pixels of at least `low`, each a neighbour of the next
# (eight neighbours, diagonals included). Repeat a step until nothing changes, or use `scipy.ndimage.label`.


# %%
def hysteresis(magnitude: np.ndarray, low: float, high: float) -> np.ndarray:
    """Edges as truth values of the magnitude's shape."""
    # solution: Question 6: grow from strong into weak pixels until nothing changes.
    weak, edges = magnitude >= low, magnitude >= high
    while True:
        grown = weak & (cv2.dilate(edges.astype(np.uint8), np.ones((3, 3), np.uint8)) > 0)
        if (grown == edges).all():
            return edges
        edges = grown
    # end solution


week01.check_hysteresis(hysteresis)

# %% [markdown]
# The parts together are Canny's detector, which is given. Play with its three parameters before you go on.


# %% tags=["raises-exception"]
def canny(grey: np.ndarray, sigma: float, low: float, high: float) -> np.ndarray:
    """Canny's edges of a grey image, as truth values."""
    magnitude, direction = gradient(convolve(grey, gaussian_kernel(sigma)))
    return hysteresis(thin(magnitude, direction), low, high)


settings = [(0.5, 40, 80), (1.4, 40, 80), (4.0, 40, 80), (1.4, 10, 20), (1.4, 40, 200), (1.4, 150, 200)]
fig = CourseFigure(height=3.7)
for ax, (sigma, low, high) in zip(fig.subplots(2, 3).flat, settings, strict=True):
    _ = ax.imshow(canny(to_grey(road), sigma, low, high), cmap="gray_r")
    ax.set_title(f"σ = {sigma}, {low} to {high}")
    ax.set_axis_off()
fig

# %% [markdown]
# *What you should see:* six drawings of the same road. With little smoothing the grain of asphalt and grass is full of
# short edges; with much the dashes melt and move. Low thresholds let the grass in, high ones leave only the paint.

# %% [markdown]
# ## Question 7: Votes for lines (2 points)
#
# A line is the set of points with $x \cos\theta + y \sin\theta = \rho$. Each edge pixel votes, for each angle, for the
# one $\rho$ of the line through it, rounded to the nearest integer (`np.rint`). $\rho$ can be negative: with
# $R = \lceil \sqrt{h^2 + w^2} \rceil$ the accumulator has $2R + 1$ rows, and the votes for $\rho$ are in row $R + \rho$.


# %%
def hough(edges: np.ndarray, thetas: np.ndarray) -> np.ndarray:
    """Votes, integers of shape (2 * R + 1, len(thetas)), from edges and angles in radians."""
    # solution: Question 7: for each angle, the rho of every edge pixel, counted.
    reach = int(np.ceil(np.hypot(*edges.shape)))
    y, x = np.nonzero(edges)
    votes = np.zeros((2 * reach + 1, len(thetas)), int)
    for column, theta in enumerate(thetas):
        rho = np.rint(x * np.cos(theta) + y * np.sin(theta)).astype(int)
        votes[:, column] = np.bincount(rho + reach, minlength=2 * reach + 1)
    return votes
    # end solution


week01.check_hough(hough)

# %% [markdown]
# The accumulator of the road. Each bright point is a line; find the lane's two borders in it.

# %% tags=["raises-exception"]
degrees = np.arange(180)
votes = hough(canny(to_grey(road), 1.4, 40, 80), np.radians(degrees))
reach = len(votes) // 2

fig = CourseFigure(height=3.4)
ax = fig.subplots()
_ = ax.imshow(votes, cmap="viridis", aspect="auto", extent=(-0.5, 179.5, reach + 0.5, -reach - 0.5), vmax=100)
ax.set(xlabel="θ, degrees", ylabel="ρ, pixels", title="Votes")
fig

# %% [markdown]
# *What you should see:* a bundle of waves, one for each edge pixel, and bright knots where many of them cross. The
# brightest are near 90 degrees: the horizon and the shadows. A border that rises to the right, such as the lane's left
# one, is below 90 degrees; its right one is above.

# %% [markdown]
# ## Question 8: The lane (2 points)
#
# Put it together: from a picture of a road to the two borders of the lane, as $(\rho, \theta)$ of the left one and of the
# right one. You choose: smoothing, thresholds, which part of the picture may vote, which angles may win. Whatever you
# want to move in question 9 (σ, the thresholds) is to be a keyword parameter. The check tries your function on a road
# that you have not seen; within 10 pixels of the middle of the painted line is right.


# %%
def road_lines(image: np.ndarray, **parameters: float) -> np.ndarray:
    """(rho, theta) of the lane's left and right border, of shape (2, 2); rho in pixels, theta in [0, pi)."""
    # solution: Question 8: edges below the horizon, votes by the angles of each side.
    chosen = {"sigma": 1.4, "low": 60.0, "high": 150.0, **parameters}
    edges = canny(to_grey(image), **chosen)
    edges[:120] = False  # sky, trees, and the far end of the road where all lines meet
    borders = []
    for angles in (np.radians(np.arange(30.0, 60.0, 0.5)), np.radians(np.arange(130.5, 150.0, 0.5))):
        # a painted line has two edges a few pixels apart: votes spread over ρ let the middle win
        votes = cv2.GaussianBlur(hough(edges, angles).astype(np.float32), (1, 15), 0, sigmaY=4)
        row, column = np.unravel_index(votes.argmax(), votes.shape)
        borders.append((row - len(votes) // 2, angles[column]))
    return np.array(borders)
    # end solution


week01.check_road_lines(road_lines)

# %% [markdown]
# Your lines on four roads, and how far they are from the true ones, in pixels, at two rows of the picture:


# %% tags=["raises-exception"]
def misses(seed: int, **parameters: float) -> tuple[float, float]:
    """Largest distance of the left and the right border from the truth, in pixels, on one road."""
    scene = road_scene(seed)
    found = []
    for name, (rho, theta) in zip(("left", "right"), road_lines(scene.image, **parameters), strict=True):
        columns = {row: (rho - row * np.sin(theta)) / np.cos(theta) for row in (150, 230)}
        found.append(max(abs(column - scene.column(name, row)) for row, column in columns.items()))
    return found[0], found[1]


fig = CourseFigure(height=3.4)
for ax, seed in zip(fig.subplots(2, 2).flat, range(4), strict=True):
    picture = road_scene(seed).image
    _ = ax.imshow(to_grey(picture))
    for rho, theta in road_lines(picture):
        rows = np.array([100, 255])
        _ = ax.plot((rho - rows * np.sin(theta)) / np.cos(theta), rows, color="#D55E00", linewidth=2)
    ax.set(xlim=(0, 383), ylim=(255, 0))
    ax.set_title("missed by {:.0f} and {:.0f} pixels".format(*misses(seed)))
    ax.set_axis_off()
fig

# %% [markdown]
# *What you should see:* two red lines on each road, which lie on the lane's borders and meet at the horizon.

# %% [markdown]
# ## Question 9: Defend your parameters (4 points)
#
# In 150 to 250 words and one or two figures: why these values? You may run your functions on any road
# (`road_scene(seed, shadows=..., noise=...)`), and on the photograph below.
#
# | what a reader looks for | points |
# |---|---|
# | smoothing: what too little and too much do to *this* road, shown for at least three values of σ | 1 |
# | thresholds: chosen from the distribution of the gradient (paint, shadows, asphalt), not by eye alone | 1 |
# | measured: misses in pixels over at least five seeds, with the parameters moved both ways | 1 |
# | a failure: a road, or the photograph, where it fails; the step of the pipeline that fails, and why | 1 |

# %%
paving = photograph("brick")

fig = CourseFigure(height=1.9)
ax = fig.subplots()
_ = ax.imshow(paving)
ax.set_axis_off()
fig

# %% [markdown]
# A photograph of a path paved with bricks, from scikit-image: many straight lines in perspective, in grey. Which of your
# parameters do not carry over, and why?

# %% tags=["raises-exception"]
# solution: Question 9: measure your misses while a parameter moves, and draw them.
slope, _ = gradient(convolve(to_grey(road), gaussian_kernel(1.4)))
for name, part in {"asphalt": slope[200:250, 80:180], "grass": slope[200:250, 350:383]}.items():
    print(f"{name}: 99 % of the gradients are below {np.quantile(part, 0.99):.0f}")


def worst(**parameters: float) -> float:
    """The largest miss on five roads, in pixels, cut off at 100: no line at all."""
    return min(100.0, max(max(misses(seed, **parameters)) for seed in range(5)))


sigmas, factors = [0.5, 1.0, 1.4, 2.0, 3.0], [0.25, 0.5, 1.0, 1.25, 1.5]
by_sigma = [worst(sigma=sigma) for sigma in sigmas]
by_threshold = [worst(low=60 * factor, high=150 * factor) for factor in factors]
assert max(by_sigma[:3]) < 10 < by_sigma[-1]
assert max(by_threshold[1:3]) < 10 < min(by_threshold[0], by_threshold[-1])

fig = CourseFigure(height=2.3)
for ax, values, misses_, label in zip(
    fig.subplots(1, 2, sharey=True), (sigmas, factors), (by_sigma, by_threshold),
    ("σ, pixels", "both thresholds, times 60 and 150"), strict=True,
):
    _ = ax.plot(values, misses_, marker="o")
    ax.set(xlabel=label, yscale="log")
_ = fig.axes[0].set_ylabel("worst miss, pixels")
fig
# end solution

# %% [markdown] tags=["answer"]
# **Smoothing.** The grain of the asphalt is a pixel or two wide, the paint four to fourteen. σ = 1.4 lies between: at 0.5
# short edges fill the grass, though the restricted angles still save the result; at 3 the two sides of the paint weaken
# each other, the gradient falls below the thresholds, and the dashes are lost (left panel).
#
# **Thresholds.** With σ = 1.4, 99 % of the gradients on asphalt and grass are below 45, so `low` = 60 is above nearly all of
# them; `high` = 150 is below the paint's. A quarter of both lets the ground vote, and its sheer number wins; half as much
# again loses the dashes (right panel). Between a half and one nothing changes: the choice is not delicate. A shadow's
# border is as strong as worn paint: no threshold tells these apart, only their direction does.
#
# **Failure.** In the photograph every joint has two edges of equal strength, at angles that a lane could have too: the
# edges are right, and "the strongest line between 30 and 60 degrees" has no meaning. What fails is the selection, which
# knows roads. So it would in a bend, where a border is no line.

# %% [markdown]
# ## Your points
#
# When all is done, restart the kernel and run all cells, so that the notebook works from top to bottom. This is what
# the checks give you:

# %%
week01.grade(globals())
