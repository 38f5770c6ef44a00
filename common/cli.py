"""``dnnc``: one thin function per command; torch is imported inside them, so ``--help`` answers at once."""

from __future__ import annotations

import json
import os
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext, redirect_stdout
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from common.attendance.commands import attendance_app
from common.base.files import is_checkout, needs_checkout, workplace
from common.base.text import json_text, printable
from common.members.commands import course_app, members_app

# ----------------------------------------------------------------------------------------------------
# Checks of a command's arguments, before any work; and its errors, each in one line.
#
# torch is imported only when a device is named, so that a wrong path is reported at once.


def input_file(path: Path) -> Path:
    """Return the path when it is a file that can be read.

    Raises
    ------
    OSError
        When there is nothing, something other than a file (a folder, a device), or reading is not permitted.
    """
    if not path.exists():
        raise FileNotFoundError(f"file not found: {path}")
    if not path.is_file():
        raise OSError(f"{path} is not a regular file: check the path")
    if not os.access(path, os.R_OK):
        raise PermissionError(f"{path} may not be read: change its permissions")
    return path


def output_file(path: Path, *, force: bool) -> Path:
    """Return the path when a file can be written there; with `force` it may replace an existing file.

    Raises
    ------
    ValueError
        When there is something already, or no folder to write to.
    OSError
        When the folder may not be written to.
    """
    if path.exists() and not path.is_file():
        raise ValueError(f"{path} is not a regular file: choose another --out")
    if path.exists() and not force:
        raise ValueError(f"{path} exists: choose another --out, or add --force")
    if not path.parent.is_dir():
        raise ValueError(f"{path.parent} is not a folder: make it, or choose another --out")
    if not os.access(path.parent, os.W_OK | os.X_OK):
        raise PermissionError(f"{path.parent} may not be written: choose another --out")
    return path


def weights_file(path: Path) -> Path:
    """Return the path when `train` can write weights there; a missing folder is made.

    Raises
    ------
    ValueError
        When the suffix is not ``.safetensors``, or the path is not that of a file.
    OSError
        When the folder cannot be made or written to.
    """
    if path.suffix.lower() != ".safetensors":
        raise ValueError(f"{path} ends in {path.suffix!r}: expected .safetensors")
    path.parent.mkdir(parents=True, exist_ok=True)
    return output_file(path, force=True)


def sparsity_options(words: list[str]) -> tuple[float, list[tuple[str, float]]]:
    """Return the common sparsity, 0.9 where none is given, and those of tensors by glob.

    >>> sparsity_options(["0.8", "conv*=0.95"])
    (0.8, [('conv*', 0.95)])

    Raises
    ------
    ValueError
        When a word is neither, a sparsity is outside [0, 1), or there are two common ones.
    """
    common, by_name = [], []
    for word in words:
        pattern, has_pattern, number = word.rpartition("=")
        try:
            value = float(number)
        except ValueError:
            raise ValueError(f"--sparsity {word}: expected a fraction such as 0.9, or 'conv*=0.95'") from None
        if not 0 <= value < 1:
            raise ValueError(f"sparsity={value}: expected a fraction in [0, 1)")
        if has_pattern:
            by_name.append((pattern, value))
        else:
            common.append(value)
    if len(common) > 1:
        raise ValueError(
            f"--sparsity: got {len(common)} for all tensors; expected one, others as 'glob=0.95'"
        )
    return (common or [0.9])[0], by_name


def empty_notes(empty: list[str], report) -> list[str]:
    """Return a note when pruning has left nothing of some layers, or of all; else an empty list."""
    if not empty:
        return []
    if not any(layer.n_kept for layer in report.layers if len(layer.shape) > 1):
        return [
            "every layer is pruned empty: the network gives the same answer to all; ask for less sparsity"
        ]
    shown = ", ".join(empty[:3]) + (f" and {len(empty) - 3} more" if empty[3:] else "")
    return [f"pruned empty: {shown}; nothing passes there; ask for less sparsity, or for --criterion lamp"]


