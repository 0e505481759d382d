"""Every form of exported name that has been seen, by the project's notes on Roboflow's convention."""

import pytest

from tandem.datasets.filenames import name_of_shot, upload_stem, video_name

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


@pytest.mark.parametrize(
    ("path", "label", "video"),
    [
        ("clip03_frame_000123.jpg", "", "clip03"),
        ("train/car/Clip03-Frame4.jpg", "car", "clip03"),
        ("test/truck/clip03_frame_5.png", "truck", "clip03"),
        (f"train/clip03_frame_12_jpg.rf.{HEX}.jpg", "car", "clip03"),
        ("north/clip03_frm0012.jpg", "car", "north/clip03"),
        ("train2017/clip03_frame_1.jpg", "", "clip03"),
        ("Test_set/clip03_frame_2.jpg", "", "clip03"),
        ("testament/clip03_frame_2.jpg", "", "testament/clip03"),
        ("south/frames/clip03_frame0012.jpg", "car", "south/clip03"),
        ("video1_0012.jpg", "", "video1"),
        ("video1 (12).jpg", "", "video1"),
        ("cam2/VID_20240501_101112_0034.jpg", "", "cam2/vid_20240501_101112"),
        ("MVI_1234-0050.png", "", "mvi_1234"),
        ("MVI_20011/img00001.jpg", "", "mvi_20011"),
        ("train/images/seq-03/000123.png", "", "seq-03"),
        ("ride.mp4/1.jpg", "", "ride.mp4"),
        ("car/video 3/frame 12.jpg", "car", "video 3"),
        # frames of which nothing says the video
        ("frame_000001.PNG", "", ""),
        ("train/images/frame12.jpg", "", ""),
        ("video_frame_12.jpg", "", ""),
        ("car/car_frame_12.jpg", "car", ""),
        ("yard/frame_12.jpg", "", ""),
        # what is merely numbered, or the name of a whole video
        ("car/car_001.jpg", "car", None),
        ("car/Image_100.jpg", "car", None),
        ("Car-Bike-Dataset/Bike/Bike (12).jpg", "Bike", None),
        ("seg_train/street/9690.jpg", "street", None),
        ("DSC_0012.JPG", "", None),
        ("DJI_0012.JPG", "", None),
        ("IMG_20240501_101112.jpg", "", None),
        ("video_0012.jpg", "", None),
        ("VID_20240501_101112.jpg", "", None),
        ("MVI_1234.jpg", "", None),
        ("bikeframe12.jpg", "", None),
        ("picture frame/picture_frame_012.jpg", "picture frame", None),
        ("video_game_car_0012.jpg", "", None),
        ("2007_000027.jpg", "", None),
        ("clip3/portrait.jpg", "", None),
    ],
)
def test_a_frame_is_what_says_that_it_is_one_and_numbers_alone_say_nothing(
    path: str, label: str, video: str | None
) -> None:
    assert video_name(path, label=label) == video


@pytest.mark.parametrize(
    ("path", "shot"),
    [
        ("IMG_20240501_101112.jpg", ("2024-05-01T10:11:12", "names like img_<time>")),
        (f"train/car/IMG_20240501_101112_jpg.rf.{HEX}.jpg", ("2024-05-01T10:11:12", "names like img_<time>")),
        ("IMG_20240501_101112_BURST001.jpg", ("2024-05-01T10:11:12", "names like img_<time>")),
        ("anna/PXL_20240501_101112345.jpg", ("2024-05-01T10:11:12.345000", "anna/names like pxl_<time>")),
        ("PXL_20240501_101112345.PORTRAIT.jpg", ("2024-05-01T10:11:12.345000", "names like pxl_<time>")),
        ("20240501_101112(0).jpg", ("2024-05-01T10:11:12", "names like <time>")),
        ("00007XTR_00007_BURST20240501101112345_COVER.jpg", ("2024-05-01T10:11:12.345000", "names like burst<time>")),
        ("20240501101112.jpg", None),
        ("IMG-20240501-WA0012.jpg", None),
        ("WhatsApp Image 2024-05-01 at 10.11.12.jpeg", None),
        ("Screenshot_20240501-101112.png", None),
        ("VID_20240501_101112.jpg", None),
        ("IMG_20241301_101112.jpg", None),
        ("IMG_1234.jpg", None),
        ("DSC_0012.JPG", None),
        ("2007_000027.jpg", None),
        ("", None),
    ],
)
def test_phones_name_photographs_by_their_time(path: str, shot: tuple[str, str] | None) -> None:
    assert name_of_shot(path, label="car") == shot
