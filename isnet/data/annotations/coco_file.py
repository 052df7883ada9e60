"""Reads COCO's JSON files: instances with polygons or run lengths, and panoptic segments."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from isnet.data.annotations.coco_rasterization import decode_runs, fill_polygons
from isnet.data.annotations.drawing import Drawing, Ids, Mask, Shape, ShapeDrawing, Size
from isnet.data.annotations.json_file import Part, Point, Side, read_json_file
from isnet.errors import UserError
from isnet.images.image_file import decode, read_file, read_header

_HINT = "Export the annotations again"


class _Category(Part):
    id: int
    name: str


class _Image(Part):
    id: int | str
    file_name: str
    width: Side
    height: Side


class _Runs(Part):
    counts: str | list[int]
    size: tuple[int, int]


class _Segment(Part):
    id: int
    category_id: int


class _Annotation(Part):
    id: int | str | None = None
    image_id: int | str
    category_id: int | None = None
    segmentation: _Runs | list[Point] | None = None
    file_name: str = ""
    segments_info: list[_Segment] | None = None


class _File(Part):
    images: list[_Image]
    annotations: list[_Annotation]
    categories: list[_Category]


@dataclass(frozen=True)
class _CocoShape(Shape):
    """Polygons, filled each for itself and united, or run lengths."""

    segmentation: _Runs | list[Point] | None

    def draw_mask(self, size: Size) -> Mask:
        if not self.segmentation:
            raise ValueError("has no segmentation, only a box or points")
        if isinstance(self.segmentation, list):
            return fill_polygons(self.segmentation, size)
        if self.segmentation.size != (size[1], size[0]):
            height, width = self.segmentation.size
            sizes = f"{width}x{height} image, its image is {size[0]}x{size[1]}"
            raise ValueError(f"has run lengths of a {sizes}")
        return decode_runs(self.segmentation.counts, size)


@dataclass(frozen=True)
class _PanopticDrawing(Drawing):
    """An image whose PNG file, `file`, has the segment id R + 256 G + 65536 B in each pixel."""

    category_of: Mapping[int, str]
    """Category of each segment id. The id 0 is no segment."""

    @property
    def categories(self) -> list[str]:
        return list(self.category_of.values())

    def _paint(self, canvas: Ids, ids: Mapping[str, int]) -> None:
        content = read_file(self.file)
        header = read_header(self.file, content)
        if (header.mode, header.container) != ("RGB", "PNG"):
            what = f"is a {header.container} file of mode {header.mode}, segments are an RGB PNG"
            raise UserError(what, where=str(self.file), hint=_HINT)
        pixels = decode(self.file, content, cv2.IMREAD_COLOR | cv2.IMREAD_IGNORE_ORIENTATION)
        if pixels.shape[:2] != canvas.shape:
            size, needed = ("x".join(map(str, each.shape[1::-1])) for each in (pixels, canvas))
            raise UserError(f"is {size}, not {needed}", where=str(self.file), hint=_HINT)
        segments, places = np.unique(pixels @ np.array([1 << 16, 1 << 8, 1]), return_inverse=True)
        table = []
        for segment in segments.tolist():
            if segment and segment not in self.category_of:
                what = f"segment {segment} is not in segments_info"
                raise UserError(what, where=f"{self.file}, {self.where}", hint=_HINT)
            table.append(ids[self.category_of[segment]] if segment else canvas.flat[0])
        canvas[:] = np.array(table, np.uint8)[places].reshape(canvas.shape)


def read_coco(path: Path) -> list[tuple[str, Drawing]]:
    """Read the images of a COCO file, in its order, with name and annotations.

    Annotations are drawn in their order in the file, `iscrowd` or not, as pycocotools gives them. A
    panoptic file `NAME.json` has its PNG files in the folder `NAME` beside it.

    Raises:
        UserError: the file cannot be read, or refers to what is not in it.
    """
    file = read_json_file(_File, path)
    names = {category.id: category.name for category in file.categories}
    shapes: dict[int | str, list[_CocoShape]] = {image.id: [] for image in file.images}
    if len(shapes) < len(file.images):
        raise UserError("two images have the same id", where=str(path), hint=_HINT)
    panoptic: dict[int | str, _Annotation] = {}

    def name_of(category: int | None, where: str) -> str:
        if category is None or category not in names:
            what = f"category_id {category} is not in categories"
            raise UserError(what, where=where, hint=_HINT)
        return names[category]

    for index, annotation in enumerate(file.annotations):
        name = f"annotation {index if annotation.id is None else annotation.id}"
        where = f"{path}, {name}"
        if annotation.image_id not in shapes:
            what = f"image_id {annotation.image_id} is not in images"
            raise UserError(what, where=where, hint=_HINT)
        if annotation.segments_info is not None:
            panoptic[annotation.image_id] = annotation
            continue
        category = name_of(annotation.category_id, where)
        shapes[annotation.image_id].append(_CocoShape(name, category, annotation.segmentation))

    def drawing(image: _Image) -> Drawing:
        where, size = f"{path}, {image.file_name}", (image.width, image.height)
        if (annotation := panoptic.get(image.id)) is None:
            return ShapeDrawing(where, path, size, tuple(shapes[image.id]))
        if Path(annotation.file_name).is_absolute():
            what = f"file_name {annotation.file_name} is an absolute path"
            hint = "Write it below the folder beside the JSON file"
            raise UserError(what, where=where, hint=hint)
        segments = annotation.segments_info or []
        categories = {segment.id: name_of(segment.category_id, where) for segment in segments}
        file = path.with_suffix("") / annotation.file_name
        return _PanopticDrawing(where, file, size, categories)

    return [(image.file_name, drawing(image)) for image in file.images]
