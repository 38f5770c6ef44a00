"""``dnnc``: one thin function a command; torch is imported inside them, so ``--help`` answers at once."""

from __future__ import annotations

import json
import sys
from contextlib import nullcontext, redirect_stdout
from dataclasses import asdict
from pathlib import Path
from typing import Annotated

import typer

from common.arguments import device_name, input_file, is_out_of_memory, one_line, output_file, weights_file
from common.course.attendance_commands import attendance_app
from common.course.member_commands import members_app
from common.markdown import printable
from common.study_commands import study

app = typer.Typer(
    no_args_is_help=True, add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False,
    help="Compress deep networks: prune, share weights, Huffman-code, and read the file back.",
)  # fmt: skip

Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON; all else goes to stderr.")]
Device = Annotated[str | None, typer.Option(help="cpu or cuda; by default the GPU if there is one.")]
Out = Annotated[Path | None, typer.Option(help="File to write.")]
Force = Annotated[bool, typer.Option("--force", help="Replace the file if it exists.")]
Dataset = Annotated[str | None, typer.Option(help="cifar10, mnist, digits, ...; by default the network's.")]
Resume = Annotated[bool, typer.Option("--resume/--fresh", help="Go on from checkpoints, or delete them.")]

ROOT = Path(__file__).resolve().parents[1]

app.command()(study)
app.add_typer(attendance_app, name="attendance")
app.add_typer(members_app, name="members")


def main(argv: list[str] | None = None) -> None:
    """Run a command; what goes wrong is one line on stderr and exit code 1, wrong usage exit code 2."""
    try:
        app(argv)
    except (ValueError, OSError) as error:
        print("dnnc:", one_line(error), file=sys.stderr)
        sys.exit(1)
    except SystemExit as stop:
        if stop.code == 130:  # what typer makes of an interrupt, without a word
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
    device: Device = None, resume: Resume = True, out: Out = None, as_json: Json = False,
) -> None:  # fmt: skip
    """Train a network by its recipe.

    Stopped at any moment, the same command goes on.

    Writes the weights, rounded to float16, as safetensors, and their test accuracy as JSON beside them.

    \b
    Example: dnnc train lenet_5 --epochs 5
    """
    from common.recipes import DATASETS, train_config

    train_config(network)  # refuses an unknown network before anything is read
    start = start and input_file(start)
    dataset = dataset or DATASETS[network]
    run = f"{network}_{dataset}"
    device = device_name(device)
    if out is None and run == "vgg16_cifar10" and epochs is None and start is None:
        out, result = ROOT / "capstone" / f"{run}.safetensors", ROOT / "capstone/results/baseline.json"
    else:
        out = weights_file(out or ROOT / "runs" / run / f"{run}.safetensors")
        result = out.with_suffix(".json")
    with _stdout_for_result(as_json):
        from common.baseline import train_baseline

        figures = train_baseline(
            network, dataset=dataset, start=start, epochs=epochs, device=device, resume=resume, weights=out,
            result=result, workdir=ROOT / "runs" / run, command=" ".join(["dnnc", *sys.argv[1:]]),
        )  # fmt: skip
    text = f"{out}: top-1 {figures['top1']:.4f} on {figures['n_test']:,} test images of {dataset}"
    _show(figures | {"weights": str(out), "result": str(result)}, text, as_json)


@app.command()
def compress(
    source: Annotated[str, typer.Argument(help="A .safetensors file, or a network's name: random weights.")],
    out: Out = None,
    sparsity: Annotated[float, typer.Option(help="Fraction of the weights to prune, in [0, 1).")] = 0.9,
    clusters: Annotated[int | None, typer.Option(min=1, help="Shared values a layer.")] = None,
    criterion: Annotated[str, typer.Option(help="magnitude, normalized or lamp.")] = "magnitude",
    epochs: Annotated[int, typer.Option(min=0, help="Fine-tuning while and after pruning.")] = 0,
    share_epochs: Annotated[int, typer.Option(min=0, help="Fine-tuning of the centroids.")] = 0,
    ratio: Annotated[float | None, typer.Option(help="Search for this ratio, on validation images.")] = None,
    drop: Annotated[float | None, typer.Option(help="Search within this drop, in points.")] = None,
    point: Annotated[str | None, typer.Option(help="A capstone's operating point, all else given.")] = None,
    dataset: Dataset = None, device: Device = None, force: Force = False, as_json: Json = False,
) -> None:  # fmt: skip
    """Make a .dcz file: prune, share weights, Huffman-code.

    Without epochs nothing is fine-tuned and no data set is needed. A layer shares 256 values by default, a
    linear one 32. With --ratio or --drop, a search finds the sparsity and the bits of each layer.

    \b
    Example: dnnc compress capstone/vgg16_cifar10.safetensors --sparsity 0.9 --clusters 32 --out small.dcz
    """
    out = output_file(out or Path(f"{point or Path(source).stem}.dcz"), force=force)
    device = device_name(device)
    with _stdout_for_result(as_json):
        from common.compress_file import compress_file, compress_to_point
        from common.report import size_report

        if point is not None:
            compress_to_point(source, point, out, workdir=ROOT / "runs" / Path(source).stem, device=device)
        else:
            compress_file(
                source, out, sparsity=sparsity, clusters=clusters, criterion=criterion, epochs=epochs,
                share_epochs=share_epochs, target_ratio=ratio, target_drop=drop, dataset=dataset,
                device=device,
            )  # fmt: skip
        report = size_report(out.read_bytes())
    text = (
        f"{out}: {report.file_bytes:,} bytes, {report.ratio:.1f}× smaller than float32, "
        f"{report.bits_per_weight:.3f} bits per weight, sparsity {report.sparsity:.2%}"
    )
    _show(json.loads(report.to_json()) | {"file": str(out)}, text, as_json)


