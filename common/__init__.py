"""The course's package: from a trained network to a small file, and back.

Follow one weight: it is born in `training`, thinned in `pruning`, named by `weight_sharing`, counted in
`sparse_index`, spelt in `huffman`, packed in `container`, judged by `report`, drawn by `figures`. In the list
below every module imports only modules that stand before it.

Floor 1: images, networks, and the arithmetic on weights

``progress``              the one switch for progress bars
``whole_file``            files written whole or not at all
``results``               results as JSON, with how they were made
``catalog``               what is known of every data set: classes, statistics, checksums
``image_order``           an order of images that only their content decides
``image_layouts``         CIFAR and MNIST as they lie on disk: Parquet, pickled batches, idx
``embedded_digits``       digits that come inside the dependencies
``array_cache``           decoded sets in the user's cache, verified at every reading
``downloads``             where the published files are to be had; mirrors and checksums
``datasets``              images enter the house here: ``load_dataset``
``splits``                the validation split
``preprocessing``         mean and std of each set, ImageNet's preprocessing
``photographs``           those that come inside scikit-image, by name
``road_scene``            a rendered road with its true lines, for week 1
``image_fitting``         sets padded or enlarged to what a network takes, or cut short
``augmentation``          batches with random crops and flips, on whole tensors
``models``                the networks: architectures as data, one builder
``checkpoints``           a running training's state, and weights as safetensors
``learning_rate``         one cycle, or several: the rate at every step
``masks``                 which weights are kept, with exact counts
``dead_channels``         what pruning leaves without input or reader
``pruning``               how sparse when, and the callbacks that keep zeros at zero
``shared_tensor``         what the codec stores: dense and shared tensors
``byte_reader``           bounded reading and tallied writing
``huffman_kernels``       the loops that count, build the code and spell, compiled
``huffman_codes``         from counts to code lengths and canonical codes
``huffman_lanes``         the loops that read a stream, four lanes side by side, compiled
``huffman``               canonical Huffman codes: counts to lengths, symbols to bits and back
``sparse_index_kernels``  the loops over positions, compiled
``sparse_index``          positions of kept weights as gaps, as in the paper
``zones``                 a tensor's cells grouped by how crowded they are
``zone_search``           which groups make the positions cheap
``kmeans_kernels``        the loops of 1-D k-means, compiled
``sorted_values``         values in ascending order, where every cluster is an interval
``kmeans_exact``          the exact optimum of 1-D k-means
``kmeans``                1-D k-means made for many weights

Floor 2: the file, the codebooks, the training loop

``table_kernels``         the loop that spells a table of code lengths, compiled
``symbol_stream``         small integers as bytes: code lengths, then symbols
``position_records``      the positions of one tensor's kept weights as bytes
``tensor_sizes``          where the bits of one tensor's record go
``container_records``     one tensor as bytes
``container_layout``      the file around the records: names, lengths, checksums
``container``             the .dcz file; its docstring is the format
``weight_sharing``        the kept weights take one of a few values each
``centroid_tuning``       the codebooks' fine-tuning, gradients summed by cluster
``training``              one plain loop for every network, and the evaluation
``recipes``               how each network is trained from scratch
``baseline``              the trained network that everything starts from
``slimming``              whole channels removed for real
``thinning``              a network on its way through pruning
``packing``               from a network to what the container stores, and back
``model_files``           networks from files, whatever the file is

Floor 3: what it costs

``methods``               other ways to a small network: distillation, ...
``markdown``              tables for a terminal, a notebook, the web
``skeleton``              a file's network with shapes but no weights
``layer_report``          one tensor of a file beside its Shannon bounds
``stage_sizes``           what each stage is worth, in bytes
``targets``               the course's targets, and their arithmetic
``report``                where a file's bytes go, told from the file alone
``range_coder``           what a range coder would reach, for comparison

Floor 4: the whole way, and its pictures

``pipeline``              prune, share weights, Huffman-code: one line a stage
``target_search``         sparsity and bits for a target ratio, or for a target drop
``operating_points``      how far VGG-16 is compressed, and how
``compress_file``         from a file of weights to a .dcz file
``published``             the figures of others, with their sources
``figures``               every figure, drawn from plain data

``studies``               the measurements behind the lectures

Apart: the assignments

``checks``                what a student's function must do, and what is wrong when it does not

Floor 5: what is run

``profiles``              how much of the capstone this machine can do
``digits_run``            the whole loop live on a small machine
``shipped``               the shipped files, coded and measured anew
``capstone``              the course's targets, met or missed
``reproductions``         published results made again, beside the published figures
``course``                members, the leaderboard, attendance
``benchmarks``            ours beside the peers, as JSON and tables
``doctor``                is this machine ready?
``arguments``             what a command was given, checked before any work
``study_commands``        ``dnnc study``
``cli``                   ``dnnc``: one thin function a command
``__main__``              ``python -m common``: the same
"""

__version__ = "0.1.0"
