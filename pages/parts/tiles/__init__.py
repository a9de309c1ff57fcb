"""Large images in tiles: the image, the plan with its price, the growing map and the result."""
