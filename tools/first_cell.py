# The same first cell in every notebook: the course's package, wherever the notebook runs.
import importlib.util
import subprocess
import sys
from pathlib import Path

REPOSITORY = "https://github.com/dnn-compression-course/dnn-compression-course"

if importlib.util.find_spec("common") is None:
    folders = (Path.cwd(), *Path.cwd().parents, Path.cwd() / "course")
    root = next((folder for folder in folders if (folder / "common" / "cli.py").is_file()), None)
    if root is None:  # Colab has the notebook alone: fetch the rest, and leave Colab's own torch in place
        root = Path.cwd() / "course"
        subprocess.run(["git", "clone", "--quiet", "--depth", "1", REPOSITORY, str(root)], check=True)
        subprocess.run([sys.executable, str(root / "tools" / "install_missing.py")], check=True)
    sys.path.insert(0, str(root))
