"""The map viewer: an image of any size with its mask, in tiles.

`map.map_view` shows it on a page. `service` keeps the maps that pages show and signs their links; `routes`
answers the browser's requests for tiles.
"""
