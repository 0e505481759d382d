"""From the files and labels of many sources to one index of images: formats, label map, merge."""
