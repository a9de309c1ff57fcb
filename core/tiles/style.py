"""The style of a mask for QGIS: STEM_mask.qml, which QGIS loads with STEM_mask.tif.

Palette and class names are in the GeoTIFF as well, but QGIS reads only the colors from it.
"""

from __future__ import annotations

from xml.sax.saxutils import quoteattr

from core.escaping import terminal
from core.imaging.classes import Classes
from core.render.palette import Table

HEAD = """<!DOCTYPE qgis PUBLIC 'http://mrcc.com/qgis.dtd' 'SYSTEM'>
<!-- Made by Segdeck, and replaced with the mask. QGIS saves a style without this line. -->
<qgis styleCategories="Symbology">
  <pipe>
    <rasterrenderer type="paletted" band="1" opacity="1" alphaBand="-1" nodataColor="">
      <rasterTransparency/>
      <colorPalette>
"""
TAIL = """      </colorPalette>
    </rasterrenderer>
  </pipe>
</qgis>
"""


def is_generated(style: bytes) -> bool:
    """Return whether `qgis_style` made this file, and nobody has changed it in QGIS since."""
    return style.startswith(HEAD.partition("<qgis")[0].encode())


def qgis_style(classes: Classes, table: Table) -> bytes:
    """Return a QGIS style with a color and a label for each class. table: (256, 3) uint8."""
    entries = "".join(
        f'        <paletteEntry value="{number}" color="#{bytes(table[number]).hex()}" alpha="255" '
        f"label={quoteattr(terminal(name))}/>\n"
        for number, name in enumerate(classes.names)
    )
    return f"{HEAD}{entries}{TAIL}".encode()
