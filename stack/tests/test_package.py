"""The wheel, built from a checkout whose folder has another name."""

import ast
import subprocess
import sys
import zipfile

from servers import CHECKOUT, MODULE


def test_wheel(folder):
    clone = folder / "some folder"
    subprocess.run(["git", "clone", "--quiet", CHECKOUT, clone], check=True)
    subprocess.run(
        [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", folder, clone], check=True
    )
    [wheel] = folder.glob("*.whl")
    assert wheel.name.startswith("odoo_addon_pgbouncer_monitor-19.0.")
    with zipfile.ZipFile(wheel) as archive:
        files = {name.removeprefix(f"odoo/addons/{MODULE}/") for name in archive.namelist() if name.startswith("odoo/")}
    tracked = subprocess.run(["git", "ls-files"], cwd=clone, check=True, capture_output=True, text=True).stdout.split()
    # The other files are for those who work on the addon.
    code = {path for path in tracked if "/" in path and not path.startswith((".", "docs/", "stack/"))}
    assert code <= files, "each folder of the addon is named in pyproject.toml"
    manifest = ast.literal_eval((clone / "__manifest__.py").read_text())
    assert set(manifest["data"]) <= files
    assert {"__init__.py", "__manifest__.py", "README.md", "LICENSE", "data/neutralize.sql"} <= files
    assert {"probes/query.py", "static/description/icon.png", f"i18n/{MODULE}.pot"} <= files
    assert not [name for name in files if name.startswith(("stack/", "Makefile", ".")) or "__pycache__" in name]
