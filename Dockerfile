# One image for all three processes: migrate, web (the default), worker. See docs/operations.md.
FROM python:3.11-slim AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
RUN python -m venv /opt/rfm
COPY requirements.txt ./
RUN /opt/rfm/bin/pip install --only-binary :all: -r requirements.txt
COPY . .
RUN /opt/rfm/bin/pip install --no-deps .

# What a build needs stays behind in its own stage: here are Python, the virtual environment, and a user without rights.
FROM python:3.11-slim
RUN groupadd --system --gid 10001 rfm \
 && useradd --system --uid 10001 --gid rfm --home-dir /var/lib/rfm --create-home --shell /usr/sbin/nologin rfm
COPY --from=build /opt/rfm /opt/rfm
ENV PATH=/opt/rfm/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 VAR_DIR=/var/lib/rfm PORT=8000
USER rfm
WORKDIR /var/lib/rfm
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=30s --retries=3 \
  CMD ["python", "-c", "import os, urllib.request; urllib.request.urlopen('http://127.0.0.1:' + os.environ['PORT'] + '/readyz', timeout=4)"]
CMD ["sh", "-c", "exec gunicorn 'connector.app:create_app()' --bind 0.0.0.0:$PORT --worker-class connector.overload.Worker --workers ${WEB_CONCURRENCY:-2} --threads 4 --timeout 30 --graceful-timeout 10"]
