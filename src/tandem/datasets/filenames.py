"""What file names say about the origin of images. Hints, never proofs: pixels decide what is a near duplicate.

Roboflow exports `<stem>_<extension>.rf.<id>.<extension>`: all augmented versions of one upload share the stem, and
differ by the id (32 hex digits in older exports, 20 letters and digits in newer ones). No page of Roboflow promises
this; it is a convention seen in many public repositories.
"""

import re

_EXTENSIONS = r"(?:[_.-](?:jpe?g|png|bmp|webp|tiff?|gif|heic|avif|jfif))*"
_ROBOFLOW = re.compile(
    rf"^(?P<stem>.+?)(?P<ext>{_EXTENSIONS})\.rf\.(?P<id>[0-9a-f]{{32}}|[0-9A-Za-z]{{16,24}})(?P<tail>.*)$",
    re.IGNORECASE,
)
_PLAIN = re.compile(rf"^(?P<stem>.+?){_EXTENSIONS}$", re.IGNORECASE)
_FRAME = re.compile(r"^(?P<video>.+)[_.-](?:mp4|mov|avi|mkv|webm|m4v|mpe?g|3gp)-\d+$", re.IGNORECASE)


def upload_stem(name: str) -> str | None:
    """The casefolded name of the upload that a Roboflow file was made from; None for other file names.

    Different uploads may share it (`1.jpg` of two classes), so it is only as unique as the uploader's names.
    """
    match = _ROBOFLOW.match(name)
    return match["stem"].casefold() if match else None


def video_name(name: str) -> str | None:
    """The casefolded name of the clip that a frame was cut from, as Roboflow names frames: `<clip>_mp4-<number>`.

    From the Roboflow stem, or from a plain file name; None for what is no frame.
    """
    plain = _PLAIN.match(name)
    match = _FRAME.match(upload_stem(name) or (plain["stem"] if plain else name))
    return match["video"].casefold() if match else None
