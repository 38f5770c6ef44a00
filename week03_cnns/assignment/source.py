# %% [markdown]
# # Assignment 3: what VGG sees
#
# A trained network is only as good as what it is fed, and its inside is no black box: you can look at every map. You
# write the preprocessing of ImageNet's networks, build the feature stage of VGG-16 from its configuration, load trained
# weights into it, and read what its layers respond to. On the way the network that was trained on cars and frogs has to
# tell gravel from grass.
#
# | question | points | minutes |
# |---|---|---|
# | 1 Resize | 2 | 15 |
# | 2 Crop | 1 | 5 |
# | 3 Normalize | 3 | 15 |
# | 4 Layers from a configuration | 3 | 20 |
# | 5 What a layer costs | 2 | 15 |
# | 6 Feature maps | 3 | 25 |
# | 7 Feature vectors | 2 | 10 |
# | 8 What do the maps show? | 4 | 45 |
# | **all** | **20** | **150** |
#
# You need this week's lectures. Work in your own copy, in your folder below `members/`. Replace each
# `raise NotImplementedError(...)` by your code. After each question a check tries your function on inputs of its own: it
# says what is wrong, and often why. Questions 1 to 7 are graded by these checks, question 8 by a reader.

# %%
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from sklearn.linear_model import LogisticRegression
from torch import nn

import common
from common.checks import week03
from common.data.batches import imagenet_preprocess
from common.data.pictures import photograph
from common.figures import CourseFigure, use_course_style
from common.networks.checkpoints import load_weights
from common.networks.models import VGG16_CONFIG, build, count_parameters

torch.set_num_threads(1)
use_course_style()

# %% [markdown]
# ## The photographs
#
# From scikit-image: a cup of coffee and a cat, of different shapes, and four surfaces for the end.

# %%
coffee, cat = photograph("coffee"), photograph("cat")

fig = CourseFigure(height=1.9)
for ax, picture, title in zip(fig.subplots(1, 2), (coffee, cat), ("Coffee", "Cat"), strict=True):
    _ = ax.imshow(picture)
    ax.set_title(f"{title}: {picture.shape[0]} × {picture.shape[1]}, {picture.dtype}")
    ax.set_axis_off()
fig

# %% [markdown]
# A red cup on a wooden table, and a cat's face with green eyes and whiskers; both are wider than they are high.

# %% [markdown]
# ## Question 1: Resize (2 points)
#
# ImageNet's networks were trained on squares cut from pictures whose *shorter* side had been made 256. Both sides shrink
# by the same factor; the longer one is rounded down. Use `Image.fromarray(...).resize(..., Image.Resampling.BILINEAR)`
# from PIL, which averages when it shrinks. Mind the order in which PIL wants the two sides.


# %%
def resize_shorter(image: np.ndarray, size: int) -> np.ndarray:
    """A picture, uint8 of shape (h, w, 3), resized so that its shorter side is `size`; same ratio."""
    # solution: Question 1: one factor for both sides; PIL's size is (width, height).
    height, width = image.shape[:2]
    shorter = min(height, width)
    new = (int(size * width / shorter), int(size * height / shorter))
    return np.asarray(Image.fromarray(image).resize(new, Image.Resampling.BILINEAR))
    # end solution


week03.check_resize_shorter(resize_shorter)

# %% [markdown]
# ## Question 2: Crop (1 point)
#
# The central square of `size` × `size` pixels. Where the margins cannot be equal, either of the two may be larger by a pixel:
# the lecture rounds half of the difference down, torchvision to an even number, `round((height - size) / 2)`.


# %%
def center_crop(image: np.ndarray, size: int) -> np.ndarray:
    """The central size x size pixels of a picture of shape (h, w, 3)."""
    # solution: Question 2: margins of half of height - size and of width - size.
    top, left = (round((side - size) / 2) for side in image.shape[:2])
    return image[top : top + size, left : left + size]
    # end solution


week03.check_center_crop(center_crop)

