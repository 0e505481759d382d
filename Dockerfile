# An exported model behind HTTP, without torch; docs/predicting.md says how to build and to run it.
FROM python:3.11-slim

ENV PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /srv

# Of the packages in pyproject.toml those that `tandem serve` imports, and their versions.
COPY requirements.lock ./
RUN pip install --constraint requirements.lock \
    annotated-types fastapi ml-dtypes numpy onnxruntime opencv-python-headless pi-heif pillow prometheus-client pydantic \
    python-multipart ruamel.yaml simplejpeg tqdm typer uvicorn

COPY LICENSE README.md pyproject.toml ./
COPY src src
RUN pip install --no-deps .

USER nobody
EXPOSE 8000
HEALTHCHECK CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/health', timeout=9)"]
CMD ["tandem", "serve", "--model", "model.onnx", "--address", "0.0.0.0", "--port", "8000"]
