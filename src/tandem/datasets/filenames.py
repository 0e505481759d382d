"""What file names say about the origin of images. Hints, never proofs: pixels decide what is a near duplicate.

Roboflow exports `<stem>_<extension>.rf.<id>.<extension>`: all augmented versions of one upload share the stem, and
differ by the id (32 hex digits in older exports, 20 letters and digits in newer ones). No page of Roboflow promises
this; it is a convention seen in many public repositories.

A number says nothing: `car_001.jpg` to `car_500.jpg` are five hundred cars. A name is that of a frame where it says so:
`clip_mp4-12` (Roboflow), `clip_frame_0012`, `video3_0012`, or a number in a folder
that is called `video3` or `clip.mp4`. The frames of one video share what stands before the number, and the folder that
is no class and no split: exports put frames of one video into `train/car` and `test/truck`.
"""

import re
from datetime import datetime

from tandem.datasets.formats.class_folders import is_split_or_container

_EXTENSIONS = r"(?:[_.-](?:jpe?g|png|bmp|webp|tiff?|gif|heic|avif|jfif))*"
_ROBOFLOW = re.compile(
    rf"^(?P<stem>.+?)(?P<ext>{_EXTENSIONS})\.rf\.(?P<id>[0-9a-f]{{32}}|[0-9A-Za-z]{{16,24}})(?P<tail>.*)$",
    re.IGNORECASE,
)
_PLAIN = re.compile(rf"^(?P<stem>.+?){_EXTENSIONS}$", re.IGNORECASE)
_VIDEO_EXTENSION = r"[_.-](?:mp4|mov|avi|mkv|webm|m4v|mpe?g|3gp)"
_VIDEO_WORD = r"(?:.*[^a-z])?(?:videos?|vid|clip|movie|mov|mvi|seq|sequence|footage)[-_. ]?\d"
_NUMBER = r"[-_. ]*\(?\d+\)?"
_OF_FILE = re.compile(rf"^(?P<video>.+){_VIDEO_EXTENSION}[-_.](?:frame[-_. ]?)?\d+$")
_FRAME = re.compile(rf"^(?P<video>|.*[^a-z])(?:frame|frm){_NUMBER}$")
_OF_WORD = re.compile(rf"^(?P<video>{_VIDEO_WORD}.*?)[-_. ]+\(?\d+\)?$")
_PHONE_VIDEO = re.compile(r"^vid[-_]\d{8}[-_]\d{6}$")  # a video's own name: its number is a time, not a frame's
_ANY_NUMBER = re.compile(rf"^(?:img|image|im|scene|thumb|out)?{_NUMBER}$")
_VIDEO_FOLDER = re.compile(rf"^(?:{_VIDEO_WORD}.*|.+{_VIDEO_EXTENSION})$")
_SPLIT_FOLDER = re.compile(r"^(?:train|training|val|valid|validation|dev|test|testing)(?:[^a-z].*)?$")  # train2017
_SAYS_NOTHING = {"", "video", "videos", "clip", "movie", "image", "images", "img", "photo", "the", "my"}
# IMG_20240501_101112 (Android), PXL_20240501_101112345 (Pixel), 20240501_101112 (Samsung), with BURST001, (0) or the
# like after it, and 00001XTR_00001_BURST20240501101112345. Of messengers and screenshots it is the time of sending.
_PHONE = re.compile(
    r"^(?P<kind>(?:img|pxl|mvimg|pano|dsc|photo)[-_]?|\d+[a-z]+_\d+_burst|)"
    r"(?P<date>20\d{6})(?P<mark>[-_]?)(?P<time>\d{6})(?P<fraction>\d{3})?\d*(?:[-_.~ (].*)?$"
)


def upload_stem(name: str) -> str | None:
    """The casefolded name of the upload that a Roboflow file was made from; None for other file names.

    Different uploads may share it (`1.jpg` of two classes), so it is only as unique as the uploader's names.
    """
    match = _ROBOFLOW.match(name)
    return match["stem"].casefold() if match else None


def video_name(path: str, *, label: str = "") -> str | None:
    """The casefolded name, in its source, of the video that an image was cut from; None for what is no frame.

    "" for a frame of which nothing says of which video it is. path: below the source. label: of the image, whose folder
    tells no videos apart, and which is the name of no video.
    """
    *folders, name = path.split("/")
    stem, places = _stem(name), _telling_folders(folders, label)
    if match := _OF_FILE.match(stem):
        return match["video"]  # what Roboflow exports has lost its folders
    if (match := _FRAME.match(stem)) and "frame" not in label.casefold():  # a door frame is none of a video
        named = match["video"].strip("-_. #")
        if named in _SAYS_NOTHING or named == label.casefold():
            return "/".join(places) if _is_video_folder(places) else ""
        return "/".join([*places, named])
    if (match := _OF_WORD.match(stem)) and not _PHONE_VIDEO.match(stem):
        return "/".join([*places, match["video"]])
    return "/".join(places) if _ANY_NUMBER.match(stem) and _is_video_folder(places) else None


def name_of_shot(path: str, *, label: str = "") -> tuple[str, str] | None:
    """Time, as ISO 8601, and camera of a photograph, by a name that phones give; None for other names.

    The camera is called by the folder that is no class and no split, and the form of the name.
    """
    *folders, name = path.split("/")
    match = _PHONE.match(_stem(name))
    if not match or not (match["kind"] or match["mark"]):  # fourteen digits alone may be a running number
        return None
    digits = match["date"] + match["time"] + f"{match['fraction'] or '0':0<6}"
    try:
        time = datetime.strptime(digits, "%Y%m%d%H%M%S%f")
    except ValueError:
        return None
    kind = "burst" if match["kind"].endswith("burst") else match["kind"]  # without the number of the image
    return time.isoformat(), "/".join([*_telling_folders(folders, label), f"names like {kind}<time>"])


def _stem(name: str) -> str:
    """Casefolded, without extensions and what Roboflow puts after it."""
    plain = _PLAIN.match(name)
    return upload_stem(name) or (plain["stem"] if plain else name).casefold()


def _telling_folders(folders: list[str], label: str) -> list[str]:
    """Casefolded, but for those that are called as a split, a container or the label."""
    never = (label.casefold(), "frames")
    telling = (name for name in map(str.casefold, folders) if name not in never and not is_split_or_container(name))
    return [name for name in telling if not _SPLIT_FOLDER.match(name)]


def _is_video_folder(places: list[str]) -> bool:
    return bool(places) and bool(_VIDEO_FOLDER.match(places[-1]))
