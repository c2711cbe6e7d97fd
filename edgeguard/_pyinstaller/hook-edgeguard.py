"""Data, commands and versions that nothing imports by name."""

from PyInstaller.utils.hooks import collect_data_files, collect_submodules, copy_metadata

# Not the training of nano, nor its card's pictures: neither runs.
datas = collect_data_files("edgeguard", excludes=["**/training/**", "**/*.png", "_pyinstaller/**"])
hiddenimports = collect_submodules(
    "edgeguard", filter=lambda name: not name.startswith("edgeguard._pyinstaller")
)
# Versions for `edgeguard doctor`, and the texts of `edgeguard licenses`.
datas += copy_metadata("edgeguard", recursive=True)
