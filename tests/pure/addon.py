"""The addon as a package without Odoo: its rooms import each other as they do in Odoo."""

from pathlib import Path

# Makes a package of this module.
__path__ = [str(Path(__file__).parents[2])]
