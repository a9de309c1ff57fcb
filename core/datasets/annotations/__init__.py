"""Annotations of public tools: shapes in files, read as values and drawn as masks with class ids.

model        the values: images with their regions
coco, labelme, cvat, yolo, supervisely   one reader for each format
runs         run-length encodings
raster       regions as pixels
drawing      write images and masks into a new folder
detection    the format of a folder
"""