# %% [markdown]
# ## Question 3: Normalize (3 points)
#
# Pixels are scaled to $[0, 1]$; then $x \mapsto (x - \mu_c) / \sigma_c$ in each channel, with ImageNet's
# $\mu = (0.485, 0.456, 0.406)$ and $\sigma = (0.229, 0.224, 0.225)$ for red, green and blue. torch wants channels before
# height and width, a batch axis in front, and float32.


# %%
def to_input(image: np.ndarray) -> torch.Tensor:
    """A picture, uint8 RGB of shape (h, w, 3), as a normalized float32 tensor of shape (1, 3, h, w)."""
    # solution: Question 3: scale, normalize, channels first, batch axis, float32.
    mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    normalized = (image / 255 - mean) / std
    return torch.from_numpy(normalized.transpose(2, 0, 1)[None]).float()
    # end solution


week03.check_to_input(to_input)

# %% [markdown]
# The three together, beside the course's own `imagenet_preprocess`, which resizes with torch: a grey level of difference
# (1/255 of the scale, over σ) may come from rounding.


# %% tags=["raises-exception"]
def preprocess(image: np.ndarray, resize: int = 256, crop: int = 224) -> torch.Tensor:
    """From a photograph to the input of an ImageNet network."""
    return to_input(center_crop(resize_shorter(image, resize), crop))


for picture in (coffee, cat):
    ours = preprocess(picture)
    theirs = imagenet_preprocess(np.ascontiguousarray(picture.transpose(2, 0, 1))[None])
    assert ours.shape == theirs.shape == (1, 3, 224, 224), f"{tuple(ours.shape)}, expected (1, 3, 224, 224)"
    assert (ours - theirs).abs().mean() < 0.02, "more than rounding: is the crop a pixel off?"

fig = CourseFigure(height=1.9)
for ax, picture in zip(fig.subplots(1, 2), (coffee, cat), strict=True):
    planes = preprocess(picture)[0]
    shown = (planes - planes.amin()) / (planes.amax() - planes.amin())
    _ = ax.imshow(shown.permute(1, 2, 0).numpy())
    ax.set_title(f"mean {planes.mean():.1f}, deviation {planes.std():.1f}")
    ax.set_axis_off()
fig

# %% [markdown]
# *What you should see:* two squares with the middle of each photograph, not distorted, in slightly unusual colours: the
# three channels are scaled apart. Mean and deviation are of the order of 0 and 1.

# %% [markdown]
# ## Question 4: Layers from a configuration (3 points)
#
# VGG is a list. A number stands for a convolution with so many output channels, 3×3, padding 1, no bias, then batch norm,
# then ReLU; `"M"` stands for a 2×2 max pooling. All in one flat `nn.Sequential`: then the layers' numbers are those of the
# shipped weights.

# %%
print(VGG16_CONFIG)


# %%
def build_features(config: tuple, in_channels: int = 3) -> nn.Sequential:
    """The feature stage of a VGG with batch norm, from its configuration."""
    # solution: Question 4: a loop over the list, which remembers the channels.
    layers: list[nn.Module] = []
    for entry in config:
        if entry == "M":
            layers.append(nn.MaxPool2d(2))
        else:
            convolution = nn.Conv2d(in_channels, entry, 3, padding=1, bias=False)
            layers += [convolution, nn.BatchNorm2d(entry), nn.ReLU(inplace=True)]
            in_channels = entry
    return nn.Sequential(*layers)
    # end solution


week03.check_build_features(build_features)

# %% [markdown]
# The course ships a VGG-16 that was trained on CIFAR-10: 32×32 pixels, ten classes. Its weights fit into yours, layer by
# layer. Since the stage is all convolutions, it takes pictures of any size.


# %% tags=["raises-exception"]
def trained_features() -> nn.Sequential:
    """Your feature stage with the shipped weights, in evaluation mode."""
    folder = Path(common.__file__).parents[1] / "capstone"
    shipped = load_weights(build("vgg16"), folder / "vgg16_cifar10.safetensors")
    features = build_features(VGG16_CONFIG)
    features.load_state_dict(shipped.features.state_dict())
    return features.eval()


features = trained_features()
with torch.no_grad():
    assert features(torch.zeros(1, 3, 32, 32)).shape == (1, 512, 1, 1), "32×32 pixels should end as 1×1"
    assert features(torch.zeros(1, 3, 64, 96)).shape == (1, 512, 2, 3), "64×96 pixels should end as 2×3"