def device_name(name: str | None) -> str | None:
    """Return the device when this machine has it; None (the GPU if there is one) stays None.

    Raises
    ------
    ValueError
        When it is neither ``cpu`` nor a GPU of this machine.
    """
    if name is None or name == "cpu":
        return name
    import torch

    try:
        device = torch.device(name)
    except RuntimeError:
        device = None
    if device is not None and device.type == "cpu":
        return name
    n_gpus = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if device is not None and device.type == "cuda" and (device.index or 0) < n_gpus:
        return name
    found = f"or cuda ({n_gpus} there)" if n_gpus else "(there is no GPU)"
    raise ValueError(f"device {name!r}: expected cpu {found}")


def speak_plainly() -> None:
    """Make printing never fail, and each warning one line that is shown once.

    Characters that a terminal cannot show are replaced, so that they do not turn a success into a failure.
    """
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    told = set()

    def show(message, category, filename, lineno, file=None, line=None) -> None:
        text = one_line(message)
        if text not in told:
            told.add(text)
            print("note:", text, file=sys.stderr)

    warnings.showwarning = show


@contextmanager
def about(source: str | Path) -> Iterator[None]:
    """Context in which a ValueError gets the file's name at its beginning, unless it has it already."""
    try:
        yield
    except ValueError as error:
        if str(source) in str(error):
            raise
        raise ValueError(f"{source}: {error}") from error


def is_out_of_memory(error: Exception) -> bool:
    """Return whether memory ran out: torch raises a RuntimeError, with different words on GPU and CPU."""
    return isinstance(error, MemoryError) or "memory" in str(error).lower()


def one_line(text: object) -> str:
    r"""Return the text in one line, without characters that control a terminal.

    >>> one_line("a file\nnamed \x1b[2J")
    'a file named \\x1b[2J'
    """
    return printable(" ".join(str(text).split()))


# ----------------------------------------------------------------------------------------------------
# ``dnnc study``: the measurements behind the lectures.


def study(
    name: Annotated[str, typer.Argument(help="pruning_curves, criteria, bits, ...")],
    device: Annotated[str | None, typer.Option(help="cpu or cuda; by default the GPU.")] = None,
    resume: Annotated[bool, typer.Option("--resume/--fresh", help="Go on from checkpoints, or not.")] = True,
) -> None:
    """Measure what a lecture plots, and store it as JSON beside the lecture.

    \b
    Example: dnnc study pruning_curves
    """
    needs_checkout("dnnc study")
    from common.experiments import EXPERIMENTS, run_experiment

    outcome = run_experiment(name, device=device_name(device), resume=resume)
    size = f"{len(json.dumps(outcome.to_dict())):,} characters of figures"
    print(outcome.table() or f"{EXPERIMENTS[name].result}: {size}")


app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    help="Compress deep networks: prune, share weights, Huffman-code, and read the file back.",
)

Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON; all else goes to stderr.")]
Device = Annotated[str | None, typer.Option(help="cpu or cuda; by default the GPU if there is one.")]
Out = Annotated[Path | None, typer.Option(help="File to write.")]
Force = Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")]
Dataset = Annotated[str | None, typer.Option(help="cifar10, mnist, digits, ...; by default the network's.")]
Limit = Annotated[
    int, typer.Option(min=1, metavar="BYTES", help="Most memory that a .dcz file's tensors may take.")
]
Resume = Annotated[bool, typer.Option("--resume/--fresh", help="Go on from checkpoints, or delete them.")]

ROOT = workplace()
MAX_DENSE_BYTES = 4 << 30  # as in codec.container, whose import would slow --help down

app.command()(study)
app.add_typer(attendance_app, name="attendance")
app.add_typer(members_app, name="members")
app.add_typer(course_app, name="course")


