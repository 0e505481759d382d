"""What a description cannot tell schemathesis: that the files of a request which fits it are images."""

import io

import schemathesis
from hypothesis import strategies
from PIL import Image

FORMAT = "image"


def encoded(color):
    data = io.BytesIO()
    Image.new("RGB", (40, 30), color).save(data, "PNG")
    return data.getvalue()


@schemathesis.hook
def before_load_schema(_context, raw_schema):
    bodies = raw_schema["components"]["schemas"]
    bodies["Body_predict_predict_post"]["properties"]["files"]["items"]["format"] = FORMAT
    bodies["Body_explain_explain_post"]["properties"]["file"]["format"] = FORMAT


schemathesis.openapi.format(FORMAT, strategies.sampled_from([encoded(color) for color in ("red", "green", "blue")]))
