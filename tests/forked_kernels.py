"""Notebook kernels that begin with the course's imports done, for tests.

A kernel spends seven to nine seconds of a processor on importing torch, torchvision and Matplotlib, and
`make test` starts one for each of some forty notebooks. Here one process for each test worker imports them
once; a kernel is a fork of it (`multiprocessing`'s fork server), and otherwise what `ipykernel_launcher`
starts: the same connection file, folder and environment, and a process group of its own.

`install` makes such kernels the ones that jupyter_client starts in this process. Where processes cannot fork
(Windows), and for another command than that of this Python's kernel, they start as usual.
"""

import multiprocessing
import os
import signal
import sys
import threading
from importlib.metadata import EntryPoint
from typing import Any

import matplotlib
from ipykernel.kernelapp import IPKernelApp
from jupyter_client.connect import KernelConnectionInfo
from jupyter_client.provisioning import KernelProvisionerFactory, LocalProvisioner

_NAME = "forked"
_INLINE = "module://matplotlib_inline.backend_inline"
# What most notebooks import. A module that is missing here is imported in the kernel, as usual.
_PRELOADED = (
    "ipykernel.kernelapp",
    "ipywidgets",
    "matplotlib.pyplot",
    "numba",
    "scipy.stats",
    "sklearn.cluster",
    "torch._dynamo",  # which a process's first optimizer imports: seconds
    "torchvision.transforms",
    "common.capstone.run",
    "common.codec.container",
    "common.compress.files",
    "common.data.datasets",
    "common.figures.animations",
    "common.figures.pipeline",
    "common.figures.sliders",
    "common.networks.training",
)


def install() -> None:
    """Let every kernel that this process starts with this Python be a fork."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return
    factory = KernelProvisionerFactory.instance()
    group = KernelProvisionerFactory.GROUP_NAME
    factory.provisioners[_NAME] = EntryPoint(_NAME, f"{__name__}:ForkedProvisioner", group)
    factory.default_provisioner_name = _NAME


class ForkedProvisioner(LocalProvisioner):
    """Starts a kernel as a fork of a process that has the imports behind it."""

    async def launch_kernel(self, cmd: list[str], **kwargs: Any) -> KernelConnectionInfo:
        """Fork where `cmd` asks for a kernel of this Python, else launch as usual."""
        if cmd[0] != sys.executable or "ipykernel_launcher" not in cmd:
            return await super().launch_kernel(cmd, **kwargs)
        arguments = cmd[cmd.index("ipykernel_launcher") + 1 :]
        environment = kwargs.get("env") or dict(os.environ)
        self.cwd = os.path.abspath(kwargs.get("cwd") or os.getcwd())
        self.process = _ForkedProcess(arguments, self.cwd, environment)
        self.pid = self.pgid = self.process.pid
        return self.connection_info


class _ForkedProcess:
    """A forked kernel, with the methods of `subprocess.Popen` that jupyter_client calls."""

    stdin = stdout = stderr = None

    def __init__(self, arguments: list[str], folder: str, environment: dict[str, str]) -> None:
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(list(_PRELOADED))
        self._process = context.Process(target=_run_kernel, args=(arguments, folder, environment))
        self._process.start()
        self.pid = self._process.pid

    def poll(self) -> int | None:
        return self._process.exitcode

    def wait(self) -> int | None:
        self._process.join()
        return self._process.exitcode

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)


def _run_kernel(arguments: list[str], folder: str, environment: dict[str, str]) -> None:
    """Be a kernel, in the forked process, until it is shut down or the test worker is gone."""
    os.setsid()  # signals go to the kernel and to what it starts, not to the fork server
    # What the kernel prints comes as its messages; the rest is for no one, as in nbval.
    with open(os.devnull, "wb") as nowhere:
        for descriptor in (1, 2):
            os.dup2(nowhere.fileno(), descriptor)
    os.environ.clear()
    os.environ.update(environment)
    os.environ.setdefault("MPLBACKEND", _INLINE)
    os.chdir(folder)
    sys.argv = ["ipykernel_launcher", *arguments]
    matplotlib.rcParams["backend"] = os.environ["MPLBACKEND"]  # read from the environment on import only
    threading.Thread(target=_end_with_the_worker, daemon=True).start()
    IPKernelApp.launch_instance()


def _end_with_the_worker() -> None:
    multiprocessing.parent_process().join()
    os.killpg(0, signal.SIGKILL)
