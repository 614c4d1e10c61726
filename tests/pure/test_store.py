"""The page on the Apps store: its pictures are there, and nothing comes from elsewhere."""

import ast
import re
import struct
from pathlib import Path

ADDON = Path(__file__).resolve().parents[2]
IMAGES = ast.literal_eval((ADDON / "__manifest__.py").read_text())["images"]


def test_images_of_the_manifest():
    assert [image for image in IMAGES if not (ADDON / image).is_file()] == []


def test_size_of_the_cover():
    header = (ADDON / IMAGES[0]).read_bytes()[:24]
    assert struct.unpack(">II", header[16:]) == (560, 280)


def test_page():
    folder = ADDON / "static/description"
    sources = re.findall(r'\b(?:src|href)="([^"]+)"', (folder / "index.html").read_text())
    assert len(sources) > 10
    assert [source for source in sources if not (folder / source).is_file()] == []
