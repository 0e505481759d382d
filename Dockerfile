# An exported model behind HTTP, without torch; docs/predicting.md says how to build and to run it.
FROM python:3.11-slim

ENV PIP_NO_CACHE_DIR=1 PIP_ROOT_USER_ACTION=ignore
WORKDIR /srv

# Of the packages in pyproject.toml those that `tandem serve` imports, and their versions.
COPY requirements.lock ./
RUN pip install --constraint requirements.lock \
    annotated-types fastapi ml-dtypes numpy onnxruntime opencv-python-headless pi-heif pillow prometheus-client pydantic \
    python-multipart ruamel.yaml simplejpeg tqdm typer uvicorn

# What the package is built of; `tandem init` in it needs the rest beside src.
COPY LICENSE README.md pyproject.toml params.schema.json dvc.yaml .gitignore .gitattributes .dvcignore ./
COPY .dvc/config .dvc/.gitignore .dvc/
COPY .dvc/plots .dvc/plots
COPY .dvc/plots_page .dvc/plots_page
COPY data/.gitignore data/README.md data/
COPY data/review/decisions.csv data/review/
COPY metrics/.gitignore metrics/
COPY presets presets
COPY stages stages
COPY src src
RUN pip install --no-deps .

USER nobody
EXPOSE 8000
HEALTHCHECK CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/health', timeout=9)"]
CMD ["tandem", "serve", "--model", "model.onnx", "--address", "0.0.0.0", "--port", "8000"]
