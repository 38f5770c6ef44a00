# %% [markdown]
# # Assignment 2: digits, and a diagnosis
#
# Two models read handwritten digits: logistic regression and a perceptron with one hidden layer. You write both in NumPy,
# gradients included. Then comes the question that decides what to do next in any project: what is each model's trouble,
# too little capacity or too little data?
#
# | question | points | minutes |
# |---|---|---|
# | 1 Standardize | 2 | 15 |
# | 2 Softmax | 2 | 10 |
# | 3 Cross-entropy | 2 | 10 |
# | 4 The gradient of logistic regression | 3 | 25 |
# | 5 Gradient descent | 2 | 15 |
# | 6 Backpropagation | 3 | 30 |
# | 7 The learning curve | 2 | 15 |
# | 8 A diagnosis | 4 | 40 |
# | **all** | **20** | **160** |
#
# You need this week's lectures. Work in your own copy, in your folder below `members/`. Replace each
# `raise NotImplementedError(...)` by your code, in plain NumPy. After each question a check tries your function on inputs
# of its own: it says what is wrong, and often why. Questions 1 to 7 are graded by these checks, question 8 by a reader.

# %%
from collections.abc import Callable

import numpy as np
from sklearn.linear_model import LogisticRegression

from common.checks import week02
from common.data.datasets import load_dataset
from common.figures import CourseFigure, use_course_style

use_course_style()

# %% [markdown]
# ## The digits
#
# 4,000 images for training and 1,000 for the test, of 28×28 pixels, from MNIST. The last 1,000 of the 4,000 are set aside
# for validation: every choice is made on these. The test set is used **once**, at the end.

# %%
training, testing = load_dataset("digits", "train"), load_dataset("digits", "test")
pixels, labels = training.images.reshape(4000, 784), training.labels
raw_train, y_train = pixels[:3000], labels[:3000]
raw_val, y_val = pixels[3000:], labels[3000:]
raw_test, y_test = testing.images.reshape(1000, 784), testing.labels
print(raw_train.shape, raw_val.shape, raw_test.shape, raw_train.dtype)
print("constant pixels:", int((raw_train.std(axis=0) == 0).sum()), "of 784")

fig = CourseFigure(height=1.1)
for ax, image, label in zip(fig.subplots(1, 10), raw_train, y_train, strict=False):
    _ = ax.imshow(image.reshape(28, 28), cmap="gray_r")
    ax.set_title(str(label))
    ax.set_axis_off()
fig

# %% [markdown]
# Ten digits with their labels. Strokes differ in width and slant; many pixels near the border are white in every image.

# %% [markdown]
# ## Question 1: Standardize (2 points)
#
# Gradient descent likes columns of the same scale. For each column (pixel) subtract the *training* set's mean and divide
# by its standard deviation (`np.std`); a column that is constant in the training set is divided by 1. The second set is
# scaled by the first one's numbers.