print(f"{count_parameters(features):,} parameters loaded")

# %% [markdown]
# ## Question 5: What a layer costs (2 points)
#
# Without building anything: for each convolution the number of its parameters (batch norm apart), and of the multiply-adds
# for one picture of `height` × `width`. Every weight works once at each place of the output map.


# %%
def layer_costs(config: tuple, height: int, width: int, in_channels: int = 3) -> list[tuple[int, int]]:
    """(parameters, multiply-adds) of each convolution, in order."""
    # solution: Question 5: 9 * in * out weights, each at height * width places.
    costs = []
    for entry in config:
        if entry == "M":
            height, width = height // 2, width // 2
        else:
            parameters = 9 * in_channels * entry
            costs.append((parameters, parameters * height * width))
            in_channels = entry
    return costs
    # end solution


week03.check_layer_costs(layer_costs)

# %% tags=["raises-exception"]
costs = np.array(layer_costs(VGG16_CONFIG, 32, 32))
convolutions = [layer for layer in trained_features() if isinstance(layer, nn.Conv2d)]
assert costs[:, 0].tolist() == [layer.weight.numel() for layer in convolutions], (
    "the weights are counted otherwise"
)
print(f"{costs[:, 0].sum():,} parameters, {costs[:, 1].sum():,} multiply-adds a picture of 32×32")

fig = CourseFigure(height=2.4)
for ax, values, title in zip(fig.subplots(1, 2), costs.T / 1e6, ("Parameters", "Multiply-adds"), strict=True):
    _ = ax.bar(range(1, 14), values, color="#0072B2")
    ax.set(title=title, xlabel="convolution", ylabel="millions", xticks=range(1, 14, 2))
fig

# %% [markdown]
# *What you should see:* on the left the bars rise, from almost nothing to five equal ones of 2.4 millions at the end. On
# the right the work is in the middle, and the last three layers, which hold almost half of the parameters, do a tenth.

# %% [markdown]
# ## Question 6: Feature maps (3 points)
#
# `feature_maps(model, inputs, numbers)` runs a picture through an `nn.Sequential`, and returns the *outputs* of the
# layers with these numbers, as a dict. A loop over the layers will do, or `register_forward_hook`. Be a good guest:
#
# - batch norm has to use its stored statistics (evaluation mode), whatever mode the model is in when you get it;
# - the model leaves your function as it came: same mode, same statistics, no hooks;
# - no gradients; and mind that `ReLU(inplace=True)` writes over the output of the layer before it.


# %%
def feature_maps(
    model: nn.Sequential, inputs: torch.Tensor, numbers: tuple[int, ...]
) -> dict[int, torch.Tensor]:
    """Outputs of the layers with the given numbers, each of shape (n, channels, h, w)."""
    # solution: Question 6: eval mode, no_grad, layer by layer, a copy of what is asked for.
    was_training = model.training
    model.eval()
    maps = {}
    with torch.no_grad():
        for number, layer in enumerate(model):
            inputs = layer(inputs)
            if number in numbers:
                maps[number] = inputs.clone()
    model.train(was_training)
    return maps
    # end solution


week03.check_feature_maps(feature_maps)

# %% [markdown]
# The eight strongest maps of three depths, for the cat at 128×128 pixels. The network was trained on small pictures, so
# this is closer to what it knows than 224×224.

# %% tags=["raises-exception"]
small = preprocess(cat, resize=128, crop=128)
depths = {2: "after convolution 1", 12: "after convolution 4", 22: "after convolution 7"}
maps = feature_maps(trained_features(), small, tuple(depths))

fig = CourseFigure(height=3.4)
axes = fig.subplots(3, 8)
for row, (number, where) in zip(axes, depths.items(), strict=True):
    of_layer = maps[number][0]
    strongest = of_layer.flatten(1).std(dim=1).argsort(descending=True)[:8]
    for ax, channel in zip(row, strongest, strict=True):
        _ = ax.imshow(of_layer[channel].numpy())
        ax.set(xticks=[], yticks=[])
    row[0].set_title(where, loc="left")
