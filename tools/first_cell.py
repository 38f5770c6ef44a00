# The same first cell in every notebook: the course's package, wherever the notebook runs. Safe to run again.
import importlib.util
import subprocess
import sys
from pathlib import Path

REPOSITORY = "https://github.com/dnn-compression-course/dnn-compression-course"

found = importlib.util.find_spec("common")
folders = found.submodule_search_locations or () if found else ()
if not any((Path(folder) / "cli.py").is_file() for folder in folders):  # none, or another's
    here, course = Path.cwd(), Path.cwd() / "course"
    root = next((p for p in (here, *here.parents, course) if (p / "common" / "cli.py").is_file()), None)
    if root is None:  # Colab has the notebook alone: fetch the rest, and leave Colab's own torch in place
        try:
            subprocess.run(["git", "clone", "--quiet", "--depth", "1", REPOSITORY, str(course)], check=True)
        except (OSError, subprocess.CalledProcessError) as error:
            advice = f"download {REPOSITORY} as a ZIP, unpack it, and open the notebook in there"
            raise SystemExit(f"The course could not be fetched ({error}): {advice}.") from None
        root = course
    if root == course:
        install = [sys.executable, str(root / "tools" / "install_missing.py")]
        if subprocess.run(install).returncode:
            raise SystemExit("Packages are missing (see above): with a network, run this cell again.")
    for name in [name for name in sys.modules if name.split(".")[0] == "common"]:
        del sys.modules[name]  # another's module of the same name
    sys.path.insert(0, str(root))
    importlib.invalidate_caches()