def main(argv: list[str] | None = None) -> None:
    """Run a command; an error is one line on stderr and exit code 1, wrong usage is exit code 2."""
    speak_plainly()
    try:
        app(argv)
    except (ValueError, OSError) as error:
        print("dnnc:", one_line(error), file=sys.stderr)
        sys.exit(1)
    except SystemExit as stop:
        if stop.code == 130:  # typer's silent exit code after an interrupt
            print("dnnc: stopped", file=sys.stderr)
        raise
    except (MemoryError, RuntimeError) as error:
        if not is_out_of_memory(error):
            raise  # a bug, and its traceback says where
        print("dnnc: not enough memory:", one_line(error), file=sys.stderr)
        sys.exit(1)


@app.command()
def train(
    network: Annotated[str, typer.Argument(help="vgg16, lenet_5, lenet_300_100, ...")],
    epochs: Annotated[int | None, typer.Option(min=0, help="By default the recipe's.")] = None,
    dataset: Dataset = None,
    start: Annotated[
        Path | None, typer.Option(help="Weights of another data set (.safetensors) to begin with.")
    ] = None,
    refine: Annotated[
        Path | None, typer.Option(help="Weights of the same data set (.safetensors) to train further.")
    ] = None,
    device: Device = None,
    resume: Resume = True,
    out: Out = None,
    as_json: Json = False,
) -> None:
    """Train a network by its recipe.

    Stopped at any moment, the same command goes on.

    Writes the weights, rounded to float16, as safetensors, and their test accuracy as JSON beside them.

    \b
    Example: dnnc train lenet_5 --epochs 5
    """
    from common.networks.baseline import DATASETS, train_config

    train_config(network)  # refuses an unknown network before anything is read
    start, refine = start and input_file(start), refine and input_file(refine)
    dataset = dataset or DATASETS[network]
    run = f"{network}_{dataset}"
    device = device_name(device)
    is_shipped = run == "vgg16_cifar10" and epochs is None and not (start or refine)
    if out is None and is_shipped and is_checkout():
        out, result = ROOT / "capstone" / f"{run}.safetensors", ROOT / "capstone/results/baseline.json"
    else:
        out = weights_file(out or ROOT / "runs" / run / f"{run}.safetensors")
        result = out.with_suffix(".json")
    with _stdout_for_result(as_json):
        from common.networks.baseline import train_baseline

        figures = train_baseline(
            network,
            dataset=dataset,
            start=start,
            refine=refine,
            epochs=epochs,
            device=device,
            resume=resume,
            weights=out,
            result=result,
            workdir=ROOT / "runs" / run,
            command=" ".join(["dnnc", *sys.argv[1:]]),
        )
    text = f"{out}: top-1 {figures['top1']:.4f} on {figures['n_test']:,} test images of {dataset}"
    _show(figures | {"weights": str(out), "result": str(result)}, text, as_json)


