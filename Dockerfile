# The image of the Docker and Kubernetes work pools; installs what `make setup` installs.
FROM python:3.11-slim-bookworm

RUN apt-get update \
 && apt-get install --yes --no-install-recommends libgl1 libglib2.0-0 make \
 && rm -rf /var/lib/apt/lists/*

WORKDIR /app
COPY . .
ENV PIP_NO_CACHE_DIR=1 OMP_NUM_THREADS=1 PATH=/app/.venv/bin:$PATH
RUN make setup \
 && pip install --quiet --constraint constraints.txt --editable '.[dask,ray]' \
 && useradd --create-home facext \
 && install --directory --owner facext out

USER facext
CMD ["facext", "doctor"]