@app.command()
def decompress(
    source: Annotated[Path, typer.Argument(help="A .dcz file.")],
    out: Out = None, force: Force = False,
) -> None:  # fmt: skip
    """Decode a .dcz file to float32 safetensors.

    Batch norm is folded into the convolutions.

    \b
    Example: dnnc decompress capstone/vgg16_cifar10.dcz --out decoded.safetensors
    """
    input_file(source)
    out = output_file(out or Path(f"{source.stem}_decoded.safetensors"), force=force)
    import torch

    from common.checkpoints import save_weights
    from common.container import load_file
    from common.packing import unpack

    save_weights(unpack(load_file(source)), out, dtype=torch.float32)
    print(printable(f"{out}: {out.stat().st_size:,} bytes"))


@app.command()
def inspect(source: Annotated[Path, typer.Argument(help="A .dcz file.")], as_json: Json = False) -> None:
    """Show where the bytes of a .dcz file go.

    \b
    Example: dnnc inspect capstone/vgg16_cifar10.dcz
    """
    input_file(source)
    from common.container_layout import read_file
    from common.report import size_report

    try:
        report = size_report(read_file(source))
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from error
    _show(json.loads(report.to_json()), report.to_markdown(), as_json)


@app.command()
def evaluate(
    source: Annotated[str, typer.Argument(help="A .dcz or .safetensors file.")],
    dataset: Dataset = None,
    split: Annotated[str, typer.Option(help="test or train.")] = "test",
    first: Annotated[int | None, typer.Option(min=1, help="Only the first images.")] = None,
    device: Device = None, as_json: Json = False,
) -> None:  # fmt: skip
    """Measure a network's accuracy on a data set.

    \b
    Example: dnnc evaluate capstone/vgg16_cifar10.dcz --dataset cifar10
    """
    device = device_name(device)
    with _stdout_for_result(as_json):
        from common.datasets import load_dataset
        from common.image_fitting import first_images, fit_images
        from common.model_files import open_model
        from common.models import INPUT_SHAPES
        from common.recipes import DATASETS
        from common.training import evaluate as measure

        model, architecture = open_model(source)
        network = architecture["architecture"]
        dataset = dataset or DATASETS[network]
        images = fit_images(
            first_images(load_dataset(dataset, split), first), INPUT_SHAPES[network],
            n_classes=architecture["num_classes"],
        )  # fmt: skip
        measured = measure(model, images, device=device)
    where = f"{measured.n:,} images of {dataset}/{split}"
    text = f"{source}: top-1 {measured.top1:.4f}, loss {measured.loss:.4f} on {where}"
    _show({"file": source, "dataset": dataset, "split": split, **asdict(measured)}, text, as_json)


@app.command()
def capstone(
    profile: Annotated[str | None, typer.Option(help="full, cpu, offline, test; else what fits.")] = None,
    resume: Resume = True, device: Device = None,
    folder: Annotated[Path | None, typer.Option(help="Shipped files; by default capstone/.")] = None,
    workdir: Annotated[Path | None, typer.Option(help="Checkpoints; by default runs/vgg16_cifar10/.")] = None,
    as_json: Json = False,
) -> None:  # fmt: skip
    """Compress VGG-16 for CIFAR-10 end to end.

    Exit code 0 only when the course's targets are met.

    \b
    Example: dnnc capstone
    """
    device = device_name(device)
    with _stdout_for_result(as_json):
        from common.capstone import FOLDER, WORKDIR, run_capstone

        result = run_capstone(
            profile, resume=resume, device=device, folder=folder or FOLDER, workdir=workdir or WORKDIR
        )
    _show(result.to_dict(), f"\n{result.table()}", as_json)
    raise typer.Exit(0 if result.is_met else 1)


@app.command()
def reproduce(
    name: Annotated[str, typer.Argument(help="lenets, vgg16, ...; an unknown name lists them.")],
    device: Device = None, resume: Resume = True, as_json: Json = False,
) -> None:  # fmt: skip
    """Make published results again, beside the published figures.

    \b
    Example: dnnc reproduce lenets
    """
    with _stdout_for_result(as_json):
        from common.reproductions import run_reproduction

        result = run_reproduction(name, device=device_name(device), resume=resume)
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
def doctor(as_json: Json = False) -> None:
    """Check this machine, and say what to do.

    \b
    Example: dnnc doctor
    """
    from common.doctor import examine, is_healthy, report

    checks = examine()
    _show([asdict(check) for check in checks], report(checks), as_json)
    raise typer.Exit(0 if is_healthy(checks) else 1)


def _show(result: object, text: str, as_json: bool) -> None:
    print(json.dumps(result, indent=1) if as_json else printable(text, keep="\n"))


def _stdout_for_result(as_json: bool):
    """While the work goes on, keep stdout free for the JSON that a script will read."""
    return redirect_stdout(sys.stderr) if as_json else nullcontext()
