"""VGG-16 on CIFAR-10 from end to end: the run, its points, its shipped files, and members' own functions."""
