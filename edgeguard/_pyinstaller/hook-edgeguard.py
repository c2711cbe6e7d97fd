"""Collects data, commands and versions that no module imports by name."""

from contextlib import suppress
from importlib.metadata import PackageNotFoundError, requires
from importlib.util import find_spec

from packaging.requirements import Requirement
from PyInstaller.utils.hooks import collect_data_files, collect_submodules, copy_metadata

# Without the training of nano and its card's pictures, which no program needs.
datas = collect_data_files("edgeguard", excludes=["**/training/**", "**/*.png", "_pyinstaller/**"])
hiddenimports = collect_submodules(
    "edgeguard", filter=lambda name: not name.startswith("edgeguard._pyinstaller")
)
if find_spec("fastapi_offline") is not None:  # the files of the page of `edgeguard serve`
    datas += collect_data_files("fastapi_offline", includes=["static/swagger-ui*"])
# Versions for `edgeguard doctor`, and texts for `edgeguard licenses`, which lists an extra's
# packages only if they are in the program.
datas += copy_metadata("edgeguard", recursive=True)
for line in requires("edgeguard") or []:
    if "extra ==" in line:
        with suppress(PackageNotFoundError, RuntimeError):  # not installed here
            datas += copy_metadata(Requirement(line).name, recursive=True)