fig

# %% [markdown]
# *What you should see:* three rows of small grey pictures. In the first the cat is plain to see, as in a drawing or a
# negative; deeper down the maps are coarser and emptier, and bright only in places.

# %% [markdown]
# ## Question 7: Feature vectors (2 points)
#
# A picture in few numbers: the mean of each map of a layer. From maps of shape (n, channels, h, w) to a table of shape
# (n, channels).


# %%
def feature_vectors(maps: torch.Tensor) -> torch.Tensor:
    """The mean of every map: (n, channels, h, w) to (n, channels)."""
    # solution: Question 7: the mean over height and width.
    return maps.mean(dim=(2, 3))
    # end solution


week03.check_feature_vectors(feature_vectors)

# %% [markdown]
# Does a network that was trained on cars and frogs know anything about gravel? Pieces of 32×32 pixels from four
# photographs (three surfaces and a man with a camera), their left halves for training, their right ones for the test,
# and a linear classifier on top of: the raw pixels; features of the same network with *random* weights; features of the
# trained one.
#
# **Predict, then run.** Where will the random network stand: beside the pixels, half-way, or beside the trained one?


# %% tags=["raises-exception"]
# NBVAL_IGNORE_OUTPUT
def pieces(columns: range) -> tuple[torch.Tensor, np.ndarray]:
    """Pieces of 32×32 pixels of four grey photographs, as inputs of the network, and which is from which."""
    inputs, labels = [], []
    for label, name in enumerate(("brick", "grass", "gravel", "camera")):
        grey = photograph(name)
        for y in range(0, 480, 48):
            for x in columns:
                inputs.append(to_input(np.repeat(grey[y : y + 32, x : x + 32, None], 3, axis=2)))
                labels.append(label)
    return torch.cat(inputs), np.array(labels)


def features_of(model: nn.Sequential) -> Callable[[torch.Tensor], np.ndarray]:
    """From inputs to a table of the model's features after convolution 4."""
    return lambda inputs: feature_vectors(feature_maps(model, inputs, (12,))[12]).numpy()


(left, labels_left), (right, labels_right) = pieces(range(0, 224, 48)), pieces(range(256, 480, 48))
ways = {
    "raw pixels": lambda inputs: inputs[:, 0].flatten(1).numpy(),
    "random weights": features_of(build("vgg16", seed=1).features),
    "trained weights": features_of(trained_features()),
}
share = {}
for name, describe in ways.items():
    classifier = LogisticRegression(max_iter=2000).fit(describe(left), labels_left)
    share[name] = classifier.score(describe(right), labels_right)
    print(f"{name}: {share[name]:.0%} of {len(labels_right)} pieces recognized")
assert min(share["random weights"], share["trained weights"]) > share["raw pixels"] + 0.1, (
    "no better than pixels"
)

# %% [markdown]
# *What you should see:* both kinds of features are far better than the pixels, and the random ones are not far behind the
# trained ones. So it is mostly the *architecture* that tells surfaces apart: small filters, ReLU and the mean over all
# places, which does not care where a stone lies. Whoever claims that training has taught a network something should show
# what an untrained one can do.

# %% [markdown]
# ## Question 8: What do the maps show? (4 points)
#
# In 200 to 300 words, with one or two figures of your own. Choose a photograph (`photograph(name)`, or your own).
#
# | what a reader looks for | points |
# |---|---|
# | one map of a shallow layer, and what it responds to (an edge direction, a colour, bright or dark), tested on a picture made for it: a turned, recoloured or synthetic one | 1 |
# | one map of a deep layer (convolution 7 or later), with a guess and a test that *could* refute it | 1 |
# | how the maps change with depth, in numbers: size, share of zeros, how far one output sees | 1 |
# | which maps pruning could remove, and why a map that is zero on this picture is no proof | 1 |

