"""From the files of many sources and their labels to one index of images: formats, label map, merge."""
