"""The course's package: from a trained network to a small file, and back.

The modules in the order of the data flow; imports point down this list's floors, never up.

======================  ======================================================================
``progress``            the one switch for progress bars
``results``             results as JSON, with how they were made
``array_cache``         verified arrays in the user's cache
``image_layouts``       CIFAR and MNIST as they lie on disk (Parquet, pickled batches, idx)
``downloads``           where the published files are to be had, with checksums and mirrors
``datasets``            images enter here: ``load_dataset``, ``train_val_split``
``preprocessing``       mean and std of each set, the ImageNet preprocessing
======================  ======================================================================
"""

__version__ = "0.1.0"