# %% tags=["raises-exception"]
# solution: Question 8: a test of one map, and numbers over the depth.
# NBVAL_IGNORE_OUTPUT
grid = np.mgrid[0:64, 0:64]
stripes = {
    "upright": (np.sin(grid[1]) > 0),
    "lying": (np.sin(grid[0]) > 0),
    "diagonal": (np.sin(grid.sum(axis=0)) > 0),
}
answers = {}
for name, pattern in stripes.items():
    picture = np.repeat((255 * pattern).astype(np.uint8)[..., None], 3, axis=2)
    answers[name] = feature_vectors(feature_maps(trained_features(), to_input(picture), (2,))[2])[0]
prefers = (answers["upright"] - answers["lying"]) / (answers["upright"] + answers["lying"] + 1e-3)
for channel in (int(prefers.argmax()), int(prefers.argmin())):
    print(f"map {channel}:", ", ".join(f"{name} {values[channel]:.2f}" for name, values in answers.items()))
assert prefers.max() > 0.2
assert prefers.min() < -0.2

face = resize_shorter(cat, 128)[:, 32:160].copy()
seen = feature_maps(trained_features(), to_input(face), (22,))[22][0].amax(dim=(1, 2))
for rows, columns in ((slice(34, 66), slice(22, 60)), (slice(44, 72), slice(92, 118))):
    face[rows, columns] = face.mean(axis=(0, 1))
left_over = feature_maps(trained_features(), to_input(face), (22,))[22][0].amax(dim=(1, 2))
channel = int(seen.argmax())
print(
    f"map {channel} of convolution 7: {left_over[channel] / seen[channel]:.0%} of its maximum without the eyes"
)

numbers = [number for number, layer in enumerate(trained_features()) if isinstance(layer, nn.ReLU)]
zeros = {}
for name, picture in {"cat": cat, "coffee": coffee}.items():
    every = feature_maps(trained_features(), preprocess(picture, resize=128, crop=128), tuple(numbers))
    zeros[name] = [float((values == 0).float().mean()) for values in every.values()]

sees, step, field = 1, 1, []
for entry in VGG16_CONFIG:
    sees, step = (sees + step, 2 * step) if entry == "M" else (sees + 2 * step, step)
    field += [] if entry == "M" else [sees]

fig = CourseFigure(height=2.4)
axes = fig.subplots(1, 2)
for (name, values), color, height in zip(zeros.items(), ("#0072B2", "#D55E00"), (0.1, 0.9), strict=True):
    _ = axes[0].plot(range(1, 14), values, marker="o", color=color)
    _ = axes[0].text(7, height, name, color=color)
axes[0].set(title="Share of zeros", xlabel="convolution", ylim=(0, 1))
_ = axes[1].plot(range(1, 14), field, marker="o")
axes[1].set(title="Pixels that one output sees, a side", xlabel="convolution")
assert field[0] == 3
assert field[-1] == 196
fig
# end solution

# %% [markdown] tags=["answer"]
# **Shallow.** Upright and lying stripes of the same contrast differ only in direction. The first map printed above is
# strong for upright ones and weak for lying ones, the second the other way round, and for both the diagonal lies between:
# they are detectors of one edge direction, as Sobel's two kernels are. Had I been wrong, the stripes would have got
# equal answers. In the photograph the first draws the sides of the cat's nose and the ears' steep edges.
#
# **Deep.** I took the map of convolution 7 with the largest value on the cat, and guessed "eyes". The test, which could
# have gone either way: cover both eyes with the mean colour of the picture, and look again. The last line printed above
# says what share of the maximum is left. If most of it is, the map answers to the stripes of the fur, and I was wrong.
#
# **Depth.** Maps halve their side at each pooling, from 128 pixels to 8 at convolution 13. About half of the values or more
# are zero in nearly all layers, without a plain trend (left panel). One output sees 3 pixels a side after the first
# convolution and 196 after the last (right): more than the 32 that the network was trained on, so at its end each output
# has seen all of a training picture and its padding.
#
# **Pruning.** A channel whose map is zero on *all* pictures of a class-balanced set can go without loss, with the weights
# that read it. Zero on the cat proves nothing: the channel may answer to trucks. What counts is what the loss on many
# pictures does without it, and small maps matter when the weights that read them are large.

# %% [markdown]
# ## Your points
#
# When all is done, restart the kernel and run all cells, so that the notebook works from top to bottom. This is what
# the checks give you:

# %%
week03.grade(globals())
