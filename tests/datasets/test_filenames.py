"""Every form of exported name that has been seen, by the project's notes on Roboflow's convention."""

import pytest

from tandem.datasets.filenames import upload_stem, video_name

HEX = "c4bc955d4a913762ea57883592c4550c"
NEW = "KJ730oDTFPdXdJxvSLnX"


@pytest.mark.parametrize(
    ("name", "stem"),
    [
        (f"Image_27_jpg.rf.{HEX}.jpg", "image_27"),
        (f"00dea1edf14f09ab_jpg.rf.{NEW}.jpg", "00dea1edf14f09ab"),
        (f"IMG_1_JPG.rf.{HEX}.jpg", "img_1"),
        (f"a_jpeg.rf.{HEX}.jpg", "a"),
        (f"a_png_jpg.rf.{HEX}.jpg", "a"),
        (f"a_jpeg_jpg.rf.{HEX}.jpg", "a"),
        (f"a-webp.rf.{HEX.upper()}.png", "a"),
        (f"a_jpg.rf.{HEX}_a00.jpg", "a"),
        (f"clip_mp4-228_jpg.rf.{HEX}.jpg", "clip_mp4-228"),
        (f"a.b-1-_jpg.rf.{HEX}.jpg", "a.b-1-"),
        (f"Bike (12)_jpg.rf.{HEX}.jpg", "bike (12)"),
        (f"STRASSE_Straße_jpg.rf.{HEX}.jpg", "strasse_strasse"),
        (f"a_jpg.rf.{HEX}.jpg.rf.{NEW}.jpg", "a"),
        (f"no-extension.rf.{HEX}", "no-extension"),
        (f"_jpg.rf.{HEX}.jpg", "_jpg"),
        ("Image_27.jpg", None),
        ("a_jpg.rf.short.jpg", None),
        ("a_jpg.rf..jpg", None),
        (f".rf.{HEX}.jpg", None),
        (f"{HEX}.jpg", None),
        ("", None),
    ],
)
def test_the_stem_is_what_versions_of_an_upload_share(name: str, stem: str | None) -> None:
    assert upload_stem(name) == stem


@pytest.mark.parametrize(
    "extension", ["jpg", "jpeg", "png", "bmp", "webp", "tif", "tiff", "gif", "heic", "avif", "jfif"]
)
@pytest.mark.parametrize("mark", "_.-")
def test_every_original_extension_is_cut_off(extension: str, mark: str) -> None:
    assert upload_stem(f"photo{mark}{extension}.rf.{HEX}.jpg") == "photo"


@pytest.mark.parametrize("length", range(10, 34))
def test_an_id_has_the_length_of_one(length: int) -> None:
    found = upload_stem(f"a_jpg.rf.{'Zk3' * 11}"[: len("a_jpg.rf.") + length] + ".jpg")
    assert (found == "a") == (length >= 16)


@pytest.mark.parametrize(
    ("name", "video"),
    [
        (f"Clip_mp4-228_jpg.rf.{HEX}.jpg", "clip"),
        (f"my-clip_1_MOV-0_png_jpg.rf.{NEW}.jpg", "my-clip_1"),
        ("clip_mp4-228.jpg", "clip"),
        ("clip.mp4-228.PNG", "clip"),
        ("clip_mp4-228_jpg.jpg", "clip"),
        ("clip_mp4-228", "clip"),
        ("a_mp4-1_avi-22.jpg", "a_mp4-1"),
        (f"clip_mp4_jpg.rf.{HEX}.jpg", None),
        ("clip_mp4-22b.jpg", None),
        ("clip-228.jpg", None),
        ("_mp4-1.jpg", None),
        (f"Image_27_jpg.rf.{HEX}.jpg", None),
        ("", None),
    ],
)
def test_the_video_is_what_frames_of_a_clip_share(name: str, video: str | None) -> None:
    assert video_name(name) == video


@pytest.mark.parametrize("extension", ["mp4", "mov", "avi", "mkv", "webm", "m4v", "mpg", "mpeg", "3gp"])
def test_every_kind_of_video_is_known(extension: str) -> None:
    assert video_name(f"clip_{extension}-7_jpg.rf.{HEX}.jpg") == "clip"