@app.command()
def compress(
    source: Annotated[
        str, typer.Argument(help=".safetensors, a torch.save'd state dict, or a network's name.")
    ],
    out: Out = None,
    sparsity: Annotated[
        list[str] | None,
        typer.Option(
            help="Fraction to prune, in [0, 1); 'conv*=0.95' for tensors by name.", show_default="0.9"
        ),
    ] = None,
    keep: Annotated[list[str] | None, typer.Option(help="Tensors to leave as they are: 'head.*'.")] = None,
    clusters: Annotated[int | None, typer.Option(min=1, help="Shared values per layer.")] = None,
    criterion: Annotated[str, typer.Option(help="magnitude, normalized or lamp.")] = "magnitude",
    epochs: Annotated[int, typer.Option(min=0, help="Fine-tuning while and after pruning.")] = 0,
    share_epochs: Annotated[int, typer.Option(min=0, help="Fine-tuning of the centroids.")] = 0,
    ratio: Annotated[float | None, typer.Option(help="Search for this ratio, on validation images.")] = None,
    drop: Annotated[float | None, typer.Option(help="Search within this drop, in points.")] = None,
    point: Annotated[str | None, typer.Option(help="A capstone's operating point, all else given.")] = None,
    dataset: Dataset = None,
    device: Device = None,
    force: Force = False,
    as_json: Json = False,
) -> None:
    """Make a .dcz file: prune, share weights, Huffman-code.

    Takes any network: one that is not the course's is compressed by the names of its tensors.

    Without epochs nothing is fine-tuned and no data set is needed. A layer shares 256 values by default, a
    linear one 32. With --ratio or --drop, a search finds the sparsity and the bits of each layer.

    \b
    Example: dnnc compress capstone/vgg16_cifar10.safetensors --sparsity 0.9 --clusters 32 --out small.dcz
    """
    out = output_file(out or Path(f"{point or Path(source).stem}.dcz"), force=force)
    common_sparsity, sparsities = sparsity_options(sparsity or [])
    device = device_name(device)
    with _stdout_for_result(as_json), about(source):
        from common.capstone.vgg16 import compress_to_point
        from common.compress.files import compress_file
        from common.report.sizes import size_report

        told = None
        if point is not None:
            compress_to_point(source, point, out, workdir=ROOT / "runs" / Path(source).stem, device=device)
        else:
            told = compress_file(
                source,
                out,
                sparsity=common_sparsity,
                sparsities=sparsities,
                keep=keep or (),
                clusters=clusters,
                criterion=criterion,
                epochs=epochs,
                share_epochs=share_epochs,
                target_ratio=ratio,
                target_drop=drop,
                dataset=dataset,
                device=device,
            )
        report = size_report(out.read_bytes())
    text = (
        f"{out}: {report.file_bytes:,} bytes, {report.ratio:.1f}× smaller than float32, "
        f"{report.bits_per_weight:.3f} bits per weight, sparsity {report.sparsity:.2%}"
    )
    asked = None if told is None or ratio is not None or drop is not None else common_sparsity
    if asked is not None and (sparsities or keep or abs(asked - report.sparsity) > 0.0005):
        text += f" (asked for: {asked:.2%}{''.join(f', {p} {s:.2%}' for p, s in sparsities)})"
    empty = [layer.name for layer in report.layers if len(layer.shape) > 1 and not layer.n_kept]
    notes = [*(told.notes if told else ()), *empty_notes(empty, report)]
    if told and told.summary:
        text += f"\n{told.summary}"
    for note in dict.fromkeys(notes):
        print("note:", one_line(note), file=sys.stderr)
    figures = json.loads(report.to_json()) | {"file": str(out), "asked_sparsity": asked, "notes": notes}
    if told and told.dense is not None:
        figures["dense"] = dict(told.dense)
    _show(figures, text, as_json)


@app.command()
def decompress(
    source: Annotated[Path, typer.Argument(help="A .dcz file.")],
    out: Out = None,
    force: Force = False,
    max_dense_bytes: Limit = MAX_DENSE_BYTES,
) -> None:
    """Decode a .dcz file to safetensors.

    Names, shapes and dtypes come back. In the course's own networks, batch norm is folded into the
    convolutions. With --out x.pth, the file is one of torch.save.

    \b
    Example: dnnc decompress capstone/vgg16_cifar10.dcz --out decoded.safetensors
    """
    input_file(source)
    out = output_file(out or Path(f"{source.stem}_decoded.safetensors"), force=force)
    from common.compress.files import decompress_file

    decompress_file(source, out, max_dense_bytes=max_dense_bytes)
    print(printable(f"{out}: {out.stat().st_size:,} bytes"))


