"""Reads annotations of polygons and run lengths, and draws them to label images.

Each tool's shapes are drawn with its own rasteriser: COCO's and CVAT's with pycocotools, LabelMe's
with Pillow, Supervisely's with OpenCV.
"""
