"""Spatial objects of Alteryx as GeoJSON. They are laid out like the shapes of an ESRI shapefile.

https://www.esri.com/content/dam/esrisites/sitecore-archive/Files/Pdfs/library/whitepapers/pdfs/shapefile.pdf: the rings
of a polygon lie one behind the other; a ring that runs clockwise is a polygon, one that runs the other way a hole.
"""

from __future__ import annotations

import json
import struct
from collections.abc import Sequence
from itertools import pairwise
from math import isfinite
from typing import Any

_POINTS, _LINES, _POLYGON = 8, 3, 5
_NESTING = 200  # rings that are compared with each other where their direction tells nothing

Point = tuple[float, float]
Ring = list[Point]


def geojson(value: bytes | None) -> str | None:
    """Give an object as GeoJSON text; an empty one is no value. Raises ValueError for one that is not known."""
    if not value:
        return None
    kind = int.from_bytes(value[:4], "little")
    if len(value) < 40 or kind not in (_POINTS, _LINES, _POLYGON):
        raise ValueError(f"a spatial object of type {kind} and {len(value)} bytes is not known")
    count = int.from_bytes(value[36:40], "little")
    if not count:
        return None
    if kind == _POINTS:
        points = _points(value, 40, count)
        return _text("Point", points[0]) if count == 1 else _text("MultiPoint", points)
    parts = _parts(value, count)
    if kind == _LINES:
        return _text("LineString", parts[0]) if len(parts) == 1 else _text("MultiLineString", parts)
    polygons = _polygons(parts)
    return _text("Polygon", polygons[0]) if len(polygons) == 1 else _text("MultiPolygon", polygons)


def _text(kind: str, coordinates: Any) -> str:
    return json.dumps({"type": kind, "coordinates": coordinates})


def _points(value: bytes, start: int, count: int) -> Ring:
    if len(value) != start + 16 * count:
        raise ValueError(f"a spatial object of {count} points has {len(value)} bytes")
    numbers = struct.unpack_from(f"<{2 * count}d", value, start)
    if not all(map(isfinite, numbers)):
        raise ValueError("a spatial object has a coordinate that is no number")
    return list(zip(numbers[::2], numbers[1::2], strict=True))


def _parts(value: bytes, count: int) -> list[Ring]:
    """Cut the points at the places where a part begins; the first one begins at 0, which is stored too."""
    total = int.from_bytes(value[40:44], "little")
    first = 44 + 4 * count
    if len(value) < first:
        raise ValueError(f"a spatial object of {count} parts has {len(value)} bytes")
    points = _points(value, first, total)
    starts = [*struct.unpack_from(f"<{count}I", value, 44), total]
    if starts[0] != 0 or any(end <= start for start, end in pairwise(starts)):
        raise ValueError("the parts of a spatial object overlap, or one is empty")
    return [points[start:end] for start, end in pairwise(starts)]


def _polygons(rings: Sequence[Ring]) -> list[list[Ring]]:
    """Give each polygon with its holes."""
    if len(rings) == 1:
        return [list(rings)]
    areas = [_area(ring) for ring in rings]
    outer = [index for index, area in enumerate(areas) if area <= 0]
    if len(outer) in (0, len(rings)):  # they all run the same way: only their places tell
        outer = list(range(len(rings)))
        if len(rings) <= _NESTING:
            outer = [i for i in outer if sum(_holds(rings[k], rings[i]) for k in outer if k != i) % 2 == 0]
    made = {index: [rings[index]] for index in outer}
    boxes = {index: _box(rings[index]) for index in outer}
    for index, ring in enumerate(rings):
        if index in made:
            continue
        box = _box(ring)
        around = [k for k in outer if _box_holds(boxes[k], box) and _holds(rings[k], ring)]
        # A hole that no ring surrounds is a polygon of its own: nothing of it may be lost.
        home = min(around, key=lambda k: abs(areas[k]), default=None)
        if home is None:
            made[index] = [ring]
        else:
            made[home].append(ring)
    return [made[index] for index in sorted(made)]


def _area(ring: Ring) -> float:
    """Give twice the area; it is negative where the ring runs clockwise."""
    return sum(x1 * y2 - x2 * y1 for (x1, y1), (x2, y2) in pairwise([*ring, ring[0]]))


def _box(ring: Ring) -> tuple[float, float, float, float]:
    xs, ys = [x for x, _ in ring], [y for _, y in ring]
    return min(xs), min(ys), max(xs), max(ys)


def _box_holds(outer: tuple[float, float, float, float], inner: tuple[float, float, float, float]) -> bool:
    return outer[0] <= inner[0] and outer[1] <= inner[1] and outer[2] >= inner[2] and outer[3] >= inner[3]


def _holds(outer: Ring, inner: Ring) -> bool:
    """True if most points of a ring lie within the other; some may lie on it."""
    inside = [_is_within(outer, point) for point in inner[:-1] or inner]
    return sum(inside) * 2 > len(inside)


def _is_within(ring: Ring, point: Point) -> bool:
    x, y = point
    crossings = 0
    for (x1, y1), (x2, y2) in pairwise([*ring, ring[0]]):
        if (y1 > y) != (y2 > y) and x < x1 + (y - y1) * (x2 - x1) / (y2 - y1):
            crossings += 1
    return crossings % 2 == 1