@app.command()
def inspect(
    source: Annotated[Path, typer.Argument(help="A .dcz file.")],
    as_json: Json = False,
    max_dense_bytes: Limit = MAX_DENSE_BYTES,
) -> None:
    """Show where the bytes of a .dcz file go.

    \b
    Example: dnnc inspect capstone/vgg16_cifar10.dcz
    """
    input_file(source)
    from common.base.lean_numba import lean_numba

    with lean_numba():
        from common.codec.container import read_file
        from common.compress.file_kinds import sniff
        from common.report.sizes import size_report

        if (kind := sniff(source)) != "dcz":
            raise ValueError(
                f"{source} is a {kind} file, not a .dcz file: make one of it with `dnnc compress`"
            )
        try:
            report = size_report(read_file(source), max_dense_bytes=max_dense_bytes)
        except ValueError as error:
            raise ValueError(f"{source}: {error}") from error
    _show(json.loads(report.to_json()), report.to_markdown(), as_json)


@app.command()
def evaluate(
    source: Annotated[str, typer.Argument(help="A .dcz or .safetensors file.")],
    dataset: Dataset = None,
    split: Annotated[str, typer.Option(help="test or train.")] = "test",
    first: Annotated[int | None, typer.Option(min=1, help="Only the first images.")] = None,
    device: Device = None,
    as_json: Json = False,
    max_dense_bytes: Limit = MAX_DENSE_BYTES,
) -> None:
    """Measure a network's accuracy on a data set.

    \b
    Example: dnnc evaluate capstone/vgg16_cifar10.dcz --dataset cifar10
    """
    device = device_name(device)
    with _stdout_for_result(as_json), about(source):
        from common.compress.files import open_model
        from common.data.datasets import load_dataset
        from common.data.image_set import first_images, fit_images
        from common.networks.baseline import dataset_for
        from common.networks.models import INPUT_SHAPES
        from common.networks.training import evaluate as measure

        model, architecture = open_model(source, max_dense_bytes=max_dense_bytes)
        network = architecture["architecture"]
        dataset = dataset or dataset_for(architecture)
        images = fit_images(
            first_images(load_dataset(dataset, split), first),
            INPUT_SHAPES[network],
            n_classes=architecture["num_classes"],
        )
        measured = measure(model, images, device=device)
    where = f"{measured.n:,} images of {dataset}/{split}"
    text = f"{source}: top-1 {measured.top1:.4f}, loss {measured.loss:.4f} on {where}"
    _show({"file": source, "dataset": dataset, "split": split, **asdict(measured)}, text, as_json)


@app.command()
def export(
    sources: Annotated[
        list[Path] | None, typer.Argument(help="A .dcz file; for --web up to two, or none.")
    ] = None,
    onnx: Annotated[Path | None, typer.Option(help="An .onnx file to write.")] = None,
    c: Annotated[Path | None, typer.Option("--c", help="A C99 header to write: LeNets only.")] = None,
    web: Annotated[
        Path | None, typer.Option(help="A folder to write: the page that runs the network.")
    ] = None,
    int8: Annotated[bool, typer.Option("--int8", help="ONNX: int8 weights in place of codebooks.")] = False,
    dense: Annotated[
        bool, typer.Option("--dense", help="ONNX: float32 weights in place of codebooks.")
    ] = False,
    force: Force = False,
    max_dense_bytes: Limit = MAX_DENSE_BYTES,
) -> None:
    """Make a .dcz file run on other devices: ONNX, plain C, or a page for any browser.

    The page works from disk and offline. Without a file it holds the course's own networks.

    \b
    Example: dnnc export capstone/lenet_5.dcz --c lenet_5.h
    """
    sources = [input_file(source) for source in sources or []]
    if sum(path is not None for path in (onnx, c, web)) != 1:
        raise ValueError("expected one of --onnx FILE, --c FILE, --web FOLDER")
    if (int8 or dense) and onnx is None:
        raise ValueError("--int8 and --dense belong to --onnx")
    if web is not None:
        from common.deploy.web_page import export_web

        if web.exists() and not force and any(web.iterdir()):
            raise ValueError(f"{web} is not empty: choose another folder, or add --force")
        written = export_web(sources, web, max_dense_bytes=max_dense_bytes)
        n_bytes = sum(path.stat().st_size for path in written)
        print(printable(f"{written[0]}: {len(written)} files, {n_bytes:,} bytes; open it in a browser"))
        return
    if len(sources) != 1:
        raise ValueError(f"got {len(sources)} files, expected one .dcz file")
    out = output_file(onnx or c, force=force)
    from common.codec.container import load_file

    model = load_file(sources[0], max_dense_bytes=max_dense_bytes)
    if onnx is not None:
        from common.deploy.onnx import export_onnx

        try:
            export_onnx(model, out, dense=dense, int8=int8)
        except ImportError as error:
            raise ValueError(error) from error
    else:
        from common.base.files import whole_file
        from common.deploy.c99 import c_header

        text = c_header(model, out.stem)
        with whole_file(out) as aside:
            aside.write_text(text, encoding="ascii")
    print(printable(f"{out}: {out.stat().st_size:,} bytes"))


