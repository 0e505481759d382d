"""New images that are planted as near duplicates, of one another and of the project's, are found by their pixels."""

import numpy as np
from PIL import Image

from planted_images import SETTINGS, similar_to, some_features, textured_image
from tandem.curation.duplicates.alignment import describe
from tandem.images.hashing import dihedral_phashes
from tandem.monitoring.lookalikes import groups_of_new, new_near_duplicates

NO_KEYS = ((),)


def crop(image):
    return image.crop((10, 8, 150, 112)).resize((160, 120), Image.Resampling.BICUBIC)


def pairs(images, *, num_known, keys=None, similar=()):
    """What is found among images of which the features have nothing in common but for `similar` pairs."""
    features = [some_features(row) for row in range(len(images))]
    for one, other in similar:
        features[other] = similar_to(features[one], 0.995)
    keypoints = [describe(image) for image in images]
    asked = list[int]()

    def keypoints_of(row):
        asked.append(row)
        return keypoints[row]

    found = new_near_duplicates(
        np.stack(features),
        np.stack([dihedral_phashes(image) for image in images]),
        [str(row) for row in range(len(images))],
        keys or NO_KEYS * (len(images) - num_known),
        settings=SETTINGS,
        keypoints_of=keypoints_of,
        max_gb=0,
    )
    return found.tolist(), asked


def test_near_duplicates_of_the_project_and_of_one_another_are_found():
    images = [textured_image(seed) for seed in range(4)]
    found, _ = pairs([*images, crop(images[1]), textured_image(10), crop(images[3])], num_known=3)
    assert found == [[1, 4], [3, 6]]


def test_pairs_of_the_projects_own_images_are_not_asked_about_again():
    image = textured_image(0)
    found, asked = pairs([image, crop(image), textured_image(1)], num_known=2, similar=[(0, 1)])
    assert found == []
    assert set(asked) <= {0, 1, 2}
    assert found == pairs([image, crop(image)], num_known=2)[0]


def test_images_that_are_similar_but_show_other_things_are_none():
    assert pairs([textured_image(seed) for seed in range(3)], num_known=1, similar=[(0, 1), (1, 2)])[0] == []


def test_versions_of_one_upload_need_be_similar_only():
    images = [textured_image(seed) for seed in range(3)]
    features_alike = [(0, 1)]
    assert pairs(images, num_known=0, keys=[("stem:a/x",)] * 3, similar=features_alike)[0] == [[0, 1]]
    assert pairs(images, num_known=0, keys=[("stem:a/x",), ("stem:a/y",), ()], similar=features_alike)[0] == []


def test_a_group_is_what_near_duplicates_equal_pixels_and_a_video_join():
    ids = ["a", "b", "c", "b", "d", "e"]
    keys = [("video:v",), (), ("stem:s",), (), ("video:v",), ("stem:s",)]
    groups = groups_of_new(ids, keys, np.array([[0, 1]]))
    assert groups.tolist() == [0, 0, 2, 0, 0, 5]