# %%
def standardize(train: np.ndarray, other: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both sets, float64, scaled column by column with the mean and deviation of the first."""
    # solution: Question 1: mean and deviation over the rows of train; 1 for 0.
    mean, std = train.mean(axis=0), train.std(axis=0)
    std = np.where(std == 0, 1.0, std)
    return (train - mean) / std, (other - mean) / std
    # end solution


week02.check_standardize(standardize)

# %% [markdown]
# ## Question 2: Softmax (2 points)
#
# Scores become probabilities: $p_{ic} = e^{s_{ic}} / \sum_k e^{s_{ik}}$, for every row $i$ apart. Scores may be large:
# `softmax` has to give the right answer for 1000 and for −1000.


# %%
def softmax(scores: np.ndarray) -> np.ndarray:
    """Probabilities of shape (n, k) from scores of shape (n, k); each row sums to 1."""
    # solution: Question 2: take each row's maximum away, then exponentials over their sum.
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)
    # end solution


week02.check_softmax(softmax)

# %% [markdown]
# ## Question 3: Cross-entropy (2 points)
#
# $L = -\frac{1}{n} \sum_i \ln p_{i, y_i}$ with the label $y_i$ of row $i$: the negative log-likelihood of the labels, per
# image. A probability below $10^{-12}$ counts as $10^{-12}$.


# %%
def cross_entropy(probabilities: np.ndarray, labels: np.ndarray) -> float:
    """Mean negative log-probability of the labels."""
    # solution: Question 3: one probability a row, clipped; mean of the logarithms.
    chosen = probabilities[np.arange(len(labels)), labels]
    return float(-np.log(np.maximum(chosen, 1e-12)).mean())
    # end solution


week02.check_cross_entropy(cross_entropy)

# %% [markdown]
# ## Question 4: The gradient of logistic regression (3 points)
#
# Scores are $X W + b$ with $W$ of shape (features, classes). The loss is the cross-entropy plus a penalty on the weights,
# not on the bias: $L + \frac{\lambda}{2} \sum w^2$. With the one-hot labels $Y$ the derivative of $L$ by the scores is
# $(P - Y) / n$; the chain rule does the rest.


# %%
def logistic_gradients(
    weights: np.ndarray, bias: np.ndarray, x: np.ndarray, labels: np.ndarray, l2: float
) -> tuple[float, np.ndarray, np.ndarray]:
    """The penalized loss, its gradient by the weights (d, k), and by the bias (k,)."""
    # solution: Question 4: p minus one-hot, over n; then the chain rule, and the penalty.
    p = softmax(x @ weights + bias)
    error = (p - np.eye(len(bias))[labels]) / len(x)
    loss = cross_entropy(p, labels) + l2 / 2 * float((weights**2).sum())
    return loss, x.T @ error + l2 * weights, error.sum(axis=0)
    # end solution


week02.check_logistic_gradients(logistic_gradients)

# %% [markdown]
# ## Question 5: Gradient descent (2 points)
#
# Start from zeros. At each step compute the gradient over all rows, and subtract it, times `step_size`, from weights and
# bias.


# %%
def fit_logistic(
    x: np.ndarray, labels: np.ndarray, *, n_classes: int, step_size: float, n_steps: int, l2: float
) -> tuple[np.ndarray, np.ndarray]:
    """Weights (d, k) and bias (k,) after n_steps of gradient descent."""
    # solution: Question 5: zeros, then n_steps times: gradient, step.
    weights, bias = np.zeros((x.shape[1], n_classes)), np.zeros(n_classes)
    for _ in range(n_steps):
        _, by_weights, by_bias = logistic_gradients(weights, bias, x, labels, l2)
        weights -= step_size * by_weights
        bias -= step_size * by_bias
    return weights, bias
    # end solution


week02.check_fit_logistic(fit_logistic)

# %% [markdown]
# Yours beside scikit-learn's, which minimizes $C \cdot n L + \frac12 \sum w^2$; so $C = 1 / (\lambda n)$. Both stand at the
# same minimum when your descent has run long enough. Ten pixels and three digits keep it short.

# %% tags=["raises-exception"]
few = np.flatnonzero(y_train < 3)[:300]
middle = [14 * 28 + column for column in range(9, 19)]
x_few, _ = standardize(raw_train[few][:, middle], raw_val[:1, middle])
weights, bias = fit_logistic(x_few, y_train[few], n_classes=3, step_size=1.0, n_steps=2000, l2=0.1)
theirs = LogisticRegression(C=1 / (0.1 * len(few)), tol=1e-8, max_iter=1000).fit(x_few, y_train[few])
assert np.abs(weights - theirs.coef_.T).max() < 1e-3, "not at the minimum, or at another one"
print("largest difference from scikit-learn's coefficients below 0.001")

# %% [markdown]
# ## Question 6: Backpropagation (3 points)
#
# One hidden layer: $H = \max(0, X W_1 + b_1)$, scores $H W_2 + b_2$, softmax and cross-entropy as before, no penalty.
# Return the loss and the gradients of the four arrays, in a dict with the same keys. Write down the shapes first: every
# gradient has the shape of what it belongs to.


# %%
def mlp_gradients(
    parameters: dict[str, np.ndarray], x: np.ndarray, labels: np.ndarray
) -> tuple[float, dict[str, np.ndarray]]:
    """The loss, and its gradients by W1 (d, h), b1 (h,), W2 (h, k) and b2 (k,)."""
    # solution: Question 6: forward, then backward through scores, W2, ReLU, W1.
    hidden = np.maximum(x @ parameters["W1"] + parameters["b1"], 0)
    p = softmax(hidden @ parameters["W2"] + parameters["b2"])
    error = (p - np.eye(p.shape[1])[labels]) / len(x)
    back = (error @ parameters["W2"].T) * (hidden > 0)
    gradients = {"W1": x.T @ back, "b1": back.sum(axis=0), "W2": hidden.T @ error, "b2": error.sum(axis=0)}
    return cross_entropy(p, labels), gradients
    # end solution


week02.check_mlp_gradients(mlp_gradients)

# %% [markdown]
# The training loop around it is given: batches of 50 random images, gradients with momentum. It returns a function that
# predicts labels.


# %% tags=["raises-exception"]
def fit_mlp(
    x: np.ndarray,
    labels: np.ndarray,
    *,
    n_hidden: int = 32,
    n_steps: int = 900,
    l2: float = 0.0,
    seed: int = 0,
) -> Callable[[np.ndarray], np.ndarray]:
    """A perceptron trained on the rows of x; a function from rows to labels."""
    rng = np.random.default_rng(seed)
    sizes = {"W1": (x.shape[1], n_hidden), "b1": (n_hidden,), "W2": (n_hidden, 10), "b2": (10,)}
    parameters = {
        name: rng.normal(size=size) * np.sqrt(2 / size[0]) if len(size) == 2 else np.zeros(size)
        for name, size in sizes.items()
    }
    speed = {name: np.zeros(size) for name, size in sizes.items()}
    for _ in range(n_steps):
        rows = rng.choice(len(x), min(50, len(x)), replace=False)
        _, gradients = mlp_gradients(parameters, x[rows], labels[rows])
        for name, gradient in gradients.items():
            penalty = l2 * parameters[name] if name.startswith("W") else 0.0
            speed[name] = 0.9 * speed[name] - 0.02 * (gradient + penalty)
            parameters[name] = parameters[name] + speed[name]

    def predict(rows: np.ndarray) -> np.ndarray:
        hidden = np.maximum(rows @ parameters["W1"] + parameters["b1"], 0)
        return (hidden @ parameters["W2"] + parameters["b2"]).argmax(axis=1)

    return predict


x_train, x_val = standardize(raw_train, raw_val)
predict = fit_mlp(x_train[:500], y_train[:500])
assert (predict(x_train[:500]) == y_train[:500]).mean() > 0.99, "the 500 digits were not learned"
assert (predict(x_val) == y_val).mean() > 0.75, "fewer than 75 % of the validation digits are right"
print("500 digits learned")

# %% [markdown]
# ## Question 7: The learning curve (2 points)
#
# For each size $m$: call `fit(x, labels)` with the *first m* rows of the training set, a model trained from the start; it returns a
# function that predicts. Measure the accuracy on these $m$ rows, and on the whole validation set.


# %%
def learning_curve(
    fit: Callable,
    train: tuple[np.ndarray, np.ndarray],
    validation: tuple[np.ndarray, np.ndarray],
    sizes: tuple,
) -> np.ndarray:
    """Accuracies of shape (len(sizes), 2): on the m rows that were fitted, on the validation set."""
    # solution: Question 7: for every size fit the first m rows, two accuracies.
    curve = []
    for m in sizes:
        x, labels = train[0][:m], train[1][:m]
        predict = fit(x, labels)
        curve.append([(predict(x) == labels).mean(), (predict(validation[0]) == validation[1]).mean()])
    return np.array(curve)
    # end solution


week02.check_learning_curve(learning_curve)

# %% [markdown]
# The curves of three models, on a logarithmic axis:


# %% tags=["raises-exception"]
def logistic(x: np.ndarray, labels: np.ndarray) -> Callable[[np.ndarray], np.ndarray]:
    """Your logistic regression as a function from rows to labels."""
    weights, bias = fit_logistic(x, labels, n_classes=10, step_size=0.1, n_steps=100, l2=0.01)
    return lambda rows: (rows @ weights + bias).argmax(axis=1)


sizes = (50, 150, 500, 1500, 3000)
x_train, x_val = standardize(raw_train, raw_val)
models = {
    "logistic regression": logistic,
    "perceptron, 3 units": lambda x, labels: fit_mlp(x, labels, n_hidden=3),
    "perceptron, 64 units": lambda x, labels: fit_mlp(x, labels, n_hidden=64),
}
curves = {
    name: learning_curve(fit, (x_train, y_train), (x_val, y_val), sizes) for name, fit in models.items()
}

fig = CourseFigure(height=2.7)
for ax, (name, curve) in zip(fig.subplots(1, 3, sharey=True), curves.items(), strict=True):
    for values, label, color in zip(curve.T, ("training", "validation"), ("#0072B2", "#D55E00"), strict=True):
        _ = ax.plot(sizes, values, marker="o", color=color)
        end, above = (0, 7) if label == "training" else (-1, -16)
        place = {"textcoords": "offset points", "ha": "left" if end == 0 else "right"}
        _ = ax.annotate(label, (sizes[end], values[end]), (0, above), color=color, **place)
    ax.set(title=name, xscale="log", xlabel="training images", ylim=(0.2, 1.1))
_ = fig.axes[0].set_ylabel("accuracy")
fig

# %% [markdown]
# *What you should see:* three pairs of curves. The training curve is above the validation curve, and the two come closer
# as the training set grows: in one panel they run together far below 1, in another training stays at 1.

# %% [markdown]
# ## Question 8: A diagnosis (4 points)
#
# In 150 to 250 words, with the curves above and one experiment of your own:
#
# | what a reader looks for | points |
# |---|---|
# | for each model: bias or variance, read off from *where* its two curves stand and how they run | 1 |
# | what twice the data would bring each model, argued from the slope at the right end | 1 |
# | an experiment on the validation set: one remedy (units, penalty, stopping earlier, more data by shifting), at least three settings, a table or figure | 1 |
# | the test accuracy of the one model chosen, measured once, with its standard error $\sqrt{a (1 - a) / n}$ and what that says about the choice | 1 |

# %% tags=["raises-exception"]
# solution: Question 8: your experiment, then one look at the test set.
penalties = (0.0, 0.003, 0.01, 0.03, 0.1)
found = []
for l2 in penalties:
    predict = fit_mlp(x_train, y_train, n_hidden=64, l2=l2)
    found.append(((predict(x_train) == y_train).mean(), (predict(x_val) == y_val).mean()))
for l2, (on_train, on_val) in zip(penalties, found, strict=True):
    print(f"l2 = {l2:5}: training {on_train:.3f}, validation {on_val:.3f}")
best = penalties[int(np.argmax([on_val for _, on_val in found]))]

_, x_test = standardize(raw_train, raw_test)
accuracy = (fit_mlp(x_train, y_train, n_hidden=64, l2=best)(x_test) == y_test).mean()
print(f"chosen l2 = {best}: test {accuracy:.3f} ± {np.sqrt(accuracy * (1 - accuracy) / 1000):.3f}")
assert accuracy > 0.9
# end solution

# %% [markdown] tags=["answer"]
# **Bias or variance.** The perceptron with 3 units has *bias*: its curves run together far below 1, and its training
# accuracy *falls* as images come; three numbers are too few to tell ten digits apart. The one with 64 units has
# *variance*: it makes no error on its training set at any size, so all of its errors are the gap. Logistic regression
# begins with variance (no error on 50 images, a wide gap) and ends near its bias: a few points of training error, and a
# gap of a few points.
#
# **Twice the data.** The validation curves of logistic regression and of 64 units still rise at the right end, by one or
# two points from 1,500 to 3,000 images; twice the data should bring about one. The narrow one's still rises too, but
# cannot pass its own training curve, which falls.
#
# **Experiment.** A penalty on the weights of the 64 units, five values (table). It costs training accuracy, as it must;
# a moderate one gains about a point on validation, a large one loses several: too much of it makes the network stiff.
#
# **Test.** One model, one look: the accuracy above, with a standard error just under one point. It agrees with validation
# within two errors, so the choice among five settings has cost little. Penalties whose accuracies differ by less than
# that cannot be ranked by 1,000 images.

# %% [markdown]
# ## Your points
#
# When all is done, restart the kernel and run all cells, so that the notebook works from top to bottom. This is what
# the checks give you:

# %%
week02.grade(globals())
