"""The .yxzp package of an app: a zip with the workflow's XML."""

from __future__ import annotations

import io
import zipfile
from xml.sax.saxutils import quoteattr

from .catalog import App


def package_of(app: App) -> bytes:
    """The package; the XML holds only what the sandbox knows (inferred)."""
    asked = "".join(f"<Question name={quoteattr(one.name)} type={quoteattr(one.type)} />" for one in app.questions)
    document = (
        f'<?xml version="1.0"?>\n<AlteryxDocument yxmdVer="2021.4"><Questions>{asked}</Questions></AlteryxDocument>'
    )
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr(app.file_name, document)
    return packed.getvalue()