@app.command()
def capstone(
    profile: Annotated[str | None, typer.Option(help="full, cpu, offline, test; else what fits.")] = None,
    resume: Resume = True,
    device: Device = None,
    folder: Annotated[Path | None, typer.Option(help="Shipped files; by default capstone/.")] = None,
    workdir: Annotated[Path | None, typer.Option(help="Checkpoints; by default runs/vgg16_cifar10/.")] = None,
    as_json: Json = False,
) -> None:
    """Compress VGG-16 for CIFAR-10 end to end.

    Exit code 0 only when the course's targets are met.

    \b
    Example: dnnc capstone
    """
    if folder is None or workdir is None:
        needs_checkout("dnnc capstone")
    device = device_name(device)
    with _stdout_for_result(as_json):
        from common.capstone.run import FOLDER, WORKDIR, run_capstone

        result = run_capstone(
            profile, resume=resume, device=device, folder=folder or FOLDER, workdir=workdir or WORKDIR
        )
    _show(result.to_dict(), f"\n{result.table()}", as_json)
    raise typer.Exit(0 if result.is_met else 1)


@app.command()
def reproduce(
    name: Annotated[str, typer.Argument(help="lenets, vgg16, ...; an unknown name lists them.")],
    device: Device = None,
    resume: Resume = True,
    as_json: Json = False,
) -> None:
    """Make published results again, beside the published figures.

    \b
    Example: dnnc reproduce lenets
    """
    needs_checkout("dnnc reproduce")
    with _stdout_for_result(as_json):
        from common.experiments import run_experiment

        result = run_experiment(name, device=device_name(device), resume=resume)
    _show(result.to_dict(), result.table(), as_json)


@app.command(context_settings={"allow_extra_args": True, "ignore_unknown_options": True})
def bench(context: typer.Context) -> None:
    """Measure speed and memory beside the peers.

    Options are passed on to common.benchmarks.

    \b
    Example: dnnc bench
    """
    from common.benchmarks import main as run_benchmarks

    raise typer.Exit(run_benchmarks(context.args) or 0)


@app.command()
def doctor(
    warm: Annotated[
        bool, typer.Option("--warm", help="Only compile the inner loops, ahead of time.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Check this machine, and say what to do.

    \b
    Example: dnnc doctor
    """
    from common.doctor import examine, is_healthy, report, warm_up

    if warm:
        seconds = warm_up()
        _show({"seconds": seconds}, f"The inner loops are compiled and kept ({seconds:.0f} s).", as_json)
        return
    checks = examine()
    _show([asdict(check) for check in checks], report(checks), as_json)
    raise typer.Exit(0 if is_healthy(checks) else 1)


def _show(result: object, text: str, as_json: bool) -> None:
    print(json_text(result) if as_json else printable(text, keep="\n"))


def _stdout_for_result(as_json: bool):
    """Return a context that keeps stdout free for the JSON that a script will read."""
    return redirect_stdout(sys.stderr) if as_json else nullcontext()
